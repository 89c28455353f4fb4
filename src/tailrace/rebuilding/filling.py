"""Fills a version from the log by the ordinary worker and sink, in one process or several, up to given offsets.

Each batch moves the version's own progress rows in its transaction, so whatever kills a fill, the next one goes on
where the last batch ended. There is no group: who fills has the partitions that it was given, and a later fill takes
them over by claiming, as always.
"""

import asyncio
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import structlog

from tailrace.addresses import resolve
from tailrace.consumers.batch import TopicPartition
from tailrace.consumers.postgres.sink import PostgresSink
from tailrace.consumers.worker import Worker
from tailrace.errors import PreconditionError, TailraceError, UnreachableError
from tailrace.projections.registry import POSTGRES
from tailrace.rebuilding.bounded_log import EndingLog, OpenLog, Until, kafka_until
from tailrace.rebuilding.shadow import shadow_settings
from tailrace.rebuilding.standing import offsets, places, records_between
from tailrace.settings import Settings
from tailrace.telemetry import configure_logging, tune_garbage_collector

log = structlog.get_logger()

BATCH_EVENTS: Final = 16_000
"""Batches of 3,000 take a fifth longer in all: each asks the store thirty questions, and in a larger one more rows are
met twice. Twice as large wins no more."""
BATCH_BYTES: Final = 48 * 2**20
STATEMENT_TIMEOUT_MS: Final = 600_000
LOCK_TIMEOUT_MS: Final = 120_000
PROCESSES_MAX: Final = 4
RECORDS_FOR_PROCESSES: Final = 20_000
"""With fewer records to read, starting processes takes longer than they save."""
ROUNDS_MAX: Final = 5
"""Times that partitions which somebody else took over meanwhile are claimed again."""
POLL_S: Final = 0.5
WATCH_S: Final = 0.02
STOP_TIMEOUT_S: Final = 60.0

PHASES: Final = (("directory",), ("conversations",), ("files", "activity", "signals", "notifications"))
"""Topics of one phase are read together. Any order would do; in this one hardly any event waits for another one."""


@dataclass(frozen=True, slots=True)
class FillProgress:
    """Records applied since the beginning of the log, of how many; `rate` is records a second since this fill began."""

    done: int
    total: int
    rate: float


OnProgress = Callable[[FillProgress], None]
"""Called about twice a second, in the thread of the caller. What it raises stops the fill at a safe point."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one process fills. `settings` name the version's schemas."""

    settings: Settings
    until: Until
    open_log: OpenLog
    owner: str


def fill(
    settings: Settings,
    version: int,
    until: Until | None = None,
    on_progress: OnProgress = lambda _progress: None,
    *,
    processes: int | None = None,
    open_log: OpenLog = kafka_until,
) -> dict[TopicPartition, int]:
    """Apply the log to a version's tables from where they stand up to `until`. `make_indexes` comes after it.

    `until` defaults to where the live tables stand now; it never reads beyond. Returns the offsets reached. To be
    called in a thread without a running event loop; `create` must have been called before. An interrupted fill is gone
    on with by calling this again. `processes` defaults to one for each core, four at most; one for a short log.

    Raises `PreconditionError` where a partition of the version halted or the log no longer has its beginning,
    `UnreachableError`, and what `on_progress` raises.
    """
    shadow = shadow_settings(settings, version)
    ends = dict(until) if until is not None else offsets(places(settings))
    left = records_between(offsets(places(shadow)), ends)
    if left:
        wanted = processes or min(os.cpu_count() or 1, PROCESSES_MAX)
        count = wanted if processes or left >= RECORDS_FOR_PROCESSES else 1
        _fill(shadow, ends, on_progress, count, open_log)
    return offsets(places(shadow))


def catch_up(
    settings: Settings, version: int, until: Until | None = None, *, open_log: OpenLog = kafka_until
) -> dict[TopicPartition, int]:
    """`fill` of the little that came since, in this process."""
    return fill(settings, version, until, processes=1, open_log=open_log)


