"""What a stream is: a value that names its topics, and a function of a partition's records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tailrace.schemas.event import Refusal
from tailrace.streams.records import Output, Record

Folded = Sequence[Output] | Refusal


class Work(Protocol):
    """What a stream does with the records of one partition, and what it keeps of them; no driver, no loop, no clock.

    The same records from the same beginning give the same outputs: state is rebuilt by folding again and dropping the
    outputs, and an output that is sent twice is the same record twice.
    """

    def fold(self, record: Record) -> Folded:
        """Take the next record; returns what follows from it, or why it is a dead letter."""
        ...

    def settle(self, now: datetime | None) -> Sequence[Output]:
        """What has become final by `now` (aware UTC); asked after every batch and once a second.

        It may depend on `now` only in when an output comes, never in what it says. None asks for what the records alone
        have made final: that is what a commit vouches for, whoever made it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Beside:
    """Topics (names without prefix) of which every process reads all partitions, and what takes their records."""

    topics: tuple[str, ...]
    take: Callable[[Record], None]


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream. `source` and `targets` are topics' names without prefix; `open` makes the work of a partition.

    A stream with `memory` must have seen its partition from the beginning of the log; one without may start anywhere.
    """

    name: str
    source: str
    targets: tuple[str, ...]
    memory: bool
    open: Callable[[int], Work]
    beside: Beside | None = None
