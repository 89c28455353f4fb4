"""What the runtime asks of a log."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Protocol

from tailrace.consumers.batch import Record, TopicPartition

OnAssigned = Callable[[set[TopicPartition]], None]
OnRevoked = Callable[[set[TopicPartition]], Awaitable[None]]
Offsets = dict[TopicPartition, int]


class Log(Protocol):
    """A member of a consumer group that reads where it is told to, and nothing before it was told.

    Partitions are assigned and taken back by calls of `on_assigned` and `on_revoked`, at any time between two awaits of
    the worker; an assigned partition is held until `read_from` names a position. Records that were fetched before that
    may still come once.
    """

    async def start(self, topics: Iterable[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """Join the group."""
        ...

    async def stop(self) -> None:
        """Leave the group."""
        ...

    def hold(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching these partitions."""
        ...

    def read_from(self, positions: Mapping[TopicPartition, int]) -> None:
        """Fetch from these offsets on; partitions that are no longer assigned are passed over."""
        ...

    async def bounds(self, partitions: Iterable[TopicPartition]) -> tuple[Offsets, Offsets]:
        """First offset and end offset of each partition. Raises `LogUnreachableError`."""
        ...

    async def fetch(
        self, wait_ms: int, records_max: int, of: Collection[TopicPartition] | None = None
    ) -> dict[TopicPartition, list[Record]]:
        """Records of several partitions, each in order; empty after `wait_ms` without any.

        `of` are those whose records can be taken at once, all if it is None: a log that can choose gives nothing of the
        others now. Raises `OutOfRangeError`, `BrokenLogError` and `LogUnreachableError`; no record is lost by any of
        them.
        """
        ...

    def high_water(self, partition: TopicPartition) -> int | None:
        """End of the partition as the last fetch saw it."""
        ...

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Tell the broker how far we are; advisory, never raises."""
        ...