def fast(shadow: Settings) -> Settings:
    """Settings of a worker on whose tables nobody waits: whole batches, no waiting for the disk at COMMIT."""
    worker = shadow.worker.model_copy(
        update={"batch_max_events": BATCH_EVENTS, "batch_max_bytes": BATCH_BYTES, "batch_max_age_ms": 1_000}
    )
    postgres = shadow.postgres.model_copy(
        update={
            "synchronous_commit": False,
            "statement_timeout_ms": STATEMENT_TIMEOUT_MS,
            "lock_timeout_ms": LOCK_TIMEOUT_MS,
        }
    )
    return shadow.model_copy(update={"worker": worker, "postgres": postgres})


def _fill(shadow: Settings, ends: Until, on_progress: OnProgress, count: int, open_log: OpenLog) -> None:
    owner = f"rebuild:{os.getpid()}"
    quick = fast(shadow)
    for _ in range(ROUNDS_MAX):
        cut = shares(ends, offsets(places(shadow)), count)
        parts = [Part(quick, share, open_log, f"{owner}:{n}") for n, share in enumerate(cut) if share]
        filling = Filling(shadow, ends, on_progress)
        if count == 1:
            filling.run_here(parts[0])
        else:
            filling.run(parts)
        reached = offsets(places(shadow))
        if not (left := records_between(reached, ends)):
            return
        log.warning("fill_taken_up_again", records=left)
        ends = {tp: end for tp, end in ends.items() if reached.get(tp, 0) < end}
    raise TailraceError(f"{left:,} records were not applied: somebody else fills the same version", fix="let it finish")


def shares(until: Until, reached: Until, count: int) -> list[dict[TopicPartition, int]]:
    """Cut the partitions for so many processes, so that each has as many records to read in each phase.

    The longest first, each to who has least: a topic's partitions differ as its channels do, and who ends first leaves
    half of the machine idle.
    """
    found: list[dict[TopicPartition, int]] = [{} for _ in range(count)]
    for _, partitions in groupby(sorted(until, key=_phase), key=_phase):
        left = {tp: max(0, until[tp] - reached.get(tp, 0)) for tp in partitions}
        loads = [0] * count
        for tp in sorted(left, key=lambda tp: (-left[tp], tp)):
            # Of equal loads the one with fewest partitions: an empty one, too, costs its claim.
            least = min(range(count), key=lambda n: (loads[n], len(found[n])))
            found[least][tp] = until[tp]
            loads[least] += left[tp]
    return found


def _phase(partition: TopicPartition) -> int:
    """Place of the phase in which the partition is read; topics have their prefix."""
    return next((n for n, phase in enumerate(PHASES) if partition.topic.endswith(phase)), len(PHASES))


class Filling:
    """One round of filling: starts the parts and watches the version's progress rows until all have ended."""

    def __init__(self, shadow: Settings, ends: Until, on_progress: OnProgress) -> None:
        self._shadow = shadow
        self._ends = ends
        self._on_progress = on_progress
        self._began = time.monotonic()
        self._done_before = self._done(offsets(places(shadow)))

    def run(self, parts: Sequence[Part]) -> None:
        """Return when all have ended; end them when something is wrong or the caller has enough."""
        context = multiprocessing.get_context("spawn")
        running = [context.Process(target=fill_part, args=(part,), daemon=True) for part in parts]
        for process in running:
            process.start()
        try:
            while any(process.is_alive() for process in running):
                running[0].join(POLL_S) if running[0].is_alive() else time.sleep(POLL_S / 5)
                self._look()
            self._look()
        finally:
            _end(running)
        if failed := [process.exitcode for process in running if process.exitcode]:
            raise UnreachableError(f"a process of the fill ended with code {failed[0]}", fix="see the log above")

    def run_here(self, part: Part) -> None:
        """The same in this process and thread."""

        async def run() -> None:
            stopping = asyncio.Event()
            filling = asyncio.create_task(fill_phases(part, stopping))
            try:
                while not filling.done():
                    await asyncio.wait({filling}, timeout=POLL_S)
                    await asyncio.to_thread(self._look)
            finally:
                stopping.set()
                await asyncio.wait({filling}, timeout=STOP_TIMEOUT_S)
            await filling

        asyncio.run(run())

    def _look(self) -> None:
        found = places(self._shadow)
        for tp, place in found.items():
            if tp in self._ends and place.halted_code is not None:
                raise PreconditionError(
                    f"{tp.topic}/{tp.partition} halted: {place.halted_code} {place.halted_reason}",
                    fix="give it the part of the log that is missing: tailrace archive",
                )
        total = sum(self._ends.values())
        done = self._done(offsets(found))
        rate = (done - self._done_before) / max(0.001, time.monotonic() - self._began)
        self._on_progress(FillProgress(done, total, rate))

    def _done(self, reached: Mapping[TopicPartition, int]) -> int:
        return sum(min(reached.get(tp, 0), end) for tp, end in self._ends.items())


