"""The servers' life in one data folder. Redis stands for all where the claim is not about one kind of server."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis
from pydantic import SecretStr
from typer.testing import CliRunner

from tailrace import stack
from tailrace.addresses import resolve
from tailrace.cli.main import app
from tailrace.errors import PreconditionError, UnreachableError, UsageError
from tailrace.settings import RedisSettings, Settings
from tailrace.stack.kafka import ask_kafka
from tailrace.stack.process import Launch, identify, is_alive, process_environment, spawn
from tailrace.stack.state import ServerRecord, StackState, load_state, save_state

EVENTUALLY_S = 20


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Settings]:
    """A data folder of the test's own; what still runs in it at the end is stopped."""
    settings = Settings(_env_file=None, data_dir=tmp_path / "data")
    yield settings
    stack.down(settings, purge=True)


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + EVENTUALLY_S
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


def pid_of(settings: Settings, name: str) -> int:
    state = load_state(settings.data_dir)
    assert state is not None
    return state.servers[name].process.pid


def test_servers_answer_and_a_second_up_changes_nothing(folder: Settings):
    first = stack.up(folder, only=["postgres", "redis"])
    written = (folder.data_dir / "stack.json").read_bytes()

    second = stack.up(folder, only=["postgres", "redis"])

    assert [server.started for server in first.servers] == [True, True]
    assert [server.started for server in second.servers] == [False, False]
    assert [server.pid for server in second.servers] == [server.pid for server in first.servers]
    assert (folder.data_dir / "stack.json").read_bytes() == written
    with psycopg.connect(resolve(folder).postgres) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.info.dbname == "tailrace"


def test_two_ups_at_once_start_each_server_once(folder: Settings):
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: stack.up(folder, only=["redis"]), range(2)))

    assert sorted(status.servers[0].started for status in both) == [False, True]
    assert both[0].servers[0].pid == both[1].servers[0].pid


