"""What the runtime asks of a store."""

from collections.abc import Mapping
from typing import Protocol

from tailrace.consumers.batch import Batch, Outcome, TopicPartition
from tailrace.consumers.progress import Claim


class Progress(Protocol):
    """Where a projection's positions are kept."""

    async def claim(self, beginnings: Mapping[TopicPartition, int], owner: str) -> dict[TopicPartition, Claim]:
        """Issue a new epoch for each partition; earlier owners are fenced from this moment on."""
        ...

    async def halt(self, partition: TopicPartition, code: str, reason: str) -> None:
        """Record that a partition stands still and why."""
        ...


class Sink(Protocol):
    """One projection's store. `topics` maps short to full names; `progress` is where its positions are kept.

    `alone` names the short topics whose records are applied in batches of their own, apart from the others.
    """

    topics: Mapping[str, str]
    alone: frozenset[str]

    @property
    def progress(self) -> Progress:
        """Its positions."""
        ...

    def prefetch(self, batch: Batch) -> None:
        """Hear of a batch that waits behind the one being applied; begin with what moves nothing, or do nothing.

        The batch may come to `apply` later, or never, or in part.
        """
        ...

    async def apply(self, batch: Batch) -> Outcome:
        """Apply a batch and move its progress.

        Raises `FencedError` or `RefusedByStoreError` with nothing moved. After an error for which `is_retryable` holds
        it is unknown what was applied, and calling again with the same batch must be right.
        """
        ...

    def is_retryable(self, error: BaseException) -> bool:
        """Whether the same call may well succeed when made again."""
        ...

    def is_unreachable(self, error: BaseException) -> bool:
        """Whether it says that the store does not answer: then it is tried again for as long as it takes."""
        ...

    def discard(self) -> None:
        """Drop connections and everything remembered; the next call starts anew."""
        ...

    async def close(self) -> None:
        """Give connections back; bounded in time."""
        ...
