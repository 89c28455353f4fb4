"""Where every projection stands in the log: what `wait`, `lag` and `status` show.

The end of the log is read after the projection's position, so lag is never negative; a partition without a position
is unknown (None), never 0. What takes an offset and is never given out is no lag: the markers of producers'
transactions, and what was aborted. An open transaction is not part of the log yet.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tailrace.addresses import resolve
from tailrace.errors import PreconditionError, UnreachableError
from tailrace.operations.database import connection
from tailrace.operations.topics import topic_partitions
from tailrace.projections.registry import POSTGRES, PROJECTIONS, REDIS, SEARCH, Projection
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names
from tailrace.unpacking import bound_unpacking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

POLL_S = 0.3
PROBE_MS = 100
PROBES_MAX = 5
PROBE_BYTES = 65_536
UNREADABLE_MAX = 1_000
"""So many offsets at the end of a partition are looked at for whether anything stands there."""
NO_TOPIC = "H_NO_TOPIC"


@dataclass(frozen=True, slots=True)
class PartitionPosition:
    """One partition of one projection. `next_offset` None: nothing was ever applied. Times are aware UTC."""

    topic: str
    partition: int
    beginning: int
    end: int
    next_offset: int | None
    owner: str | None
    event_time: datetime | None
    append_time: datetime | None
    updated_at: datetime | None
    halted_code: str | None
    halted_reason: str | None

    @property
    def lag(self) -> int | None:
        """Records not applied yet; for a partition without a position, None unless the partition is empty."""
        if self.next_offset is None:
            return 0 if self.end == self.beginning else None
        return max(0, self.end - self.next_offset)


@dataclass(frozen=True, slots=True)
class ProjectionPosition:
    """One projection with its partitions and what it set aside."""

    name: str
    version: int
    partitions: tuple[PartitionPosition, ...]
    dead_letters: int
    parked: int

    @property
    def lag(self) -> int | None:
        """Records not applied yet; None where a partition with records has no position."""
        lags = [partition.lag for partition in self.partitions]
        return None if None in lags else sum(lag for lag in lags if lag is not None)

    @property
    def event_time(self) -> datetime | None:
        """Newest event time applied."""
        return max((p.event_time for p in self.partitions if p.event_time is not None), default=None)

    @property
    def halted(self) -> tuple[PartitionPosition, ...]:
        """Partitions that stand still until an operator has looked."""
        return tuple(p for p in self.partitions if p.halted_code is not None)

    @property
    def state(self) -> str:
        """`new`, `halted`, `behind` or `current`."""
        if all(p.next_offset is None for p in self.partitions):
            return "new"
        if self.halted:
            return "halted"
        return "current" if self.lag == 0 else "behind"


async def positions(settings: Settings, names: Sequence[str] = ()) -> list[ProjectionPosition]:
    """Position of each named projection (none: all).

    Raises `UnreachableError` where a server does not answer, `PreconditionError` where tables or all topics miss.
    """
    wanted = [p for name, p in PROJECTIONS.items() if not names or name in names]
    stored = await asyncio.to_thread(_stored, settings, wanted)
    async with _reader(settings) as reader:
        bounds = await _bounds(reader, settings, wanted, some=True)
        found = [_position(settings, projection, stored[projection.name], bounds) for projection in wanted]
        return await _readable(reader, found)


def _stored(settings: Settings, wanted: Sequence[Projection]) -> dict[str, dict[str, Any]]:
    texts = {name: render(text, schema_names(settings.postgres)) for name, text in queries("positions").items()}
    found: dict[str, dict[str, Any]] = {}
    with connection(settings) as conn:
        cursor = psycopg.RawCursor(conn, row_factory=psycopg.rows.dict_row)
        try:
            for projection in wanted:
                identity = (projection.name, projection.version)
                rows = cursor.execute(texts["stored_positions"].encode(), identity).fetchall()
                counts = cursor.execute(texts["set_aside"].encode(), (projection.name,)).fetchone() or {}
                found[projection.name] = {"rows": {(r["topic"], r["partition"]): r for r in rows}, **counts}
            if SEARCH.name in found:
                found[SEARCH.name] |= cursor.execute(texts["open_search_jobs"].encode()).fetchone() or {}
        except psycopg.errors.UndefinedTable as error:
            raise PreconditionError("the database has no tables yet", fix="tailrace db migrate") from error
    return found


@asynccontextmanager
async def _reader(settings: Settings) -> "AsyncIterator[AIOKafkaConsumer]":
    bootstrap = resolve(settings).kafka
    bound_unpacking()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        request_timeout_ms=settings.kafka.request_timeout_ms,
        fetch_max_wait_ms=PROBE_MS,
        max_partition_fetch_bytes=PROBE_BYTES,
    )
    try:
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()
    except KafkaError as error:
        raise UnreachableError(f"kafka at {bootstrap}: {type(error).__name__}", fix="tailrace doctor") from error


Bounds = dict[tuple[str, int], tuple[int, int]]


async def _bounds(
    reader: AIOKafkaConsumer, settings: Settings, wanted: Sequence[Projection], *, some: bool = False
) -> Bounds:
    topics = {topic for projection in wanted for topic in projection.topics}
    partitions = await topic_partitions(settings, resolve(settings).kafka, topics, some=some)
    beginnings = await reader.beginning_offsets(partitions)
    ends = await reader.end_offsets(partitions)
    return {(tp.topic, tp.partition): (beginnings[tp], ends[tp]) for tp in partitions}


async def _readable(reader: AIOKafkaConsumer, found: Iterable[ProjectionPosition]) -> list[ProjectionPosition]:
    """The same positions, with partitions that end where the last record that can be read does."""
    found = list(found)
    starts = {
        (p.topic, p.partition, p.next_offset): p.end
        for projection in found
        for p in projection.partitions
        if p.next_offset is not None and p.beginning <= p.next_offset < p.end <= p.next_offset + UNREADABLE_MAX
    }
    unreadable = await _without_records(reader, starts)

    def cut(place: PartitionPosition) -> PartitionPosition:
        at = place.next_offset
        return place if at is None or (place.topic, place.partition, at) not in unreadable else replace(place, end=at)

    return [replace(one, partitions=tuple(map(cut, one.partitions))) for one in found]


Start = tuple[str, int, int]
"""(topic, partition, offset)."""


async def _without_records(reader: AIOKafkaConsumer, starts: Mapping[Start, int]) -> set[Start]:
    """Of these offsets, those from which on no record stands before the end given."""
    empty: set[Start] = set()
    left = dict(starts)
    for _ in range(PROBES_MAX):
        if not left:
            break
        # Projections stand at different places of a partition: one after the other.
        asked = {TopicPartition(topic, partition): at for topic, partition, at in left}
        reader.assign(list(asked))
        for tp, at in asked.items():
            reader.seek(tp, at)
        try:
            given = await reader.getmany(timeout_ms=PROBE_MS)
        except KafkaError:  # something stands there, though it cannot be read
            break
        for tp, at in asked.items():
            start = tp.topic, tp.partition, at
            if records := given.get(tp):
                end = left.pop(start)
                if records[0].offset >= end:
                    empty.add(start)
            elif await reader.position(tp) >= left[start]:
                empty.add(start)
                del left[start]
    return empty


def _position(settings: Settings, projection: Projection, stored: dict[str, Any], bounds: Bounds) -> ProjectionPosition:
    topics = {settings.topic(topic) for topic in projection.topics}
    columns = (
        "next_offset", "owner", "event_time", "append_time", "updated_at", "halted_code", "halted_reason",
    )  # fmt: skip
    partitions = []
    for (topic, partition), (beginning, end) in sorted(bounds.items()):
        if topic in topics:
            row = stored["rows"].get((topic, partition), {})
            values = {column: row.get(column) for column in columns}
            partitions.append(PartitionPosition(topic, partition, beginning, end, **values))
    partitions += _missing(topics, stored["rows"], bounds)
    return ProjectionPosition(
        projection.name, projection.version, tuple(partitions), stored["dead_letters"], stored["parked"]
    )


def _missing(topics: set[str], rows: dict[tuple[str, int], Any], bounds: Bounds) -> list[PartitionPosition]:
    """What the log does not have: partitions that were applied once, and topics that nobody has created."""
    places = {place for place in rows if place[0] in topics and place not in bounds}
    places |= {(topic, 0) for topic in topics - {topic for topic, _ in bounds} - {topic for topic, _ in places}}
    found = []
    for topic, partition in sorted(places):
        row = rows.get((topic, partition), {})
        at = row.get("next_offset")
        values = {name: row.get(name) for name in ("owner", "event_time", "append_time", "updated_at")}
        values |= {"halted_code": NO_TOPIC, "halted_reason": "the broker has no such topic, or no such partition of it"}
        found.append(PartitionPosition(topic, partition, at or 0, at or 0, at, **values))
    return found


Watch = Callable[[int, int], None]
"""Told (records still to apply, records to apply when it began)."""


async def wait(settings: Settings, timeout_s: float, watch: Watch = lambda _left, _all: None) -> dict[str, int]:
    """Wait until every projection has applied all that is in the log now; what comes later is not waited for.

    `postgres` is always waited for, the others once a worker was started for them: what nobody runs would never come.
    The caches must also be whole: after Redis was emptied, its worker fills them again.

    Returns what is missing when the time is up: records by projection (for caches that are being filled, 1), empty when
    everything is applied. A halted partition ends the wait at once, since it does not move by itself.
    """
    from tailrace.operations.caches import are_whole  # its drivers take longer to load than `status` to answer

    wanted = list(PROJECTIONS.values())
    async with _reader(settings) as reader:
        bounds = await _bounds(reader, settings, wanted)
        deadline = time.monotonic() + timeout_s
        total: int | None = None
        before: list[ProjectionPosition] = []
        while True:
            stored = await asyncio.to_thread(_stored, settings, wanted)
            found = [_position(settings, projection, stored[projection.name], bounds) for projection in wanted]
            found = [p for p in found if p.name == POSTGRES.name or stored[p.name]["rows"]]
            stands, before = found == before, found
            if stands or time.monotonic() >= deadline:
                found = await _readable(reader, found)
            missing = {p.name: left for p in found if (left := _left(p) + stored[p.name].get("jobs", 0))}
            if not missing and any(p.name == REDIS.name for p in found) and not await are_whole(settings):
                missing[REDIS.name] = 1
            left = sum(missing.values())
            total = left if total is None else total
            watch(left, total)
            if not missing:
                await _show(settings, stored)
                return missing
            if time.monotonic() >= deadline or any(p.halted and _left(p) for p in found):
                return missing
            await asyncio.sleep(POLL_S)


async def announce(settings: Settings, wanted: Sequence[Projection]) -> None:
    """Put down, before any of them runs, that these projections have workers, so that `wait` waits for all of them.

    Positions that exist stay; new ones are at the beginning of their partitions.
    """
    async with _reader(settings) as reader:
        bounds = await _bounds(reader, settings, wanted, some=True)
    await asyncio.to_thread(_announce, settings, wanted, bounds)


def _announce(settings: Settings, wanted: Sequence[Projection], bounds: Bounds) -> None:
    text = render(queries("positions")["announce"], schema_names(settings.postgres))
    with connection(settings) as conn:
        cursor = psycopg.RawCursor(conn)
        for projection in wanted:
            topics = {settings.topic(topic) for topic in projection.topics}
            ours = [(*place, beginning) for place, (beginning, _) in sorted(bounds.items()) if place[0] in topics]
            columns = [list(column) for column in zip(*ours, strict=True)]
            try:
                cursor.execute(text.encode(), (projection.name, projection.version, *columns))
            except psycopg.errors.UndefinedTable as error:
                raise PreconditionError("the database has no tables yet", fix="tailrace db migrate") from error


async def _show(settings: Settings, stored: dict[str, Any]) -> None:
    """Make what was indexed visible: a search sees a write only after the next refresh, some seconds later."""
    from tailrace.operations.search_visibility import refresh_search

    if any(stored[SEARCH.name]["rows"].values()):
        await refresh_search(settings)


def _left(position: ProjectionPosition) -> int:
    starts = ((p, p.beginning if p.next_offset is None else p.next_offset) for p in position.partitions)
    return sum(max(0, p.end - start) for p, start in starts)
