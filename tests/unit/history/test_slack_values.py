"""Slack's timestamps, whatever they are written as."""

from typing import Any

import pytest

from tailrace.history.generated import Moment
from tailrace.history.slack_values import SlackIds, slack_ts
from tailrace.history.values import micros


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1355517523.000005", 1_355_517_523_000_005),
        ("1355517523.0000051", 1_355_517_523_000_005),
        ("1355517523.5", 1_355_517_523_500_000),
        ("1355517523", 1_355_517_523_000_000),
        (1_355_517_523, 1_355_517_523_000_000),
        (1_355_517_523.25, 1_355_517_523_250_000),
        (1_355_517_523_123, 1_355_517_523_123_000),
        ("946684800", 946_684_800_000_000),
        ("946684799.999999", None),
        ("4102444800", None),
        ("0000000000.000000", None),
        (0, None),
        (-5, None),
        ("", None),
        ("now", None),
        ("1355517523.x", None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        (True, None),
        (None, None),
        ({}, None),
    ],
)
def test_times_are_read_to_the_microsecond(value: Any, expected: Any):
    assert micros(value) == expected


def test_a_time_is_written_the_way_slack_does():
    assert slack_ts(1_355_517_523_000_005) == "1355517523.000005"


def test_moments_of_one_microsecond_follow_each_other():
    first = Moment(1_600_000_000_000_000)

    assert first.then(first.us) == Moment(first.us, 1)
    assert first.then(first.us - 5).sequence == first.sequence + 1
    assert first.then(first.us + 1) == Moment(first.us + 1)
    assert first.then(first.us).sequence < first.then(first.us + 1).sequence


def test_a_sequence_has_the_scale_of_the_clock_that_stamps_live_events():
    from tailrace.producer.clock import HybridClock

    live = HybridClock(now_us=lambda: 1_600_000_000_000_001).next()

    assert Moment(1_600_000_000_000_000, 2_000).sequence < live < Moment(1_600_000_000_000_002).sequence


def test_teams_do_not_share_ids():
    assert SlackIds("T1").user("U1") != SlackIds("T2").user("U1")
    assert SlackIds("T1").user("X1") != SlackIds("T1").channel("X1")
    assert SlackIds("T1").user("U1") == SlackIds("T1").user("U1")
