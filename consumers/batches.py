"""From records of the log to a decoded batch."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from tailrace.consumers.batch import Batch, Record, Span, TopicPartition
from tailrace.consumers.progress import fingerprint
from tailrace.schemas.decode import KeyAndValue, Outcomes, append_times, decode_all
from tailrace.schemas.event import Event

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Reader = Callable[[str, Sequence[KeyAndValue], Sequence[datetime | None]], Outcomes]
"""`schemas.decode.decode_all`, or `schemas.glance.glance_all` for those who ask events only what they touch."""


def append_time(record: Record) -> datetime:
    """When the broker appended the record, UTC (topics are created with LogAppendTime)."""
    return _EPOCH + timedelta(milliseconds=record.timestamp_ms)


def add_records(  # noqa: PLR0913 - a partition's place, position and way of reading
    batch: Batch, partition: TopicPartition, short: str, records: Sequence[Record], *, epoch: int, expected: int,
    read: Reader = decode_all,
) -> None:  # fmt: skip
    """Decode records of one partition, which must start at or after `expected`, into the batch.

    `short` is the topic's name without its prefix. A null value is ignored and counted; a refusal moves the position
    like an event.
    """
    newest: datetime | None = None
    topic, number = partition
    events, raw = batch.events, batch.records
    times = append_times([record.timestamp_ms for record in records])
    for record, decoded in zip(records, read(short, records, times), strict=True):
        if decoded is None:
            batch.ignored += 1
            continue
        offset = record.offset
        raw[topic, number, offset] = record
        if isinstance(decoded, Event):
            decoded.partition, decoded.offset = number, offset
            events.append(decoded)
            if newest is None or decoded.time > newest:
                newest = decoded.time
        else:
            batch.refusals.append((record, decoded))
    last = records[-1]
    held = batch.spans.get(partition)
    batch.spans[partition] = Span(
        epoch=epoch,
        expected=expected if held is None else held.expected,
        reached=last.offset + 1,
        fingerprint=fingerprint(last),
        event_time=max(filter(None, (newest, held.event_time if held else None)), default=None),
        append_time=append_time(last),
    )


def without(batch: Batch, partitions: Iterable[TopicPartition], topics: Mapping[str, str]) -> Batch:
    """The batch less some partitions; `topics` maps short to full names."""
    dropped = set(partitions)
    return Batch(
        spans={tp: span for tp, span in batch.spans.items() if tp not in dropped},
        events=[e for e in batch.events if TopicPartition(topics[e.topic], e.partition) not in dropped],
        refusals=[(r, why) for r, why in batch.refusals if TopicPartition(r.topic, r.partition) not in dropped],
        records={at: r for at, r in batch.records.items() if TopicPartition(r.topic, r.partition) not in dropped},
        ignored=batch.ignored,
        wake=batch.wake,
        guard=batch.guard,
    )
