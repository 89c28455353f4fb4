"""What a stream reads and what it writes."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

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
