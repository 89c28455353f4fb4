"""A log in memory for a worker of the bench: no broker, so that only the worker and its stores are measured."""

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from tailrace.consumers.batch import Record, TopicPartition
from tailrace.consumers.log import Offsets, OnAssigned, OnRevoked

WAIT_S = 0.002


class MemoryLog:
    """The only member of its group; see `tailrace.consumers.log.Log`. Read once, in the order of `records`.

    More may be appended while it is read. `reading_since` is when the partitions were claimed, by `perf_counter`.
    """

    def __init__(self, partitions: Iterable[TopicPartition], records: Sequence[Record] = ()) -> None:
        self._records = list(records)
        self._ends: Offsets = dict.fromkeys(partitions, 0)
        self._ends |= {TopicPartition(r.topic, r.partition): r.offset + 1 for r in records}
        self._at = 0
        self.reading_since = 0.0

    def append(self, records: Sequence[Record]) -> None:
        self._records += records
        self._ends |= {TopicPartition(r.topic, r.partition): r.offset + 1 for r in records}

    async def start(self, topics: Iterable[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        del topics, on_revoked
        on_assigned(set(self._ends))

    async def stop(self) -> None:
        """Nothing was opened."""

    def hold(self, partitions: Iterable[TopicPartition]) -> None:
        """Nobody takes partitions away."""

    def read_from(self, positions: Mapping[TopicPartition, int]) -> None:
        if any(positions.values()):
            raise ValueError("this log is only read from its beginning")
        self.reading_since = time.perf_counter()

    async def bounds(self, partitions: Iterable[TopicPartition]) -> tuple[Offsets, Offsets]:
        wanted = list(partitions)
        return dict.fromkeys(wanted, 0), {tp: self._ends[tp] for tp in wanted}

    async def fetch(
        self,
        wait_ms: int,
        records_max: int,
        of: Collection[TopicPartition] | None = None,  # noqa: ARG002 - cannot choose
    ) -> dict[TopicPartition, list[Record]]:
        found: dict[TopicPartition, list[Record]] = {}
        deadline = time.perf_counter() + wait_ms / 1000
        while not self.reading_since or self._at == len(self._records):
            if time.perf_counter() >= deadline:
                return found
            await asyncio.sleep(WAIT_S)
        for record in self._records[self._at : self._at + records_max]:
            found.setdefault(TopicPartition(record.topic, record.partition), []).append(record)
        self._at += sum(map(len, found.values()))
        return found

    def high_water(self, partition: TopicPartition) -> int | None:
        return self._ends[partition]

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Only tools would read it."""
