"""Write closed segments of the topics: what `tailrace archive run` does, again and again.

A segment is closed when it is as large as the settings allow, or when its first record has the age given there. Where
the archive stands is said by its manifests alone, so whatever kills a run, the next one goes on.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from tailrace.addresses import resolve
from tailrace.archiving.segments import ArchivedRecord, Manifest, digest_of, manifests, write
from tailrace.errors import PreconditionError, UnreachableError
from tailrace.operations.topics import topic_partitions
from tailrace.projections.registry import POSTGRES
from tailrace.settings import Settings
from tailrace.unpacking import bound_unpacking

log = structlog.get_logger()

TOPICS: Final = POSTGRES.topics
"""Whatever the tables are made of, without prefix."""
FETCH_BYTES_MAX: Final = 8 * 2**20
POLL_RECORDS_MAX: Final = 5_000
POLL_TIMEOUT_MS: Final = 500
SILENT_POLLS_MAX: Final = 60
"""After so many polls without a record while some are missing, the broker counts as unreachable (30 s)."""

Clock = Callable[[], datetime]
Watch = Callable[[int, int], None]
"""Told (records looked at, records that were not archived when it began)."""


@dataclass(slots=True)
class Archived:
    """What one run wrote.

    `lost` are offsets that Kafka removed before anybody archived them: (topic, partition, first, end).
    """

    segments: list[Manifest] = field(default_factory=list)
    open_records: int = 0
    lost: list[tuple[str, int, int, int]] = field(default_factory=list)

    @property
    def records(self) -> int:
        """In the segments that were written."""
        return sum(segment.records for segment in self.segments)


async def archive(
    settings: Settings, folder: Path, clock: Clock, *, close_all: bool = False, watch: Watch = lambda *_: None
) -> Archived:
    """Write every segment that can be closed now; with `close_all` also the last, smaller one of each partition.

    Two runs at once do each other no harm. Raises `PreconditionError` where the archive is of another log, and
    `UnreachableError`.
    """
    run = _Run(settings, folder, clock, close_all=close_all, watch=watch)
    async with reader(settings) as consumer:
        partitions = await topic_partitions(settings, resolve(settings).kafka, set(TOPICS))
        await run.all(consumer, partitions)
    return run.outcome


@asynccontextmanager
async def reader(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group. Raises `UnreachableError`."""
    bootstrap = resolve(settings).kafka
    bound_unpacking()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES_MAX,
        request_timeout_ms=settings.kafka.request_timeout_ms,
    )
    try:
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()
    except KafkaError as error:
        raise UnreachableError(f"kafka at {bootstrap}: {type(error).__name__}", fix="tailrace doctor") from error


async def records_of(
    consumer: AIOKafkaConsumer, partition: TopicPartition, start: int, end: int
) -> AsyncIterator[list[ArchivedRecord]]:
    """Records of [start, end) in Kafka, in order and in pages. Raises `UnreachableError`."""
    consumer.assign([partition])
    consumer.seek(partition, start)
    silent = 0
    while await consumer.position(partition) < end:
        found = await consumer.getmany(timeout_ms=POLL_TIMEOUT_MS, max_records=POLL_RECORDS_MAX)
        page = [_archived(record) for record in found.get(partition, ()) if record.offset < end]
        silent = 0 if found else silent + 1
        if silent > SILENT_POLLS_MAX:
            raise UnreachableError(f"kafka sends nothing of {partition}", fix="tailrace doctor")
        if page:
            yield page


def _archived(record: ConsumerRecord) -> ArchivedRecord:
    return ArchivedRecord(
        record.partition, record.offset, record.timestamp, record.key, record.value, tuple(record.headers)
    )


def _gaps(held: Sequence[Manifest], beginning: int) -> list[range]:
    """What is missing between segments and Kafka still has, from `beginning` on."""
    spans = (range(max(before.end_offset, beginning), after.first_offset) for before, after in pairwise(held))
    return [span for span in spans if span]