def _end(running: Sequence[multiprocessing.process.BaseProcess]) -> None:
    """Ask for a clean end (SIGTERM: the open batch is finished), then insist."""
    for process in running:
        if process.is_alive():
            process.terminate()
    deadline = time.monotonic() + STOP_TIMEOUT_S
    for process in running:
        process.join(max(0.1, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def fill_part(part: Part) -> None:
    """Fill a part in this process, phase by phase; ends early with the process that started it, or at SIGTERM."""
    import signal

    from tailrace.event_loop import run as run_loop

    configure_logging(part.settings.log)
    tune_garbage_collector()
    parent = os.getppid()

    async def run() -> None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        # Ctrl-C reaches the whole group of processes; the one that was asked tells the others.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        watching = asyncio.create_task(_outlive(parent, stopping))
        try:
            await fill_phases(part, stopping)
        finally:
            watching.cancel()

    run_loop(run())


async def fill_phases(part: Part, stopping: asyncio.Event) -> None:
    """Fill a part, one phase after the other."""
    for phase in PHASES:
        topics = {part.settings.topic(short) for short in phase}
        until = {tp: end for tp, end in part.until.items() if tp.topic in topics}
        if until and not stopping.is_set():
            await Follower(part.settings, until, part.owner, part.open_log).run(stopping)


async def _outlive(parent: int, stopping: asyncio.Event) -> None:
    """Stop when the process that started this one is gone: whoever goes on with the fill would be fenced by us."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells a process of its parent's end
        await asyncio.sleep(POLL_S)
    stopping.set()


class Follower:
    """A worker on some partitions of a version's tables that ends, or waits, where it is told to."""

    def __init__(
        self, shadow: Settings, until: Until, owner: str, open_log: OpenLog = kafka_until, *, ends: bool = True
    ) -> None:
        addresses = resolve(shadow)
        topics = {short: shadow.topic(short) for short in POSTGRES.topics}
        self._ends = ends
        self._log: EndingLog = open_log(shadow, addresses.kafka, until)
        sink = PostgresSink(addresses.postgres, shadow.postgres, POSTGRES.name, POSTGRES.version, topics)
        self.worker = Worker(self._log, sink, shadow.worker, owner)

    def extend(self, until: Until) -> None:
        """Go on to these offsets."""
        self._log.extend(until)

    async def run(self, stopping: asyncio.Event) -> None:
        """Apply everything up to the ends (unless it was made not to end there), or until `stopping` is set."""
        watching = asyncio.create_task(self._watch(stopping))
        try:
            await self.worker.run()
        finally:
            watching.cancel()

    async def _watch(self, stopping: asyncio.Event) -> None:
        while not ((self._ends and self._log.is_exhausted) or stopping.is_set()):  # noqa: ASYNC110 - the log has no event for its end
            await asyncio.sleep(WATCH_S)
        self.worker.stopping.set()
