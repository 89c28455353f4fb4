"""Fills the tables to compare with, at a pace that leaves the live worker its server."""

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from tailrace.addresses import resolve
from tailrace.archiving.archive import Archive, folder, open_archive
from tailrace.archiving.reading import ArchivedLog, EndingLog
from tailrace.archiving.running import reader
from tailrace.consumers.batch import Record, TopicPartition
from tailrace.errors import PreconditionError
from tailrace.operations.positions import positions
from tailrace.operations.topics import topic_partitions
from tailrace.projections.registry import POSTGRES
from tailrace.rebuilding.bounded_log import kafka_until
from tailrace.rebuilding.filling import FillProgress, catch_up, fill
from tailrace.rebuilding.shadow import create, shadow_settings
from tailrace.rebuilding.standing import offsets, places, records_between
from tailrace.settings import Settings

VERSIONS_FROM: Final = 900_000
"""Temporary tables have version numbers from here on, far above those of rebuilds."""
NEAR_RECORDS: Final = 2_000
"""So far behind the live tables, the filled ones are brought up under the lock."""
ROUNDS_MAX: Final = 20
LAG_LOOK_S: Final = 2.0
LAG_WAIT_S: Final = 1.0
BUDGET_S: Final = 0.5
EXPENDABLE: Final = frozenset({"signals", "notifications"})
"""Topics that are not kept for ever: what is made of their lost part is left as it is."""


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `rate` records a second, and none while the live tables are more than `lag_ceiling_s` behind.

    Once `stop` is set, the work is paused at its next safe point.
    """

    rate: float | None = None
    lag_ceiling_s: float | None = None
    stop: threading.Event = field(default_factory=threading.Event, compare=False)

    @property
    def is_full(self) -> bool:
        """Nothing holds it back."""
        return self.rate is None and self.lag_ceiling_s is None


FULL: Final = Pace()


class PacedLog(ArchivedLog):
    """Archive and log, handed out no faster than a pace allows."""

    def __init__(
        self, live: EndingLog, settings: Settings, until: Mapping[TopicPartition, int], watched: Settings, pace: Pace
    ) -> None:
        super().__init__(live, Archive(settings, folder(settings)), settings, until)
        self._watched = watched
        self._pace = pace
        self._free_at = 0.0
        self._look_at = 0.0

    async def fetch(
        self, wait_ms: int, records_max: int, of: Collection[TopicPartition] | None = None
    ) -> dict[TopicPartition, list[Record]]:
        """See `Log`."""
        clock = asyncio.get_running_loop().time
        await self._let_live_go_first()
        if self._pace.rate is None:
            return await super().fetch(wait_ms, records_max, of)
        await asyncio.sleep(max(0.0, self._free_at - clock()))
        found = await super().fetch(wait_ms, max(1, min(records_max, int(self._pace.rate * BUDGET_S))), of)
        count = sum(len(records) for records in found.values())
        self._free_at = max(clock(), self._free_at) + count / self._pace.rate
        return found

    async def _let_live_go_first(self) -> None:
        ceiling = self._pace.lag_ceiling_s
        clock = asyncio.get_running_loop().time
        while ceiling is not None and clock() >= self._look_at:
            if await _behind_s(self._watched) <= ceiling:
                self._look_at = clock() + LAG_LOOK_S
                return
            await asyncio.sleep(LAG_WAIT_S)


async def _behind_s(settings: Settings) -> float:
    """How old, by append time, the newest record is that the most belated partition has applied; 0: nothing waits."""
    (live,) = await positions(settings, [POSTGRES.name])
    late = [place.append_time for place in live.partitions if place.lag and place.append_time is not None]
    return (datetime.now(UTC) - min(late)).total_seconds() if late else 0.0


def archived_until(settings: Settings, bootstrap: str, until: Mapping[TopicPartition, int]) -> EndingLog:
    """Archive and live log up to these ends: what a fill reads whose log Kafka has only the newer part of."""
    live = kafka_until(settings, bootstrap, until)
    archive = open_archive(settings)
    return live if archive is None else ArchivedLog(live, archive, settings, until)


def temporary_version(job_id: str) -> int:
    """Number of the tables that a job fills; the same when it is gone on with."""
    return VERSIONS_FROM + int(job_id.partition("-")[0])


@dataclass(frozen=True, slots=True)
class Filled:
    """Tables that follow the live ones as far as they are told to."""

    settings: Settings
    version: int

    @property
    def shadow(self) -> Settings:
        """Settings that name them."""
        return shadow_settings(self.settings, self.version)

    def reach(self, until: Mapping[TopicPartition, int]) -> None:
        """Bring them to exactly these positions. Raises `PreconditionError` where they have passed one."""
        catch_up(self.settings, self.version, until, open_log=archived_until)
        reached = offsets(places(self.shadow))
        if any(reached.get(tp, 0) != at for tp, at in until.items() if at):
            raise PreconditionError("the filled tables stand elsewhere than the live ones", fix="begin anew")


def fill_beside(settings: Settings, version: int, pace: Pace, on_progress: Callable[[FillProgress], None]) -> Filled:
    """Make tables and fill them up to nearly where the live ones stand; an interrupted fill is gone on with."""
    filled = Filled(settings, version)
    create(settings, version)
    if pace.is_full:
        fill(settings, version, on_progress=on_progress, open_log=archived_until)
    else:
        paced = _paced(settings, pace)
        fill(settings, version, on_progress=on_progress, processes=1, open_log=paced)
    for _ in range(ROUNDS_MAX):
        live = offsets(places(settings))
        if records_between(offsets(places(filled.shadow)), live) <= NEAR_RECORDS:
            break
        catch_up(settings, version, live, open_log=archived_until)
    return filled


def _paced(watched: Settings, pace: Pace) -> Callable[[Settings, str, Mapping[TopicPartition, int]], EndingLog]:
    def open_log(settings: Settings, bootstrap: str, until: Mapping[TopicPartition, int]) -> EndingLog:
        return PacedLog(kafka_until(settings, bootstrap, until), settings, until, watched, pace)

    return open_log


def lost_topics(settings: Settings) -> frozenset[str]:
    """Topics (without prefix) of which neither Kafka nor the archive has the beginning.

    Raises `PreconditionError` for one that everything is made of, and `UnreachableError`.
    """
    archive = open_archive(settings)
    lost = set()
    for topic, beginnings in asyncio.run(_beginnings(settings)).items():
        for partition, first in beginnings.items():
            archived = archive.first_offset(topic, partition) if archive and first else None
            if first and archived != 0:
                lost.add(topic)
    if gone := sorted(lost - EXPENDABLE):
        raise PreconditionError(
            f"the log has lost its beginning: {', '.join(gone)}",
            fix="name the folder of its archive: TAILRACE_ARCHIVE__DIR",
        )
    return frozenset(lost)


async def _beginnings(settings: Settings) -> dict[str, dict[int, int]]:
    shorts = {settings.topic(topic): topic for topic in POSTGRES.topics}
    async with reader(settings) as consumer:
        partitions = await topic_partitions(settings, resolve(settings).kafka, set(POSTGRES.topics))
        found: dict[str, dict[int, int]] = {}
        for tp, first in (await consumer.beginning_offsets(partitions)).items():
            found.setdefault(shorts[tp.topic], {})[tp.partition] = first
    return found
