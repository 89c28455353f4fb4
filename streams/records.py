"""What a stream reads and what it writes."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from tailrace.producer.clock import LOGICAL_BITS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STEPS_PER_MS: Final = 1_000 << LOGICAL_BITS
"""Sequences that the SDK's clock has for one millisecond, the unit in which a broker tells its append time."""

Headers = tuple[tuple[str, bytes], ...]


class Record(NamedTuple):
    """One record as it was read. `topic` is the name without prefix, `timestamp_ms` the broker's append time."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Output(NamedTuple):
    """One record to be written. `topic` is the name without prefix."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def append_time(record: Record) -> datetime:
    """When the broker appended the record, UTC (topics are created with LogAppendTime)."""
    return _EPOCH + timedelta(milliseconds=record.timestamp_ms)


def sequence_of(record: Record) -> int:
    """A sequence on the SDK's scale that follows the append time and, within a millisecond, the offset.

    The offset has the whole millisecond's room, 2,048,000 steps, because eleven bits would turn over within one.
    """
    return record.timestamp_ms * STEPS_PER_MS + record.offset % STEPS_PER_MS
