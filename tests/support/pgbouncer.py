"""A real PgBouncer in transaction mode between a test and the run's PostgreSQL."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from tailrace.addresses import resolve
from tailrace.settings import Settings

ACCOUNT = "nobody"
"""PgBouncer does not run as root."""
SESSIONS = 3
"""Of PostgreSQL, for all clients together: fewer than there are, so that they must share."""
START_S = 20

CONFIGURATION = """\
[databases]
* = host={host} port={port} user={user} password={password}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 200
admin_users = {user}
stats_users = {user}
"""


@contextmanager
def pgbouncer(settings: Settings, folder: Path) -> Iterator[Settings]:
    """Settings whose connections go through a PgBouncer that runs meanwhile."""
    server = conninfo_to_dict(resolve(settings).postgres)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    folder.mkdir()
    file = folder / "pgbouncer.ini"
    names = {name: server[name] for name in ("host", "port", "user", "password")}
    file.write_text(CONFIGURATION.format(listen=port, sessions=SESSIONS, **names))
    file.chmod(0o600)
    shutil.chown(file, ACCOUNT)
    with (folder / "log").open("wb") as log, file.open("rb") as contents:
        # By its contents: the folders above are root's own.
        process = subprocess.Popen(
            ["setpriv", f"--reuid={ACCOUNT}", "--clear-groups", "pgbouncer", "/dev/stdin"],
            stdin=contents, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        dsn = f"postgresql://{server['user']}:unused@127.0.0.1:{port}/{server['dbname']}"
        _wait(dsn, folder / "log")
        yield settings.model_copy(
            update={"postgres": settings.postgres.model_copy(update={"dsn": SecretStr(dsn), "pooled": True})}
        )
    finally:
        process.terminate()
        process.wait(10)


def shown(settings: Settings, what: str) -> list[dict]:
    """Rows that PgBouncer's console shows."""
    head, _, _ = resolve(settings).postgres.rpartition("/")
    with psycopg.connect(f"{head}/pgbouncer", autocommit=True, row_factory=psycopg.rows.dict_row) as conn:
        cursor = psycopg.ClientCursor(conn, row_factory=psycopg.rows.dict_row)
        return cursor.execute(f"SHOW {what}").fetchall()


def _wait(dsn: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=3).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        else:
            return
