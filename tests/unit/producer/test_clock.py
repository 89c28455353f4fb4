import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import PreconditionError
from tailrace.producer.clock import LOGICAL_BITS, SEQUENCE_MAX, ClockFile, HybridClock, wall_clock_us
from tailrace.producer.errors import ClockDrift

MINUTE_US = 60_000_000
NOON_US = 1_795_262_400_000_000
wall_times = st.lists(st.integers(NOON_US - MINUTE_US, NOON_US + MINUTE_US), min_size=1, max_size=200)


@given(wall_times)
def test_values_rise_strictly_whatever_the_wall_clock_does(times: list[int]):
    readings = iter(times)
    clock = HybridClock(now_us=lambda: next(readings))

    values = [clock.next() for _ in times]

    assert values == sorted(set(values))
    assert all(0 < value <= SEQUENCE_MAX for value in values)


@given(wall_times)
def test_a_value_is_never_behind_the_wall_clock_nor_ahead_of_its_latest_reading(times: list[int]):
    readings = iter(times)
    clock = HybridClock(now_us=lambda: next(readings))

    for count, now in enumerate(times, start=1):
        value = clock.next()
        assert value >= now << LOGICAL_BITS
        assert value <= (max(times[:count]) << LOGICAL_BITS) + count


@given(st.lists(wall_times, min_size=1, max_size=5), st.sampled_from(["close", "crash"]))
def test_values_rise_over_restarts_and_crashes_though_the_wall_clock_was_set_back(
    tmp_path_factory: pytest.TempPathFactory, lives: list[list[int]], end: str
):
    path = tmp_path_factory.mktemp("clock") / "state"
    values = []
    for times in lives:
        readings = iter(times)
        clock = HybridClock(now_us=lambda readings=readings: next(readings))
        state = ClockFile(path)
        clock.attach(state)
        values += [clock.next() for _ in times]
        if end == "close":
            clock.close()
        else:
            state.close()

    assert values == sorted(set(values))


def test_a_clean_restart_goes_on_right_behind_the_last_value(tmp_path: Path):
    first = HybridClock(now_us=lambda: NOON_US)
    first.attach(ClockFile(tmp_path / "state"))
    last = first.next()
    first.close()
    second = HybridClock(now_us=lambda: NOON_US - MINUTE_US)
    second.attach(ClockFile(tmp_path / "state"))

    assert second.next() == last + 1

    second.close()


def test_the_state_file_belongs_to_one_producer_at_a_time(tmp_path: Path):
    held = ClockFile(tmp_path / "state")

    with pytest.raises(PreconditionError, match="another process"):
        ClockFile(tmp_path / "state")

    held.close()
    ClockFile(tmp_path / "state").close()


def test_a_damaged_state_file_is_not_taken_for_zero(tmp_path: Path):
    (tmp_path / "state").write_text("-1\n")

    with pytest.raises(PreconditionError, match="does not hold a clock mark"):
        ClockFile(tmp_path / "state")


def test_what_was_observed_is_passed():
    clock = HybridClock(now_us=lambda: NOON_US)
    seen = (NOON_US + MINUTE_US) << LOGICAL_BITS

    clock.observe(seen)

    assert clock.next() == seen + 1


def test_observing_something_older_changes_nothing():
    clock = HybridClock(now_us=lambda: NOON_US)
    value = clock.next()

    clock.observe(value - 1)

    assert clock.next() == value + 1


def test_a_sequence_too_far_ahead_of_the_wall_clock_is_refused_and_not_taken_over():
    clock = HybridClock(now_us=lambda: NOON_US, drift_max_s=60)

    with pytest.raises(ClockDrift):
        clock.observe((NOON_US + MINUTE_US + 1) << LOGICAL_BITS)

    assert clock.next() == NOON_US << LOGICAL_BITS


def test_a_wall_clock_set_back_too_far_stops_the_stamping_until_it_has_caught_up():
    now = [NOON_US]
    clock = HybridClock(now_us=lambda: now[0], drift_max_s=60)
    last = clock.next()
    now[0] -= 2 * MINUTE_US

    with pytest.raises(ClockDrift, match=r"120\.0 s ahead"):
        clock.next()

    now[0] += MINUTE_US
    assert clock.next() == last + 1


def test_the_wall_clock_is_in_microseconds_since_1970():
    assert abs(wall_clock_us() / 1_000_000 - time.time()) < 1
