"""How far an import came, and how fast it goes."""

from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import InvalidInputError, PreconditionError
from tailrace.history.pacing import STRIDE_EVENTS, paced
from tailrace.history.resuming import SAVED_EVERY_EVENTS, Checkpoint

EVENTS = [{"id": str(number)} for number in range(10)]


def test_it_goes_on_behind_what_is_done(tmp_path: Path):
    first = Checkpoint(tmp_path / "state")
    for event in EVENTS[:4]:
        first.note(event["id"])
    first.save()

    second = Checkpoint(tmp_path / "state")

    assert list(second.rest(iter(EVENTS))) == EVENTS[4:]
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_it_is_remembered_now_and_then_and_not_at_every_event(tmp_path: Path):
    checkpoint = Checkpoint(tmp_path / "state")
    for number in range(SAVED_EVERY_EVENTS - 1):
        checkpoint.note(str(number))
    assert not (tmp_path / "state").exists()

    checkpoint.note("last")

    assert Checkpoint(tmp_path / "state").done == SAVED_EVERY_EVENTS


@pytest.mark.parametrize("events", [EVENTS[:3], [*EVENTS[:3], {"id": "another"}, *EVENTS[4:]]])
def test_another_export_is_not_taken_for_the_same(tmp_path: Path, events: list[dict[str, Any]]):
    checkpoint = Checkpoint(tmp_path / "state")
    for event in EVENTS[:4]:
        checkpoint.note(event["id"])
    checkpoint.save()

    with pytest.raises(PreconditionError):
        list(Checkpoint(tmp_path / "state").rest(iter(events)))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"done": "x", "last_id": "y"}'])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "state").write_bytes(content)

    with pytest.raises(InvalidInputError):
        Checkpoint(tmp_path / "state")


class Clock:
    """Time that passes only in `sleep` and where a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


async def test_a_rate_is_kept_and_lost_time_is_not_made_up_for():
    clock, taken = Clock(), 0
    async for _ in paced(iter([{}] * (4 * STRIDE_EVENTS)), 200, clock, clock.sleep):
        taken += 1
        if taken == 2 * STRIDE_EVENTS:
            clock.now += 3.0

    assert taken == 4 * STRIDE_EVENTS
    assert clock.slept == [0.5, 0.0, 0.5, 0.5]
