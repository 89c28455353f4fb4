#!/usr/bin/env bash
# Make the secrets that are missing, beside this file or in the folder that is given; those there stay as they are.
set -euo pipefail

folder="${1:-$(dirname "${BASH_SOURCE[0]}")/secrets}"
# Compose mounts the files as they are, and services have users of their own: the folder keeps others out.
mkdir -p "$folder"
chmod 700 "$folder"
umask 022

random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
keep() { [[ -s $folder/$1 ]] || printf '%s' "$2" >"$folder/$1"; }

for name in postgres_password redis_password http_token grafana_password; do
  keep "$name" "$(random)"
done
keep database_url "postgresql://tailrace:$(<"$folder/postgres_password")@pgbouncer:6432/tailrace"
keep database_url_direct "postgresql://tailrace:$(<"$folder/postgres_password")@postgres:5432/tailrace"
keep redis_url "redis://:$(<"$folder/redis_password")@redis:6379/0"
