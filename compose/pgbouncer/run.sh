#!/bin/sh
# PgBouncer reads users from a file only; the password comes as a secret.
set -eu
umask 077
printf '"tailrace" "%s"\n' "$(cat /run/secrets/postgres_password)" >/tmp/userlist.txt
exec pgbouncer /etc/pgbouncer/pgbouncer.ini
