"""What one transaction applies, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from tailrace.schemas.event import Event, Refusal

if TYPE_CHECKING:
    from tailrace.consumers.guard import RefusalGuard


class Record(NamedTuple):
    """One record of the log as it was read. `topic` is the full name, `timestamp_ms` the broker's append time.

    `is_astray` says that its key belongs to another partition now: another partitioner wrote it, or partitions were
    added since. Records of one key may then be applied from two partitions at once.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    is_astray: bool = False


class TopicPartition(NamedTuple):
    """A partition of a topic (full name)."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Span:
    """What a batch holds of one partition: the progress it expects and the progress it reaches."""

    epoch: int
    expected: int
    reached: int
    fingerprint: str | None
    event_time: datetime | None
    append_time: datetime | None


@dataclass
class Batch:
    """Decoded records of several partitions, in each partition's log order.

    `records` holds the raw record of every event and refusal by (topic, partition, offset), as parking and dead
    letters keep it. `wake` are refused events that nobody waits for any more: what was held behind them goes on.
    `guard` judges how many events may be refused by faults of ours; None: any number.
    """

    spans: dict[TopicPartition, Span] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    refusals: list[tuple[Record, Refusal]] = field(default_factory=list)
    records: dict[tuple[str, int, int], Record] = field(default_factory=dict)
    ignored: int = 0
    wake: frozenset[str] = frozenset()
    guard: "RefusalGuard | None" = None

    def record_of(self, event: Event, topics: Mapping[str, str]) -> Record:
        """The raw record that an event came from."""
        return self.records[topics[event.topic], event.partition, event.offset]


@dataclass
class Outcome:
    """Counts of what one transaction did."""

    events: int = 0
    posted: int = 0
    repeats: int = 0
    parked: int = 0
    released: int = 0
    refused: int = 0
    faults: int = 0
    """Of the refused, those that fit the contract: the store or a projection failed on them."""

    def add(self, other: "Outcome") -> None:
        """Count what another transaction, or another part of this one, did as well."""
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)
