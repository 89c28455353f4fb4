"""Reading from a real standby: as good as the primary while it follows, refused or flagged when it does not."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from tailrace import stack
from tailrace.addresses import resolve
from tailrace.analysis import access
from tailrace.analysis.access import snapshot
from tailrace.errors import PreconditionError
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.settings import Settings
from tailrace.stack.account import as_account, give, server_account
from tailrace.stack.postgres import binaries
from tailrace.stack.process import process_environment

DEADLINE_S = 30


def until(what: str, conn: psycopg.Connection, query: str) -> None:
    """Ask until the answer is true; the server passes the time."""
    end = time.monotonic() + DEADLINE_S
    while conn.execute(query.encode()).fetchone() != (True,):
        if time.monotonic() > end:
            pytest.fail(f"not within {DEADLINE_S} s: {what}")
        conn.execute("SELECT pg_sleep(0.05)")


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("primary") / "stack")
    stack.up(settings, only=("postgres",))
    try:
        with connection(settings) as conn:
            migrate(conn, settings)
        yield settings
    finally:
        stack.down(settings, purge=True)


@pytest.fixture(scope="module")
def replica(primary: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings that read from a standby of the primary."""
    folder = tmp_path_factory.mktemp("replica") / "cluster"
    programs, account = binaries(), server_account()
    assert programs is not None
    dsn = resolve(primary).postgres
    backup = (str(programs / "pg_basebackup"), "-d", dsn, "-D", str(folder), "-R", "-c", "fast")
    subprocess.run(backup, check=True, timeout=DEADLINE_S, env=process_environment())
    for path in (folder, *folder.rglob("*")):
        give(path, account)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    argv = (str(programs / "postgres"), "-D", str(folder), "-c", f"port={port}", "-c", "hot_standby=on")
    log = (folder.parent / "log").open("wb")
    process = subprocess.Popen(
        as_account(account, argv, reach=(folder,)), stdout=log, stderr=log, cwd="/", env=process_environment()
    )
    try:
        parts = {key: value for key, value in conninfo_to_dict(dsn).items() if value is not None}
        dsn_ro = make_conninfo(**(parts | {"port": str(port)}))
        _wait_for_server(dsn_ro, folder.parent / "log")
        postgres = primary.postgres.model_copy(update={"dsn_ro": SecretStr(dsn_ro)})
        yield primary.model_copy(update={"postgres": postgres})
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
        log.close()


def _wait_for_server(dsn: str, log: Path) -> None:
    end = time.monotonic() + DEADLINE_S
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=2).close()
        except psycopg.OperationalError:
            if time.monotonic() > end:
                pytest.fail(log.read_text()[-2000:])
        else:
            return


@pytest.fixture
def standby(replica: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(resolve(replica).postgres_ro, autocommit=True) as conn:
        yield conn


def write(primary: Settings, day: str) -> None:
    with connection(primary) as conn:
        conn.execute(
            "INSERT INTO analytics.daily_active_users (workspace_id, date, message_count, revised_at)"
            " VALUES ('00000000-0000-0000-0000-000000000001', %s, 7, now())",
            [day],
        )


def test_a_replica_that_follows_is_read(primary: Settings, replica: Settings, standby: psycopg.Connection):
    write(primary, "2026-11-01")
    until("replayed", standby, "SELECT count(*) = 1 FROM analytics.daily_active_users WHERE date = '2026-11-01'")

    with snapshot(replica) as opened:
        found = opened.conn.execute("SELECT messages FROM daily_activity").fetchall()

    assert found == [(7,)]
    assert opened.as_of.replica_lag_s is not None
    assert not opened.as_of.stale


def test_a_replica_that_lags_is_refused_or_flagged(
    primary: Settings, replica: Settings, standby: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(access, "REPLICA_LAG_MAX_S", 0.3)
    standby.execute("SELECT pg_wal_replay_pause()")
    try:
        until("paused", standby, "SELECT pg_get_wal_replay_pause_state() = 'paused'")
        write(primary, "2026-11-02")
        until(
            "behind",
            standby,
            "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"
            " AND clock_timestamp() - pg_last_xact_replay_timestamp() > interval '0.4 s'",
        )

        with pytest.raises(PreconditionError, match="behind") as caught, snapshot(replica):
            pass
        assert "--allow-stale" in str(caught.value.fix)
        with snapshot(replica, allow_stale=True) as opened:
            assert opened.as_of.stale
            assert "STALE" in opened.as_of.sentence()
    finally:
        standby.execute("SELECT pg_wal_replay_resume()")


def test_a_replica_of_a_quiet_primary_is_not_behind(
    replica: Settings, standby: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(access, "REPLICA_LAG_MAX_S", 0.3)
    until(
        "caught up, and nothing new for a while",
        standby,
        "SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()"
        " AND clock_timestamp() - pg_last_xact_replay_timestamp() > interval '0.4 s'",
    )

    with snapshot(replica) as opened:
        assert opened.as_of.replica_lag_s == 0
