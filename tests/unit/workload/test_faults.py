"""Duplicates, wrong order and late events come in the asked shares and in the promised shape."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tailrace.workload import Generated, Summary, generate, named_profile
from tailrace.workload.dice import Dice
from tailrace.workload.faults import HELD_FOR_MAX, HELD_MAX, send_twice, swap_neighbours

START = datetime(2026, 10, 20, tzinfo=UTC)


def record(number: int, key: bytes = b"k") -> Generated:
    return Generated("conversations", key, str(number).encode(), "collab.message.posted")


def test_the_shares_are_the_ones_asked_for(demo: list[Generated], demo_summary: Summary):
    profile = named_profile("demo", start=START)

    assert demo_summary.events == profile.events
    assert demo_summary.faults["duplicate"] / profile.events == pytest.approx(0.03, rel=0.1)
    assert demo_summary.faults["swapped"] / profile.events == pytest.approx(0.02, rel=0.1)
    # A late event may be swapped or sent twice as well, and is then counted as that.
    assert demo_summary.faults["late"] / profile.events == pytest.approx(0.01, rel=0.15)
    assert demo_summary.faults["poison"] == 30
    assert len(demo) == demo_summary.records == profile.events + demo_summary.faults["duplicate"] + 30


def test_a_duplicate_is_an_earlier_record_to_the_byte_some_soon_some_much_later(demo: list[Generated]):
    position: dict[bytes, int] = {}
    distances = []
    for index, made in enumerate(demo):
        if made.fault == "duplicate":
            distances.append(index - position[made.value])
        elif made.fault != "poison":
            position[made.value] = index

    assert len(distances) > 1_000
    assert sum(distance <= 200 for distance in distances) > len(distances) / 2
    assert max(distances) > 10_000


def test_swapped_neighbours_share_a_key_and_only_two_change_places():
    made = list(swap_neighbours([record(n) for n in range(1_000)], 0.1, Dice("test")))

    swapped = [index for index, one in enumerate(made) if one.fault == "swapped"]
    assert len(swapped) == pytest.approx(100, abs=3)
    assert all(int(made[index - 1].value) == int(made[index].value) + 1 for index in swapped)
    assert sorted(int(one.value) for one in made) == list(range(1_000))


def test_a_record_whose_neighbour_never_comes_is_given_out_all_the_same():
    lonely = [record(n, str(n).encode()) for n in range(10 * HELD_MAX)]

    made = list(swap_neighbours(lonely, 0.5, Dice("test")))

    assert sorted(made) == sorted(lonely)


def test_no_record_is_held_back_for_long():
    made = list(swap_neighbours([record(n, str(n).encode()) for n in range(20_000)], 0.001, Dice("test")))

    assert max(place - int(one.value) for place, one in enumerate(made)) <= HELD_FOR_MAX + 1


def test_somewhere_a_reaction_comes_before_its_message_in_the_same_key(demo: list[Generated]):
    posted: set[str] = set()
    early = 0
    every_post = {json.loads(r.value)["subject"] for r in demo if r.type == "collab.message.posted" and not r.poison}
    for made in demo:
        if made.type == "collab.message.posted":
            posted.add(json.loads(made.value)["subject"])
        elif made.type == "collab.reaction.added":
            message = json.loads(made.value)["data"]["message_id"]
            early += message in every_post and message not in posted

    assert early > 0


def test_nothing_is_sent_twice_when_the_share_is_zero():
    records = [record(n) for n in range(100)]

    assert list(send_twice(records, 0.0, Dice("test"))) == records


@pytest.mark.slow
def test_late_events_lie_days_to_months_back(demo: list[Generated]):
    newest = START
    ages = []
    for made in demo:
        if made.fault == "poison":
            continue
        time = datetime.fromisoformat(json.loads(made.value)["time"])
        if made.fault == "late":
            ages.append(newest - time)
        newest = max(newest, time)

    assert len(ages) > 400
    assert min(ages) > timedelta(hours=10)
    assert max(ages) > timedelta(days=100)


@pytest.mark.slow
def test_late_posts_keep_the_time_they_were_written_at(demo: list[Generated]):
    late = [json.loads(r.value) for r in demo if r.fault == "late" and r.type == "collab.message.posted"]

    assert late
    assert all(event["data"]["created_at"] == event["time"] for event in late)


def test_a_run_without_faults_has_none():
    made = list(generate(named_profile("steady", start=START, events=3_000)))

    assert {one.fault for one in made} == {None}
    assert len({one.value for one in made}) == 3_000
