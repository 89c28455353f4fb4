"""Rule R, on bare registers: higher wins, equal is a duplicate, lower is stale, ties go to the greater id."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from tailrace.projections.registers import Registers, held_at, latest, moment, stamp, take, take_lowest
from tailrace.schemas.event import Event

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def event(sequence: int, id_: str = "a", minutes: int = 0) -> Event:
    at = NOON + timedelta(minutes=minutes)
    return Event("collab.user.updated", id_, sequence, at, {}, "/tests", "s", 1, None, None, None)


def test_a_higher_sequence_takes_the_register():
    registers: Registers = {}

    assert take(registers, "profile", event(1), "x")
    assert take(registers, "profile", event(2, minutes=5), "y")
    assert registers == {"profile": [2, "a", "2026-11-20T12:05:00.000000+00:00", "y"]}


@pytest.mark.parametrize("late", [event(2), event(1), event(1, "z")], ids=["the same", "lower", "lower, greater id"])
def test_what_is_not_newer_changes_nothing_and_says_so(late: Event):
    registers: Registers = {}
    take(registers, "profile", event(2))
    held = {name: list(register) for name, register in registers.items()}

    assert not take(registers, "profile", replace(late, time=NOON + timedelta(hours=1)))
    assert registers == held


def test_of_equal_sequences_the_greater_id_holds():
    for order in itertools.permutations([event(1, "a"), event(1, "b"), event(1, "c")]):
        registers: Registers = {}
        for one in order:
            take(registers, "profile", one)
        assert registers["profile"][1] == "c"


def test_the_lowest_event_creates_whatever_the_order():
    for order in itertools.permutations([event(1, "b", 9), event(1, "c", 1), event(2, "a", 2)]):
        registers: Registers = {}
        for one in order:
            take_lowest(registers, "created", one)
        assert held_at(registers, "created") == NOON + timedelta(minutes=9)


def test_the_same_creating_event_again_is_no_change():
    registers: Registers = {}

    assert take_lowest(registers, "created", event(1))
    assert not take_lowest(registers, "created", event(1))


def test_latest_is_the_greatest_time_not_that_of_the_highest_sequence():
    registers: Registers = {}
    take(registers, "profile", event(9, minutes=1))
    take(registers, "status", event(1, minutes=8))

    assert latest(registers, "profile", "status", "never") == NOON + timedelta(minutes=8)
    assert latest(registers, "never") is None
    assert held_at(registers, "never") is None


def test_stamps_compare_as_text_and_read_back():
    times = [NOON, NOON + timedelta(microseconds=1), NOON + timedelta(seconds=1)]

    assert sorted(map(stamp, reversed(times))) == [stamp(time) for time in times]
    assert [moment(stamp(time)) for time in times] == times
