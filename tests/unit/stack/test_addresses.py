import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from tailrace.addresses import resolve
from tailrace.cli.stack import masked
from tailrace.errors import UnreachableError
from tailrace.settings import KafkaSettings, PostgresSettings, Settings
from tailrace.stack.process import ProcessId, identify
from tailrace.stack.state import ServerRecord, StackState, save_state

DEAD = ProcessId(pid=2**22 + 1, started_ticks=1)


def state(process: ProcessId, watcher: ProcessId | None = None) -> StackState:
    record = ServerRecord(address="redis://127.0.0.1:1/0", ports=(1,), process=process)
    return StackState(servers={"redis": record}, watcher=watcher)


def test_the_settings_win_over_the_embedded_server(tmp_path: Path):
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        kafka=KafkaSettings(bootstrap_servers="broker:9092"),
        postgres=PostgresSettings(dsn=SecretStr("postgresql://a/b")),
        DATABASE_URL="postgresql://c/d",
    )

    assert resolve(settings).kafka == "broker:9092"
    assert resolve(settings).postgres == "postgresql://a/b"
    assert resolve(settings).postgres_ro == "postgresql://a/b"


def test_reading_may_go_to_a_replica(tmp_path: Path):
    settings = Settings(
        _env_file=None, data_dir=tmp_path, DATABASE_URL="postgresql://a", DATABASE_URL_RO="postgresql://b"
    )

    assert resolve(settings).postgres == "postgresql://a"
    assert resolve(settings).postgres_ro == "postgresql://b"


def test_a_server_that_runs_is_found_and_another_is_missed_only_when_asked_for(tmp_path: Path):
    myself = identify(os.getpid())
    assert myself is not None
    save_state(tmp_path, state(myself))
    addresses = resolve(Settings(_env_file=None, data_dir=tmp_path))

    assert addresses.redis == "redis://127.0.0.1:1/0"
    with pytest.raises(UnreachableError) as failure:
        _ = addresses.elasticsearch
    assert failure.value.fix == "tailrace up"


def test_a_dead_server_has_no_address_unless_it_is_being_brought_back(tmp_path: Path):
    addresses = resolve(Settings(_env_file=None, data_dir=tmp_path))
    save_state(tmp_path, state(DEAD))
    with pytest.raises(UnreachableError, match="redis is not running"):
        _ = addresses.redis

    save_state(tmp_path, state(DEAD, watcher=identify(os.getpid())))

    assert addresses.redis == "redis://127.0.0.1:1/0"


def test_a_screen_never_shows_the_password():
    assert masked("postgres", "postgresql://u:secret@h:1/d") == "postgresql://u:***@h:1/d"
    assert masked("redis", "redis://:secret@h:1/0") == "redis://:***@h:1/0"
    assert masked("kafka", "h:1") == "h:1"
    assert masked("redis", None) is None
