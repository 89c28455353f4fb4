"""Put a worker together and run it until it is told to stop.

What only one projection needs is imported for that one: the other stores' clients take as long to import as all else.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import structlog

from tailrace.consumers.batches import Reader
from tailrace.consumers.control import Companion
from tailrace.consumers.kafka_log import of_group
from tailrace.consumers.postgres.session import Statements
from tailrace.consumers.postgres.sink import PostgresSink
from tailrace.consumers.reporting import Reporter, State
from tailrace.consumers.sink import Sink
from tailrace.consumers.upkeep import Upkeep
from tailrace.consumers.worker import Worker
from tailrace.probes import Part, Sample, watch
from tailrace.projections.registry import POSTGRES, REDIS, SEARCH, Projection
from tailrace.schemas.decode import decode_all
from tailrace.schemas.glance import glance_all
from tailrace.settings import Settings

log = structlog.get_logger()

HARD_STOP_EXIT = 70
LANES = 4
"""Transactions that the PostgreSQL worker has open at a time, a connection each: while the server works on one, the
worker folds the events of another. A third gained a twelfth on two cores, a fourth somewhat less, a fifth nothing."""

Run = Callable[[asyncio.Event], Awaitable[None]]
"""Works until its event is set."""

_running: list[Worker] = []
"""Workers of this process: a signal has one handler, and is meant for all of them."""


async def run_worker(settings: Settings, projection: Projection, *, kafka: str, postgres: str) -> None:
    """Run one projection's worker until SIGTERM or SIGINT; the open batch is finished first.

    A second signal ends the process at once, with exit code 70: nothing depends on a clean end. Raises what stopped
    the worker otherwise.
    """
    topics = {short: settings.topic(short) for short in projection.topics}
    owner = f"{socket.gethostname()}:{os.getpid()}"
    sink = _sink(settings, projection, postgres, topics)
    kafka_log = of_group(kafka, settings.group(f"{projection.name}.v{projection.version}"), settings.kafka)
    reporter = Reporter(postgres, settings.postgres, projection, owner)
    more_sinks = [sink.beside() for _ in range(LANES - 1)] if isinstance(sink, PostgresSink) else []
    worker = Worker(kafka_log, sink, settings.worker, owner, more_sinks, control=reporter, read=reader_of(projection))
    companions = [
        Companion(name, reporter, run) for name, run in _beside(settings, projection, worker, (kafka, postgres))
    ]

    def state() -> State:
        in_hand = worker.in_hand + sum(one.is_active for one in companions if reporter.is_paused)
        return State(worker.is_standing, in_hand, worker.partitions, worker.totals.events, *worker.troubles)

    finished = asyncio.Event()
    watch(_part(projection.name, worker))
    _stop_on_signals(worker)
    log.info("worker_started", projection=projection.name, version=projection.version, owner=owner)
    beside = {asyncio.create_task(one.run(finished), name=one.name) for one in companions}
    beside.add(asyncio.create_task(reporter.run(finished, state), name="reporter"))
    failed: BaseException | None = None
    try:
        await worker.run()
    except Exception as error:
        failed = error
        raise
    finally:
        finished.set()
        _running.remove(worker)
        await asyncio.wait(beside, timeout=settings.worker.drain_timeout_s)
        await reporter.end(failed)
        log.info("worker_stopped", projection=projection.name, **vars(worker.totals))


def _part(name: str, worker: Worker) -> Part:
    """What the worker tells of itself; one that waits because it was paused is ready."""

    def trouble() -> str | None:
        return None if worker.partitions or worker.is_standing else "no partition is claimed"

    def samples() -> Iterator[Sample]:
        totals, (troubles, _) = worker.totals, worker.troubles
        named = ("projection", name)
        yield Sample("tailrace_events_consumed_total", totals.events, (named,))
        outcomes = {"duplicate": totals.repeats, "parked": totals.parked, "dead": totals.refused}
        outcomes["applied"] = totals.events - sum(outcomes.values())
        for outcome, count in outcomes.items():
            yield Sample("tailrace_events_applied_total", count, (named, ("outcome", outcome)))
        yield Sample("tailrace_store_errors_total", troubles, (("store", name),))
        durations_s, sizes = worker.observed
        yield from durations_s.samples("tailrace_apply_duration_seconds", (named,))
        yield from sizes.samples("tailrace_batch_size_records", (named,))

    return Part(name, trouble, samples)


def _beside(
    settings: Settings, projection: Projection, worker: Worker, addresses: tuple[str, str]
) -> Iterator[tuple[str, Run]]:
    """What runs beside a worker unless it is paused; `addresses` are those of Kafka and PostgreSQL."""
    kafka, postgres = addresses
    upkeep = Upkeep(
        postgres,
        kafka,
        Statements(settings.postgres),
        projection.name,
        settings.topic("dead-letters"),
        wake=worker.wake if projection.name == POSTGRES.name else None,
    )
    yield "upkeep", partial(upkeep.run, parking_limit_s=settings.worker.parking_limit_s)
    if projection.name == SEARCH.name:
        from tailrace.consumers.search.running import search_jobs

        yield "search jobs", lambda stopping: search_jobs(settings, projection, postgres, worker.owner).run(stopping)
    if projection.name == REDIS.name:
        from tailrace.consumers.redis.running import caretaker

        yield "caretaker", lambda stopping: caretaker(settings, postgres, worker.owner).run(stopping)


def _sink(settings: Settings, projection: Projection, postgres: str, topics: dict[str, str]) -> Sink:
    if projection.name == REDIS.name:
        from tailrace.consumers.redis.running import redis_sink

        return redis_sink(settings, projection, postgres)
    if projection.name == SEARCH.name:
        from tailrace.consumers.search.running import search_sink

        return search_sink(settings, projection, postgres, topics)
    return PostgresSink(postgres, settings.postgres, projection.name, projection.version, topics)


def reader_of(projection: Projection) -> Reader:
    """Only PostgreSQL needs all of an event; what follows it reads there what the event has become."""
    return decode_all if projection.name == POSTGRES.name else glance_all


def _stop_on_signals(worker: Worker) -> None:
    _running.append(worker)

    def stop() -> None:
        if all(one.stopping.is_set() for one in _running):
            os._exit(HARD_STOP_EXIT)
        log.info("stopping", workers=len(_running))
        for one in _running:
            one.stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
