import stat
from pathlib import Path

import pytest

from tailrace.errors import PreconditionError
from tailrace.stack.process import ProcessId
from tailrace.stack.state import LOCK_NAME, ServerRecord, StackState, load_state, locked, save_state


def record(address: str = "127.0.0.1:9092") -> ServerRecord:
    return ServerRecord(address=address, ports=(9092, 9093), process=ProcessId(pid=1, started_ticks=2))


def test_what_is_saved_is_loaded(tmp_path: Path):
    state = StackState().with_server("kafka", record())

    save_state(tmp_path, state)

    assert load_state(tmp_path) == state


def test_the_state_holds_a_password_and_is_its_owners_only(tmp_path: Path):
    save_state(tmp_path, StackState())

    assert stat.S_IMODE((tmp_path / "stack.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_no_file_is_no_state(tmp_path: Path):
    assert load_state(tmp_path) is None


def test_a_damaged_file_is_an_error_with_a_fix(tmp_path: Path):
    (tmp_path / "stack.json").write_text('{"servers": 3}')

    with pytest.raises(PreconditionError) as failure:
        load_state(tmp_path)

    assert failure.value.fix == "tailrace down --purge"


def test_only_one_holds_the_lock(tmp_path: Path):
    with (
        locked(tmp_path, wait_s=0),
        pytest.raises(PreconditionError, match="another command"),
        locked(tmp_path, wait_s=0),
    ):
        pass
    with locked(tmp_path, wait_s=0):
        pass


def test_a_lock_whose_file_was_purged_excludes_nobody(tmp_path: Path):
    with locked(tmp_path, wait_s=0):
        (tmp_path / LOCK_NAME).unlink()
        with locked(tmp_path, wait_s=0):
            assert (tmp_path / LOCK_NAME).exists()


def test_ids_of_stacks_differ_and_never_look_like_an_option():
    ids = {StackState().stack_id for _ in range(500)}

    assert len(ids) == 500
    assert not any(name.startswith("-") for name in ids)
    assert {len(name) for name in ids} == {22}
