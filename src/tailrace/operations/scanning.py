"""Read a stretch of the log for a person: bounded by places, times and a number of records, and honest about it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError

from tailrace.addresses import resolve
from tailrace.errors import NotFoundError, UnreachableError
from tailrace.operations.topics import topic_partitions
from tailrace.schemas.catalogue import TOPICS
from tailrace.settings import Settings
from tailrace.unpacking import bound_unpacking

FETCH_WAIT_MS: Final = 200
FETCH_RECORDS_MAX: Final = 2_000
SILENT_MAX_S: Final = 10.0
"""A broker that brings nothing for so long although records are there is not waited for any longer."""

Place = tuple[str, int]
"""Topic (full name) and partition."""


@dataclass(frozen=True, slots=True)
class Found:
    """One record. `append_time` is aware UTC."""

    topic: str
    partition: int
    offset: int
    append_time: datetime
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """Where to begin or to end: at a time (aware UTC), at an offset of each partition, or at the edge."""

    time: datetime | None = None
    offset: int | None = None


@dataclass(slots=True)
class Scanned:
    """How much was read: records `scanned` of those `meant`. `is_whole`: all of them, or the visitor had enough."""

    scanned: int = 0
    meant: int = 0
    is_whole: bool = False


Visit = Callable[[Found], bool]
"""Told each record; True: enough."""


def short_of(settings: Settings, topic: str) -> str:
    """Name of a topic without its prefix."""
    return topic.removeprefix(settings.kafka.topic_prefix)


async def scan(settings: Settings, ranges: Mapping[Place, tuple[int, int]], records_max: int, visit: Visit) -> Scanned:
    """Read these offsets (first, and one behind the last) of each partition, all partitions side by side.

    Ends at `records_max` records, or when the visitor has enough. Raises `UnreachableError`.
    """
    outcome = Scanned(meant=sum(end - first for first, end in ranges.values()))
    left = {KafkaPartition(*place): end for place, (first, end) in ranges.items() if first < end}
    if not left:
        outcome.is_whole = True
        return outcome
    async with _Reader(settings) as consumer:
        consumer.assign(list(left))
        for partition in left:
            consumer.seek(partition, ranges[partition.topic, partition.partition][0])
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while left and outcome.scanned < records_max and loop.time() - heard < SILENT_MAX_S:
            wanted = min(FETCH_RECORDS_MAX, records_max - outcome.scanned)
            fetched = await consumer.getmany(timeout_ms=FETCH_WAIT_MS, max_records=wanted)
            for partition, records in fetched.items():
                heard = loop.time()
                if _visit(outcome, records, left.get(partition, 0), visit):
                    outcome.is_whole = True
                    return outcome
            for partition in [p for p in left if await consumer.position(p) >= left[p]]:
                del left[partition]
                consumer.pause(partition)
    outcome.is_whole = not left
    return outcome


def _visit(outcome: Scanned, records: Sequence[Any], end: int, visit: Visit) -> bool:
    for r in records:
        if r.offset >= end:
            return False
        outcome.scanned += 1
        at = datetime.fromtimestamp(r.timestamp / 1_000, UTC)
        if visit(Found(r.topic, r.partition, r.offset, at, r.key, r.value, tuple(r.headers))):
            return True
    return False


async def ranges(
    settings: Settings, topics: Sequence[str], first: Bound, last: Bound, *, newest_max: int | None = None
) -> dict[Place, tuple[int, int]]:
    """Offsets of these topics (with or without prefix) between two bounds, by partition, cut to what the log has.

    With `newest_max`, the newest so many of each partition at most. Raises `NotFoundError` for a topic that there is
    not, `UnreachableError`.
    """
    names = [_known(settings, topic) for topic in topics]
    found = await topic_partitions(settings, resolve(settings).kafka, names, some=True)
    partitions = [KafkaPartition(p.topic, p.partition) for p in found]
    async with _Reader(settings) as consumer:
        beginnings = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        starts = await _at(consumer, partitions, first, beginnings, ends)
        stops = await _at(consumer, partitions, last, ends, ends)
    chosen = {}
    for p in partitions:
        low, high = max(beginnings[p], starts[p]), min(ends[p], stops[p])
        low = low if newest_max is None else max(low, high - newest_max)
        chosen[p.topic, p.partition] = (low, max(low, high))
    return chosen


async def _at(
    consumer: AIOKafkaConsumer,
    partitions: Sequence[KafkaPartition],
    bound: Bound,
    edge: Mapping[KafkaPartition, int],
    ends: Mapping[KafkaPartition, int],
) -> dict[KafkaPartition, int]:
    if bound.offset is not None:
        return dict.fromkeys(partitions, bound.offset)
    if bound.time is None:
        return dict(edge)
    asked = await consumer.offsets_for_times(dict.fromkeys(partitions, int(bound.time.timestamp() * 1_000)))
    # None: every record is older.
    return {p: ends[p] if found is None else found.offset for p, found in asked.items()}


def _known(settings: Settings, topic: str) -> str:
    short = short_of(settings, topic)
    if short not in {spec.name for spec in TOPICS}:
        raise NotFoundError(f"no topic {topic}", fix=f"one of {', '.join(spec.name for spec in TOPICS)}")
    return short


class _Reader:
    """A consumer without a group; what Kafka raises comes out as `UnreachableError`."""

    def __init__(self, settings: Settings) -> None:
        self._bootstrap = resolve(settings).kafka
        bound_unpacking()
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # retention may overtake a reader; what is gone is passed over
            isolation_level="read_committed",
            request_timeout_ms=settings.kafka.request_timeout_ms,
        )

    async def __aenter__(self) -> AIOKafkaConsumer:
        try:
            await self._consumer.start()
        except KafkaError as error:
            await self._consumer.stop()
            raise self._unreachable(error) from error
        return self._consumer

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        await self._consumer.stop()
        if isinstance(error, KafkaError):
            raise self._unreachable(error) from error

    def _unreachable(self, error: KafkaError) -> UnreachableError:
        return UnreachableError(f"kafka at {self._bootstrap}: {type(error).__name__}", fix="tailrace doctor")