def test_down_keeps_the_data_and_the_ports(folder: Settings):
    addresses = stack.up(folder, only=["postgres", "redis"]).addresses
    with psycopg.connect(resolve(folder).postgres, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    with redis.Redis.from_url(resolve(folder).redis) as client:
        client.set("kept", "1")

    assert stack.down(folder) == [("redis", True), ("postgres", True)]
    assert stack.down(folder) == []
    with pytest.raises(UnreachableError, match="redis is not running"):
        _ = resolve(folder).redis

    assert stack.up(folder, only=["postgres", "redis"]).addresses == addresses
    with psycopg.connect(resolve(folder).postgres) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (1,)
    with redis.Redis.from_url(resolve(folder).redis) as client:
        assert client.get("kept") == b"1"


def test_kafka_keeps_its_log_and_its_identity(folder: Settings):
    stack.up(folder, only=["kafka"])
    identity = ask_kafka(resolve(folder).kafka, 3).identity
    assert stack.down(folder) == [("kafka", True)]

    stack.up(folder, only=["kafka"])

    assert ask_kafka(resolve(folder).kafka, 3).identity == identity


def test_purge_leaves_nothing(folder: Settings):
    stack.up(folder, only=["postgres", "redis"])
    pids = [pid_of(folder, "postgres"), pid_of(folder, "redis")]

    stack.down(folder, purge=True)

    assert not folder.data_dir.exists()
    assert [identify(pid) for pid in pids] == [None, None]


def test_purge_keeps_what_was_there_before_the_first_up(folder: Settings):
    folder.data_dir.mkdir()
    (folder.data_dir / "diary.txt").write_text("mine")
    stack.up(folder, only=["redis"])

    stack.down(folder, purge=True)

    assert [path.name for path in folder.data_dir.iterdir()] == ["diary.txt"]


def test_a_taken_port_is_replaced_by_a_free_one(folder: Settings):
    before = stack.up(folder, only=["redis"]).addresses["redis"]
    stack.down(folder)
    state = load_state(folder.data_dir)
    assert state is not None
    with socket.create_server(("127.0.0.1", state.servers["redis"].ports[0])):
        after = stack.up(folder, only=["redis"]).addresses["redis"]

    assert after is not None
    assert after != before
    with redis.Redis.from_url(after) as client:
        assert client.ping()


def test_a_failed_start_names_the_server_its_last_lines_and_a_fix(folder: Settings):
    stack.up(folder, only=["postgres", "redis"])
    stack.down(folder)
    (folder.data_dir / "postgres" / "cluster" / "global" / "pg_control").write_bytes(b"damaged")

    with pytest.raises(stack.StartError) as failure:
        stack.up(folder, only=["postgres", "redis"])

    assert failure.value.exit_code == 5
    assert str(failure.value).startswith("postgres did not start: the process ended\n  | ")
    assert "pg_control" in str(failure.value)
    assert "postgres.log" in str(failure.value.fix)
    states = {server.name: server.health for server in stack.status(folder).servers}
    assert states["redis"] == "running"
    assert states["postgres"] == "stopped"


def test_a_killed_server_comes_back_at_its_address(folder: Settings):
    address = stack.up(folder, only=["redis"]).addresses["redis"]
    killed = pid_of(folder, "redis")

    os.kill(killed, signal.SIGKILL)

    assert eventually(lambda: pid_of(folder, "redis") != killed)
    assert eventually(lambda: stack.status(folder).addresses["redis"] == address)


HOLDS_A_PORT = """
import socket, time
server = socket.create_server(('127.0.0.1', 0))
print(server.getsockname()[1], flush=True)
time.sleep(60)
"""


def test_what_a_killed_launcher_left_on_the_port_does_not_move_the_server(folder: Settings, tmp_path: Path):
    said = tmp_path / "said"
    shell = ("/bin/sh", "-c", f'{sys.executable} -c "{HOLDS_A_PORT}" & wait')
    launcher = spawn(Launch(shell, process_environment()), said)
    assert eventually(lambda: said.read_text().endswith("\n"))
    port = int(said.read_text())
    record = ServerRecord(address=f"redis://127.0.0.1:{port}/0", ports=(port,), process=launcher)
    folder.data_dir.mkdir()
    save_state(folder.data_dir, StackState().with_server("redis", record))
    os.kill(launcher.pid, signal.SIGKILL)
    assert eventually(lambda: not is_alive(launcher))

    assert stack.up(folder, only=["redis"]).addresses["redis"] == record.address


def test_up_restarts_only_what_died(folder: Settings):
    stack.up(folder, only=["postgres", "redis"])
    state = load_state(folder.data_dir)
    assert state is not None
    assert state.watcher is not None
    os.kill(state.watcher.pid, signal.SIGKILL)
    os.kill(pid_of(folder, "redis"), signal.SIGKILL)
    assert eventually(lambda: identify(pid_of(folder, "redis")) is None)

    started = {server.name: server.started for server in stack.up(folder, only=["postgres", "redis"]).servers}

    assert started == {"postgres": False, "redis": True}


def test_backends_of_a_killed_postmaster_do_not_keep_the_next_one_from_starting(folder: Settings):
    stack.up(folder, only=["postgres"])
    state = load_state(folder.data_dir)
    assert state is not None
    assert state.watcher is not None
    os.kill(state.watcher.pid, signal.SIGKILL)
    with psycopg.connect(resolve(folder).postgres, autocommit=True) as busy, ThreadPoolExecutor() as pool:
        backend = busy.info.backend_pid
        statement = pool.submit(
            busy.execute, "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b"
        )
        with psycopg.connect(resolve(folder).postgres, autocommit=True) as other:
            active = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
            assert eventually(lambda: other.execute(active, [backend]).fetchone() is not None)
        os.kill(pid_of(folder, "postgres"), signal.SIGKILL)
        assert eventually(lambda: identify(pid_of(folder, "postgres")) is None)
        assert identify(backend) is not None

        (server,) = stack.up(folder, only=["postgres"]).servers

        assert server.started
        assert identify(backend) is None
        assert isinstance(statement.exception(timeout=EVENTUALLY_S), psycopg.OperationalError)


def test_a_server_of_the_settings_is_checked_and_neither_started_nor_stopped(folder: Settings):
    stack.up(folder, only=["redis"])
    theirs = resolve(folder).redis
    ours = Settings(
        _env_file=None, data_dir=folder.data_dir.with_name("other"), redis=RedisSettings(url=SecretStr(theirs))
    )

    (server,) = stack.up(ours, only=["redis"]).servers
    stack.down(ours, purge=True)

    assert (server.health, server.address, server.started) == ("own", theirs, False)
    with redis.Redis.from_url(theirs) as client:
        assert client.ping()


def test_a_server_of_the_settings_that_does_not_answer_is_unreachable(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    settings = Settings(
        _env_file=None, data_dir=tmp_path / "data", redis=RedisSettings(url=SecretStr(f"redis://127.0.0.1:{port}/0"))
    )

    with pytest.raises(UnreachableError, match="redis of the settings does not answer"):
        stack.up(settings, only=["redis"])


def test_the_command_line_prints_one_document_and_hides_passwords_from_people(
    folder: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TAILRACE_DATA_DIR", str(folder.data_dir))
    run = CliRunner().invoke

    brought_up = run(app, ["up", "--only", "postgres", "-o", "json"])
    seen = run(app, ["status", "-o", "json"])
    shown = run(app, ["status"])

    assert brought_up.exit_code == seen.exit_code == shown.exit_code == 0
    dsn = resolve(folder).postgres
    assert json.loads(brought_up.stdout)["servers"] == {"postgres": dsn}
    assert json.loads(seen.stdout)["servers"] == {
        "kafka": None,
        "postgres": dsn,
        "redis": None,
        "elasticsearch": None,
    }
    assert dsn.split(":")[2].split("@")[0] not in shown.stdout + shown.stderr + brought_up.stderr
    assert run(app, ["doctor", "-o", "json"]).exit_code == 5


def test_an_unknown_server_is_refused(folder: Settings):
    with pytest.raises(UsageError, match="no server is called mysql"):
        stack.up(folder, only=["mysql"])


def test_purge_asks_on_a_terminal_and_no_keeps_everything(folder: Settings):
    stack.up(folder, only=["redis"])
    terminal, theirs = pty.openpty()
    os.write(terminal, b"n\n")

    refused = subprocess.run(
        [sys.executable, "-c", "from tailrace.cli.main import run; run()", "down", "--purge"],
        stdin=theirs,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TAILRACE_DATA_DIR": str(folder.data_dir)},
    )
    os.close(terminal)
    os.close(theirs)

    assert refused.returncode == 8
    assert "Delete all data" in refused.stderr
    assert stack.status(folder).addresses["redis"] is not None


def test_a_damaged_state_file_is_reported_and_purge_still_works(folder: Settings):
    stack.up(folder, only=["redis"])
    stack.down(folder)
    (folder.data_dir / "stack.json").write_text("{")

    with pytest.raises(PreconditionError, match=r"stack\.json cannot be read"):
        stack.status(folder)
    stack.down(folder, purge=True)

    assert not folder.data_dir.exists()


def test_elasticsearch_answers_in_the_shared_stack(full_stack: stack.StackStatus):
    assert {server.name: server.health for server in full_stack.servers} == dict.fromkeys(
        ("kafka", "postgres", "redis", "elasticsearch"), "running"
    )


def test_isolated_settings_have_a_database_of_their_own(settings: Settings, settings_for: Callable[[str], Settings]):
    other = settings_for("other")

    assert resolve(settings).kafka == resolve(other).kafka
    assert resolve(settings).postgres != resolve(other).postgres
    with psycopg.connect(resolve(settings).postgres) as connection:
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
