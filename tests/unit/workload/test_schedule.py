"""People sleep at night, by the clock of their own workspace, and rest at the weekend."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tailrace.workload import generate, named_profile
from tailrace.workload.schedule import activity
from tailrace.workload.writer import rfc3339

START = datetime(2026, 10, 19, tzinfo=UTC)
"""A Monday."""
HOUR_US = 3_600_000_000


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def test_ten_in_the_morning_is_busier_than_three_at_night():
    assert activity(us("2026-10-20T10:00:00Z"), 0) > 20 * activity(us("2026-10-20T03:00:00Z"), 0)


def test_the_clock_is_the_workspaces():
    assert activity(us("2026-10-20T01:00:00Z"), 540) == activity(us("2026-10-20T10:00:00Z"), 0)


def test_a_saturday_is_quiet_wherever_it_has_begun():
    assert activity(us("2026-10-24T10:00:00Z"), 0) < activity(us("2026-10-23T10:00:00Z"), 0) / 5
    assert activity(us("2026-10-23T20:00:00Z"), 540) < activity(us("2026-10-23T20:00:00Z"), 0)


@pytest.mark.slow
def test_a_run_fills_its_days_and_ends_in_time():
    made = [json.loads(r.value) for r in generate(named_profile("steady", start=START, events=20_000, workspaces=1))]
    times = [datetime.fromisoformat(event["time"]) for event in made]
    by_hour = Counter(time.hour for time in times)

    assert times[0] == START - timedelta(hours=1)
    assert START + timedelta(days=13) < times[-1] < START + timedelta(days=14, seconds=10)
    # One workspace, in London.
    assert by_hour[9] > 10 * by_hour[1]


def test_times_are_written_with_six_digits():
    assert rfc3339(us("2026-10-20T10:00:00Z") + 42) == "2026-10-20T10:00:00.000042Z"
    assert rfc3339(-1) == "1969-12-31T23:59:59.999999Z"
