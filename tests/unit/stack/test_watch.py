from pathlib import Path

from tailrace.stack.process import ProcessId
from tailrace.stack.state import ServerRecord, StackState, load_state, save_state
from tailrace.stack.watch import RESTARTS_MAX, RESTARTS_WINDOW_S, BackOff, Watcher

DEAD = ProcessId(pid=2**22 + 1, started_ticks=1)
"""Above the highest pid Linux gives."""


def dead(*, wanted: bool = True) -> ServerRecord:
    return ServerRecord(address="redis://127.0.0.1:1/0", ports=(1,), process=DEAD, wanted=wanted)


def test_the_wait_between_restarts_doubles_up_to_half_a_minute():
    back_off = BackOff()
    waits = []
    for _ in range(7):
        back_off.note_start(100.0)
        waits.append(back_off.not_before - 100.0)

    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_too_many_restarts_in_the_window_are_enough():
    back_off = BackOff()
    for _ in range(RESTARTS_MAX):
        assert not back_off.exhausted(0.0)
        back_off.note_start(0.0)

    assert back_off.exhausted(RESTARTS_WINDOW_S - 1)
    assert not back_off.exhausted(RESTARTS_WINDOW_S)


def test_there_is_nothing_to_watch_without_a_wanted_server(tmp_path: Path):
    watcher = Watcher(tmp_path, tmp_path)
    assert not watcher.look(0.0)

    save_state(tmp_path, StackState().with_server("redis", dead(wanted=False)))

    assert not watcher.look(0.0)


def test_a_server_that_keeps_dying_is_given_up(tmp_path: Path):
    save_state(tmp_path, StackState().with_server("redis", dead()))
    spent = BackOff(attempts=[0.0] * RESTARTS_MAX)

    assert Watcher(tmp_path, tmp_path, {"redis": spent}).look(1.0)

    state = load_state(tmp_path)
    assert state is not None
    assert state.servers["redis"].gave_up
    assert state.servers["redis"].process == DEAD
