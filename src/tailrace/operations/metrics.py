"""What no worker knows of itself: how far projections and streams are behind the log, partitions ahead, jobs done."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

import structlog

from tailrace.errors import TailraceError
from tailrace.months.keeper import Partition, list_partitions
from tailrace.operations.database import connection
from tailrace.operations.jobs import Job, jobs
from tailrace.operations.overview import ProjectionStatus, overview
from tailrace.operations.streams import stream_positions
from tailrace.probes import Part, Sample
from tailrace.settings import Settings

log = structlog.get_logger()

FRESH_S: Final = 5.0
"""A scrape that comes sooner gets the last answer: a thousand of them must not be a load for the stores."""


class Lag:
    """Asks PostgreSQL and Kafka, at most every `FRESH_S`; while one of them does not answer, there are no samples."""

    def __init__(self, settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._settings = settings
        self._now = now
        self._samples: list[Sample] = []
        self._asked_at: float | None = None
        self._trouble: str | None = "nothing was asked yet"
        self._asking = asyncio.Lock()

    @property
    def part(self) -> Part:
        """What `/readyz` says: whether the last answer came."""
        return Part("lag", lambda: self._trouble, lambda: ())

    async def gather(self) -> Iterable[Sample]:
        """The samples."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._asked_at is None or now - self._asked_at > FRESH_S:
                try:
                    self._samples, self._trouble = await self._ask(), None
                except TailraceError as error:
                    log.warning("lag_unknown", error=type(error).__name__)
                    self._samples, self._trouble = [], type(error).__name__
                self._asked_at = now
            return self._samples

    async def _ask(self) -> list[Sample]:
        found = await overview(self._settings, self._now())
        samples = [sample for one in found for sample in _of_projection(one)]
        streams = [one for one in await stream_positions(self._settings) if not one.is_new]
        samples += [Sample("tailrace_stream_lag_records", one.lag, (("stream", one.name),)) for one in streams]
        return samples + await asyncio.to_thread(self._of_tables)

    def _of_tables(self) -> list[Sample]:
        with connection(self._settings) as conn:
            partitions = list_partitions(conn, self._settings)
        with jobs(self._settings) as board:
            running = [job for job in board.list_jobs(only_open=True) if job.ratio is not None]
        return [*ahead(partitions, self._now()), *_progress(running)]


def ahead(partitions: Iterable[Partition], now: datetime) -> Iterator[Sample]:
    """How long each table has months for, one after the other from now on; 0 where this one is missing already."""
    months: dict[str, dict[str, str]] = {}
    for one in partitions:
        if one.attached and one.from_at is not None and one.to_at is not None:
            months.setdefault(one.table, {})[one.from_at] = one.to_at
    this_month = f"{now:%Y-%m}-01T00:00:00Z"
    for table, ends in sorted(months.items()):
        end = this_month
        while end in ends:
            end = ends[end]
        # Not beyond what Python calls a date; nobody waits for the year 10000.
        until = datetime.fromisoformat(end) if len(end) == len(this_month) else datetime.max.replace(tzinfo=UTC)
        yield Sample("tailrace_partition_ahead_seconds", max(0.0, (until - now).total_seconds()), (("table", table),))


def _progress(running: Iterable[Job]) -> Iterator[Sample]:
    """Of each kind the open job that is furthest behind."""
    ratios: dict[str, float] = {}
    for job in running:
        if job.ratio is not None:
            ratios[job.kind] = min(job.ratio, ratios.get(job.kind, 1.0))
    for kind, ratio in sorted(ratios.items()):
        yield Sample("tailrace_job_progress_ratio", ratio, (("job_kind", kind),))


def _of_projection(one: ProjectionStatus) -> Iterator[Sample]:
    named, position = ("projection", one.name), one.position
    if position.state == "new":
        return
    for place in position.partitions:
        if place.lag is not None:
            labels = (("topic", place.topic), ("partition", str(place.partition)), named)
            yield Sample("tailrace_consumer_lag_records", place.lag, labels)
    yield Sample("tailrace_position_unknown", sum(place.lag is None for place in position.partitions), (named,))
    if one.behind_s is not None:
        yield Sample("tailrace_consumer_lag_seconds", one.behind_s, (named,))
    yield Sample("tailrace_dlq_records", position.dead_letters, (named,))
