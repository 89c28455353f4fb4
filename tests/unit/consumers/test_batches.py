"""From records to batches: what moves the position, what is passed over, and how a batch is cut."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

from contract_events import Given, id_of
from kafka_topics import record_of

from tailrace.consumers.applying import split
from tailrace.consumers.batch import Batch, Record, TopicPartition
from tailrace.consumers.batches import add_records, append_time, without
from tailrace.consumers.progress import fingerprint

FULL = {"conversations": "x.conversations", "directory": "x.directory"}
ONE, OTHER = TopicPartition("x.conversations", 0), TopicPartition("x.conversations", 1)
AT_MS = int(datetime(2026, 11, 21, tzinfo=UTC).timestamp() * 1000)


def log(partition: int, values: Sequence[bytes | None], first: int = 0) -> list[Record]:
    key = id_of("c1").encode()
    return [Record("x.conversations", partition, first + n, AT_MS + n, key, value) for n, value in enumerate(values)]


def posts(given: Given, *names: str) -> list[bytes | None]:
    return [record_of(given.posted(name)).value for name in names]


def batch_of(*parts: tuple[TopicPartition, list[Record], int]) -> Batch:
    batch = Batch()
    for partition, records, expected in parts:
        add_records(batch, partition, "conversations", records, epoch=3, expected=expected)
    return batch


def test_events_refusals_and_null_values_all_move_the_position():
    good, other = posts(Given(), "m1", "m2")
    records = log(0, [good, b"\xff", None, other, None], first=10)

    batch = batch_of((ONE, records, 8))

    span = batch.spans[ONE]
    assert (span.epoch, span.expected, span.reached) == (3, 8, 15)
    assert span.fingerprint == fingerprint(records[-1])
    assert [(e.offset, e.partition, e.topic) for e in batch.events] == [
        (10, 0, "conversations"),
        (13, 0, "conversations"),
    ]
    assert [(record.offset, str(why.code)) for record, why in batch.refusals] == [(11, "E_DECODE")]
    assert batch.ignored == 2
    assert batch.record_of(batch.events[1], FULL) is records[3]


def test_a_second_piece_of_a_partition_goes_on_from_the_first():
    records = log(0, posts(Given(), "m1", "m2", "m3"))

    batch = batch_of((ONE, records[:1], 0), (ONE, records[1:], 1))

    assert (batch.spans[ONE].expected, batch.spans[ONE].reached) == (0, 3)


def test_the_newest_event_time_is_kept_though_late_events_follow():
    given = Given()
    late = record_of(given.posted("m2", time="2026-01-01T00:00")).value
    newest = record_of(given.posted("m1", time="2026-11-20T12:00")).value
    records = log(0, [newest, late])

    batch = batch_of((ONE, records[:1], 0), (ONE, records[1:], 1))

    assert batch.spans[ONE].event_time == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert batch.spans[ONE].append_time == append_time(records[1])


def test_without_leaves_nothing_of_a_lost_partition():
    given = Given()
    batch = batch_of((ONE, log(0, [*posts(given, "m1"), b"\xff"]), 0), (OTHER, log(1, posts(given, "m2")), 0))

    rest = without(batch, {ONE}, FULL)

    assert set(rest.spans) == {OTHER}
    assert [event.partition for event in rest.events] == [1]
    assert rest.refusals == []
    assert {place[1] for place in rest.records} == {1}


def test_split_keeps_every_record_once_and_the_halves_meet():
    given = Given()
    one = log(0, [*posts(given, "m1", "m2"), b"\xff", *posts(given, "m3")])
    other = log(1, [b"\xff", *posts(given, "m4", "m5")])
    batch = batch_of((ONE, one, 0), (OTHER, other, 0))

    halves = split(batch, FULL)

    assert [e.id for half in halves for e in half.events] == [e.id for e in batch.events]
    assert sorted(p for half in halves for p in half.records) == sorted(batch.records)
    assert sum(len(half.refusals) for half in halves) == 2
    for partition in (ONE, OTHER):
        spans = [half.spans[partition] for half in halves if partition in half.spans]
        assert (spans[0].expected, spans[-1].reached) == (0, batch.spans[partition].reached)
        assert all(before.reached == after.expected for before, after in pairwise(spans))
        assert spans[-1].fingerprint == batch.spans[partition].fingerprint


def test_a_half_is_marked_with_its_own_last_record():
    records = log(0, posts(Given(), "m1", "m2", "m3", "m4"))

    first, second = split(batch_of((ONE, records, 0)), FULL)

    assert (first.spans[ONE].reached, second.spans[ONE].expected) == (2, 2)
    assert first.spans[ONE].fingerprint == fingerprint(records[1])
    assert second.spans[ONE].fingerprint == fingerprint(records[3])


def test_split_again_and_again_ends_with_single_events():
    parts = [batch_of((ONE, log(0, posts(Given(), *(f"m{n}" for n in range(9)))), 0))]
    for _ in range(4):  # 9 events in halves: 5, 3, 2, 1
        parts = [half for part in parts for half in (split(part, FULL) if len(part.events) > 1 else [part])]

    assert [[event.offset for event in part.events] for part in parts] == [[offset] for offset in range(9)]