class _Run:
    def __init__(self, settings: Settings, folder: Path, clock: Clock, *, close_all: bool, watch: Watch) -> None:
        self._settings = settings
        self._folder = folder
        self._clock = clock
        self._close_all = close_all
        self._watch = watch
        self._done = self._total = 0
        self.outcome = Archived()

    async def all(self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> None:
        beginnings, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        starts = {}
        for tp in sorted(partitions):
            held = manifests(self._folder, tp.topic, tp.partition)
            last = held[-1] if held else None
            starts[tp] = last, self._start(tp, last, beginnings[tp], ends[tp])
            for gap in _gaps(held, beginnings[tp]):
                await self._fill(consumer, tp, gap)
        self._total = sum(ends[tp] - start for tp, (_, start) in starts.items())
        for tp, (last, start) in starts.items():
            if last is not None and beginnings[tp] < start:
                await self._must_be_the_same_log(consumer, tp, last)
            at: int | None = start
            while at is not None and at < ends[tp]:
                at = await self._partition(consumer, tp, range(at, ends[tp]), close_all=self._close_all)

    def _start(self, tp: TopicPartition, last: Manifest | None, beginning: int, end: int) -> int:
        start: int = beginning if last is None else last.end_offset
        if start > end:
            raise PreconditionError(
                f"{tp.topic}/{tp.partition} ends at {end}, the archive at {start}: another log under this name",
                fix="give this log an archive of its own: --to DIR",
            )
        lost_since = 0 if last is None else start
        if beginning > lost_since:
            log.warning("records_lost", topic=tp.topic, partition=tp.partition, first=lost_since, end=beginning)
            self.outcome.lost.append((tp.topic, tp.partition, lost_since, beginning))
        return max(start, beginning)

    async def _must_be_the_same_log(self, consumer: AIOKafkaConsumer, tp: TopicPartition, last: Manifest) -> None:
        async for page in records_of(consumer, tp, last.end_offset - 1, last.end_offset):
            if digest_of(page[-1]) != last.last_record_sha256:
                raise PreconditionError(
                    f"{tp.topic}/{tp.partition}: the record at {last.end_offset - 1} is not the one that was archived",
                    fix="another log has this name: give it an archive of its own: --to DIR",
                )

    async def _fill(self, consumer: AIOKafkaConsumer, tp: TopicPartition, gap: range) -> None:
        """Write anew what somebody took out of the archive."""
        at: int | None = gap.start
        while at is not None and at < gap.stop:
            at = await self._partition(consumer, tp, range(at, gap.stop), close_all=True)

    async def _partition(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, span: range, *, close_all: bool
    ) -> int | None:
        """Write its segments. Where another run cut one elsewhere, its cut counts: go on from the offset given back."""
        limits = self._settings.archive
        start, end = span.start, span.stop
        held: list[ArchivedRecord] = []
        size = 0
        async for page in records_of(consumer, tp, start, end):
            for record in page:
                held.append(record)
                size += len(record.key or b"") + len(record.value or b"")
                if len(held) >= limits.segment_max_records or size >= limits.segment_max_bytes:
                    segment = self._close(tp, held, range(start, record.offset + 1))
                    if segment.end_offset != record.offset + 1:
                        return segment.end_offset
                    held, size, start = [], 0, segment.end_offset
            self._done += len(page)
            self._watch(self._done, self._total)
        if held and (close_all or self._age_s(held[0]) >= limits.segment_age_s):
            return self._close(tp, held, range(start, end)).end_offset
        self.outcome.open_records += len(held)
        return None

    def _age_s(self, record: ArchivedRecord) -> float:
        return self._clock().timestamp() - record.timestamp / 1000

    def _close(self, tp: TopicPartition, records: list[ArchivedRecord], span: range) -> Manifest:
        segment, is_ours = write(self._folder, tp.topic, records, span, self._clock().isoformat())
        if is_ours:
            self.outcome.segments.append(segment)
            log.info("segment_archived", topic=tp.topic, partition=tp.partition, first=span.start, end=span.stop)
        return segment
