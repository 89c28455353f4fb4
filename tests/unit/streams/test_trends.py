import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from channel_life import Life, value_of, windows_of
from contract_events import BASE

from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.streams.records import Output, Record
from tailrace.streams.trends import Trends, hot_score
from tailrace.streams.windows import GRACE_S, windows_with

LATER = BASE + timedelta(days=1)


def record(event: dict, offset: int, appended: datetime = LATER) -> Record:
    key = event["data"]["channel_id"].encode()
    return Record("conversations", 0, offset, int(appended.timestamp() * 1000), key, value_of(event))


def final(outputs: list[Output]) -> dict[tuple[str, int, int], tuple[int, int, int]]:
    """What a reader makes of the topic: of each window the values with the highest sequence."""
    held: dict[tuple[str, int, int], Event] = {}
    for output in outputs:
        event = decode(output.topic, output.key, output.value, LATER + timedelta(days=1))
        assert isinstance(event, Event)
        data = event.data
        key = data["channel_id"], data["window_seconds"], int(data["window_start"].timestamp())
        if key not in held or event.sequence > held[key].sequence:
            held[key] = event
        elif event.sequence == held[key].sequence:
            assert event.data == held[key].data
    return {k: (e.data["messages"], e.data["reactions"], e.data["active_users"]) for k, e in held.items()}


def run(work: Trends, records: list[Record], dice: random.Random) -> list[Output]:
    """Fold in batches of random size."""
    outputs: list[Output] = []
    while records:
        size = dice.randrange(1, 60)
        for one in records[:size]:
            outputs += work.fold(one)
        outputs += work.settle(LATER)
        records = records[size:]
    return outputs


def finish(work: Trends) -> list[Output]:
    return [*work.settle(LATER), *work.settle(LATER)]


def late(event: dict, dice: random.Random) -> dict:
    """Some events happened up to twice the grace before the one before them."""
    if dice.random() < 0.2:
        time = datetime.fromisoformat(event["time"]) - timedelta(seconds=dice.uniform(0, 2 * GRACE_S))
        event = event | {"time": time.isoformat()}
    return event


@pytest.mark.parametrize("seed", range(20))
def test_every_window_ends_with_what_a_recount_finds(seed):
    life, dice = Life(seed, begins=BASE, step_s=8, channels=4), random.Random(seed)
    events = [late(event, dice) for event in (*life.founding(), *life.events(1_500))]
    records = [record(event, offset) for offset, event in enumerate(events)]
    work = Trends()
    outputs = run(work, records, dice) + finish(work)
    expected = windows_of([(record.timestamp_ms / 1000, json.loads(record.value)) for record in records])

    assert len(expected) > 1_000
    assert final(outputs) == expected


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_restart_anywhere_gives_no_window_another_value(seed):
    life, dice = Life(seed, begins=BASE, step_s=8, channels=3), random.Random(seed)
    events = [late(event, dice) for event in (*life.founding(), *life.events(900))]
    records = [record(event, offset) for offset, event in enumerate(events)]
    outputs: list[Output] = []
    committed = 0
    for _ in range(6):
        work = Trends()
        for one in records[:committed]:
            work.fold(one)
        work.settle(None)  # was sent before it was committed
        stop = dice.randrange(committed, len(records) + 1)
        outputs += run(work, records[committed:stop], dice)
        committed = dice.randrange(committed, stop + 1)  # the last commits were lost
    work = Trends()
    for one in records[:committed]:
        work.fold(one)
    work.settle(LATER)
    outputs += run(work, records[committed:], dice) + finish(work)

    assert final(outputs) == windows_of([(r.timestamp_ms / 1000, json.loads(r.value)) for r in records])


def test_a_repeat_changes_nothing():
    life = Life(1, begins=BASE, step_s=5, channels=2)
    events = [*life.founding(), *life.events(300)]
    once, twice = Trends(), Trends()
    for offset, event in enumerate(events):
        once.fold(record(event, offset))
        twice.fold(record(event, 2 * offset))
        twice.fold(record(event, 2 * offset + 1))

    assert final(finish(once)) == final(finish(twice))


def test_one_reaction_under_several_names_counts_once():
    life = Life(1, begins=BASE, step_s=1, channels=1)
    channel, message = life.channels[0], life.posted(life.channels[0])["data"]["message_id"]
    data = {"message_id": message, "user_id": life.people[0]}
    work = Trends()
    for offset, emoji in enumerate(("👍", "+1", ":ThumbsUp:", "👍🏽", "❤️", "❤")):
        work.fold(record(life.event("reaction.added", channel, emoji=emoji, **data), offset))

    assert set(final(finish(work)).values()) == {(0, 3, 1)}


def test_a_minute_is_in_one_five_and_twelve_windows():
    pane = int(datetime(2026, 11, 20, 12, 7, tzinfo=UTC).timestamp())
    windows = list(windows_with("c", pane))

    assert {size: sum(window.size == size for window in windows) for size in (60, 300, 3_600)} == {
        60: 1,
        300: 5,
        3_600: 12,
    }
    assert all(window.start <= pane < window.end for window in windows)
    assert all(window.start % {60: 60, 300: 60, 3_600: 300}[window.size] == 0 for window in windows)


def test_a_producer_whose_clock_runs_ahead_makes_nobody_late():
    life = Life(1, begins=BASE, step_s=1, channels=1)
    ahead, usual = life.posted(life.channels[0]), life.posted(life.channels[0])
    ahead |= {"time": (life.time + timedelta(minutes=9)).isoformat()}
    ahead["data"]["message_type"] = usual["data"]["message_type"] = "text"
    usual |= {"time": (life.time - timedelta(minutes=5)).isoformat()}
    work = Trends()
    work.fold(record(ahead, 0, life.time))
    work.fold(record(usual, 1, life.time))

    assert sum(counts[0] for (_, size, _), counts in final(finish(work)).items() if size == 60) == 2


def test_a_window_that_ended_is_given_out_when_nothing_comes_any_more():
    life = Life(1, begins=BASE, step_s=1, channels=1)
    event = life.posted(life.channels[0])
    event["data"]["message_type"] = "text"
    work = Trends()
    work.fold(record(event, 0))
    busy, idle = work.settle(LATER), work.settle(LATER)

    assert (len(busy), len(idle)) == (0, 18)
    assert work.settle(LATER) == []


def test_what_ended_by_the_clock_alone_is_not_taken_for_given_out_when_a_partition_comes_back():
    life, work = Life(1, begins=BASE, step_s=1, channels=1), Trends()
    event = life.posted(life.channels[0])
    event["data"]["message_type"] = "text"
    work.fold(record(event, 0))
    work.settle(LATER)

    assert work.settle(None) == []
    assert len([*work.settle(LATER), *work.settle(LATER)]) == 18


def test_many_people_are_hotter_than_one_who_writes_as_much():
    assert hot_score(0, 0, 0, 60) == 0
    assert hot_score(10, 0, 1, 60) < hot_score(10, 0, 5, 60)
    assert hot_score(10, 0, 2, 60) == pytest.approx(5 * hot_score(10, 0, 2, 300), abs=1e-3)
    assert hot_score(10, 0, 2, 60) < hot_score(10, 4, 2, 60)
