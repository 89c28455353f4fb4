"""Archive and live log as one: what a worker reads that must begin before Kafka does."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Protocol

from tailrace.archiving.archive import Archive
from tailrace.archiving.segments import ArchivedRecord
from tailrace.consumers.batch import Record, TopicPartition
from tailrace.consumers.log import Log, Offsets, OnAssigned, OnRevoked
from tailrace.settings import Settings


class EndingLog(Log, Protocol):
    """A log that ends at given offsets."""

    @property
    def is_exhausted(self) -> bool:
        """Every record before the ends was handed out."""
        ...

    def extend(self, until: Mapping[TopicPartition, int]) -> None:
        """Read on, to these offsets."""
        ...


class ArchivedLog:
    """A log of which the records that Kafka has removed come from the archive, then the others from `live`.

    Reading a segment blocks for some milliseconds. A gap between archive and live log is raised as `PreconditionError`
    when it is reached.
    """

    def __init__(
        self, live: EndingLog, archive: Archive, settings: Settings, until: Mapping[TopicPartition, int]
    ) -> None:
        self._live = live
        self._archive = archive
        prefix = settings.kafka.topic_prefix
        self._shorts = {tp: tp.topic.removeprefix(prefix) for tp in until}
        self._until = dict(until)
        self._beginnings: Offsets = {}
        self._pending: dict[TopicPartition, Iterator[ArchivedRecord]] = {}
        self._resume: dict[TopicPartition, int] = {}

    async def start(self, topics: Iterable[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """See `Log`."""
        await self._live.start(topics, on_assigned, on_revoked)

    async def stop(self) -> None:
        """See `Log`."""
        await self._live.stop()

    def hold(self, partitions: Iterable[TopicPartition]) -> None:
        """See `Log`."""
        held = list(partitions)
        for tp in held:
            self._pending.pop(tp, None)
        self._live.hold(held)

    def read_from(self, positions: Mapping[TopicPartition, int]) -> None:
        """See `Log`; offsets before the live log's beginning are read from the archive."""
        later = {}
        for tp, start in positions.items():
            live = self._beginnings.get(tp, 0)
            self._pending.pop(tp, None)
            if start >= live:
                later[tp] = start
            else:
                end = min(live, max(start, self._until.get(tp, live)))
                self._pending[tp] = iter(self._archive.read(self._shorts[tp], tp.partition, start, end))
                self._resume[tp] = end
        self._live.read_from(later)

    async def bounds(self, partitions: Iterable[TopicPartition]) -> tuple[Offsets, Offsets]:
        """See `Log`; the archive's beginnings where it reaches further back."""
        beginnings, ends = await self._live.bounds(partitions)
        self._beginnings |= beginnings
        for tp, live in beginnings.items():
            archived = self._archive.first_offset(self._shorts[tp], tp.partition) if live > 0 else None
            if archived is not None and archived < live:
                beginnings[tp] = archived
        return beginnings, ends

    async def fetch(
        self, wait_ms: int, records_max: int, of: Collection[TopicPartition] | None = None
    ) -> dict[TopicPartition, list[Record]]:
        """See `Log`; first what the archive holds, one partition at a time."""
        for tp, records in list(self._pending.items()):
            found = [
                Record(
                    tp.topic,
                    r.partition,
                    r.offset,
                    r.timestamp,
                    r.key,
                    r.value,
                    tuple((name, value or b"") for name, value in r.headers),
                )
                for r in islice(records, records_max)
            ]
            if len(found) < records_max:
                del self._pending[tp]
                self._live.read_from({tp: self._resume.pop(tp)})
            if found:
                return {tp: found}
        return await self._live.fetch(wait_ms, records_max, of)

    def high_water(self, partition: TopicPartition) -> int | None:
        """See `Log`."""
        return self._until.get(partition) if partition in self._pending else self._live.high_water(partition)

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """See `Log`."""
        await self._live.commit(positions)

    @property
    def is_exhausted(self) -> bool:
        """Nothing is left in the archive, nor in the live log."""
        return not self._pending and self._live.is_exhausted

    def extend(self, until: Mapping[TopicPartition, int]) -> None:
        """Read on; may only move ends that lie in the live log."""
        self._until |= {tp: end for tp, end in until.items() if tp in self._until}
        self._live.extend(until)
