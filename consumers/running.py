"""Put a worker together and run it until it is told to stop."""

import asyncio
import os
import signal
import socket

import structlog

from tailrace.consumers.kafka_log import KafkaLog
from tailrace.consumers.postgres.sink import PostgresSink
from tailrace.consumers.redis.running import caretaker, redis_sink
from tailrace.consumers.redis.sink import RedisSink
from tailrace.consumers.search.running import search_jobs, search_sink
from tailrace.consumers.search.sink import SearchSink
from tailrace.consumers.upkeep import Upkeep
from tailrace.consumers.worker import Worker
from tailrace.projections.registry import REDIS, SEARCH, Projection
from tailrace.settings import Settings

log = structlog.get_logger()

HARD_STOP_EXIT = 70

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
    kafka_log = KafkaLog(kafka, settings.group(f"{projection.name}.v{projection.version}"), settings.kafka)
    worker = Worker(kafka_log, sink, settings.worker, owner)
    upkeep = Upkeep(
        postgres,
        kafka,
        sink.progress.statements,
        projection.name,
        settings.topic("dead-letters"),
        wake=worker.wake if isinstance(sink, PostgresSink) else None,
    )
    finished = asyncio.Event()
    _stop_on_signals(worker)
    log.info("worker_started", projection=projection.name, version=projection.version, owner=owner)
    beside = {asyncio.create_task(upkeep.run(finished, settings.worker.parking_limit_s), name="upkeep")}
    if projection.name == SEARCH.name:
        jobs = search_jobs(settings, projection, postgres, owner)
        beside.add(asyncio.create_task(jobs.run(finished), name="search jobs"))
    if projection.name == REDIS.name:
        beside.add(asyncio.create_task(caretaker(settings, postgres, owner).run(finished), name="caretaker"))
    try:
        await worker.run()
    finally:
        finished.set()
        _running.remove(worker)
        await asyncio.wait(beside, timeout=settings.worker.drain_timeout_s)
        log.info("worker_stopped", projection=projection.name, **vars(worker.totals))


def _sink(
    settings: Settings, projection: Projection, postgres: str, topics: dict[str, str]
) -> PostgresSink | RedisSink | SearchSink:
    if projection.name == REDIS.name:
        return redis_sink(settings, projection, postgres)
    if projection.name == SEARCH.name:
        return search_sink(settings, projection, postgres, topics)
    return PostgresSink(postgres, settings.postgres, projection.name, projection.version, topics)


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
