"""Where the worker's time goes: fetch, decode and apply one after the other, and every statement by name.

Nothing overlaps here, so the seconds of one stage hold nothing of another's. `--cprofile` prints the functions instead.

Example: .venv/bin/python bench/stages.py --profile mixed --events 100000
"""

import argparse
import asyncio
import cProfile
import operator
import os
import pstats
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import uvloop
from aiokafka import AIOKafkaConsumer
from databases import Server
from event_log import EventLog, partitions_of
from measuring import backend_cpu_s
from postgres_worker import add_log_options, filled
from pydantic import SecretStr

from tailrace.addresses import resolve
from tailrace.consumers.batch import Batch, Record, TopicPartition
from tailrace.consumers.batches import add_records
from tailrace.consumers.postgres import sink
from tailrace.consumers.postgres.session import Session
from tailrace.consumers.postgres.sink import STRUCTURAL_TOPICS, PostgresSink
from tailrace.projections.registry import POSTGRES
from tailrace.rebuilding.filling import BATCH_EVENTS, fast
from tailrace.rebuilding.shadow import create
from tailrace.settings import LogSettings, Settings, load_settings
from tailrace.telemetry import configure_logging, tune_garbage_collector


class Times(NamedTuple):
    """Seconds: of the clock, and of CPU that this process and its backend have had."""

    clock: float
    client: float
    backend: float


class Stages:
    """Seconds and calls by name. `backend` is the process of the one connection, as soon as it is known."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, Times] = defaultdict(lambda: Times(0, 0, 0))
        self.calls: defaultdict[str, int] = defaultdict(int)
        self.backend: int | None = None

    def now(self) -> Times:
        backend = 0.0 if self.backend is None else backend_cpu_s(self.backend)
        return Times(time.perf_counter(), time.process_time(), backend)

    def add(self, name: str, started: Times) -> None:
        """Add what was spent since `started`."""
        self.spent[name] = Times(*map(operator.add, self.spent[name], map(operator.sub, self.now(), started)))
        self.calls[name] += 1


class TimedSession(Session):
    """A session that notes how long each statement takes, the driver's encoding included."""

    stages: Stages

    async def fetch(self, name: str, *arguments: Any) -> list[Any]:
        started = self.stages.now()
        try:
            return await super().fetch(name, *arguments)
        finally:
            self.stages.add(name, started)

    async def fetch_text(self, text: str, *arguments: Any) -> list[Any]:
        started = self.stages.now()
        try:
            return await super().fetch_text(text, *arguments)
        finally:
            self.stages.add(" ".join(text.split()[:3]) + " … " + text.rsplit(maxsplit=1)[-1][:30], started)

    async def copy(self, table: str, columns: Sequence[str], rows: Any) -> None:
        started = self.stages.now()
        try:
            await super().copy(table, columns, rows)
        finally:
            self.stages.add(f"COPY {table}", started)


async def fetch(log: EventLog, stages: Stages) -> dict[TopicPartition, list[Record]]:
    """The whole log by partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=log.bootstrap, fetch_max_bytes=32 * 2**20, max_partition_fetch_bytes=4 * 2**20
    )
    await consumer.start()
    consumer.assign(await partitions_of(log.settings, log.bootstrap))
    await consumer.seek_to_beginning()
    found: dict[TopicPartition, list[Record]] = {}
    count = 0
    started = stages.now()
    while count < log.records:
        for tp, records in (await consumer.getmany(timeout_ms=500, max_records=5_000)).items():
            count += len(records)
            found.setdefault(TopicPartition(tp.topic, tp.partition), []).extend(
                Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in records
            )
    stages.add("fetch", started)
    await consumer.stop()
    return found


async def run(log: EventLog, url: str, tables: Settings, limit: int, profiler: cProfile.Profile | None) -> Stages:
    """Read everything, then apply it batch by batch: the structural topics, then the others, as the worker does."""
    stages = TimedSession.stages = Stages()
    topics = {short: log.settings.topic(short) for short in POSTGRES.topics}
    records = await fetch(log, stages)
    store = PostgresSink(url, tables.postgres, "postgres", 1, topics)
    claims = await store.progress.claim(dict.fromkeys(records, 0), "bench")
    shorts = {tp: short for short, full in topics.items() for tp in records if tp.topic == full}
    stages.backend = await (await store.progress.connection()).fetchval("SELECT pg_backend_pid()")
    for structural in (True, False):
        mine = {tp: found for tp, found in sorted(records.items()) if (shorts[tp] in STRUCTURAL_TOPICS) is structural}
        for parts in _in_turns(mine, limit):
            with _stage(stages, "decode", profiler):
                batch = Batch()
                for tp, part in parts.items():
                    epoch, expected = claims[tp].epoch, part[0].offset
                    add_records(batch, tp, shorts[tp], part, epoch=epoch, expected=expected)
            with _stage(stages, "apply", profiler):
                await store.apply(batch)
    await store.close()
    return stages


def _in_turns(records: Mapping[TopicPartition, Sequence[Record]], limit: int) -> Iterator[dict[TopicPartition, Any]]:
    """Batches of at most `limit` records, an equal share from every partition that still has some."""
    at = dict.fromkeys(records, 0)
    while left := [tp for tp in records if at[tp] < len(records[tp])]:
        share = max(1, limit // len(left))
        yield {tp: records[tp][at[tp] : at[tp] + share] for tp in left}
        for tp in left:
            at[tp] += share


@contextmanager
def _stage(stages: Stages, name: str, profiler: cProfile.Profile | None) -> Iterator[None]:
    started = stages.now()
    if profiler:
        profiler.enable()
    yield
    if profiler:
        profiler.disable()
    stages.add(name, started)


def show(stages: Stages, records: int) -> None:
    outer = ("fetch", "decode", "apply")
    statements = {name: spent for name, spent in stages.spent.items() if name not in outer}
    print("\nµs/event: of the clock, of the client's CPU, of the backend's CPU\n    clock   client  backend  calls")

    def line(name: str, spent: Times, calls: int | str = "") -> None:
        print(" ".join(f"{seconds / records * 1e6:8.2f}" for seconds in spent), f"{calls:>6} {name}")

    for name in outer:
        line(name, stages.spent[name], stages.calls[name])
    line("decode and apply", Times(*map(operator.add, stages.spent["decode"], stages.spent["apply"])))
    within = [sum(column) for column in zip(*statements.values(), strict=True)]
    line("… of apply outside of statements", Times(*map(operator.sub, stages.spent["apply"], within)))
    for name, spent in sorted(statements.items(), key=lambda item: -item[1].clock):
        line(f"… {name}", spent, stages.calls[name])


def _shadow(settings: Settings, dsn: str) -> Settings:
    """Settings of another version's tables, which are made."""
    there = settings.postgres.model_copy(update={"dsn": SecretStr(dsn)})
    return create(settings.model_copy(update={"postgres": there}), version=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_log_options(parser)
    parser.add_argument("--batch", type=int, help="events of a batch; default: what the worker, or the fill, has")
    parser.add_argument("--fill", action="store_true", help="as a rebuild fills the tables of another version")
    parser.add_argument("--cprofile", action="store_true")
    arguments = parser.parse_args()
    settings = load_settings()
    configure_logging(LogSettings(level="warning"))
    profiler = cProfile.Profile() if arguments.cprofile else None
    with filled(settings, arguments) as log:
        server = Server(resolve(settings).postgres, settings)
        with server.made(f"bench_stages_{os.getpid()}", log) as database:
            tune_garbage_collector()
            sink.Session = TimedSession  # type: ignore[attr-defined]  # the way in without a switch in the worker
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                tables = log.settings if not arguments.fill else fast(_shadow(log.settings, server.dsn(database)))
                limit = arguments.batch or (BATCH_EVENTS if arguments.fill else 5_000)
                stages = runner.run(run(log, server.url(database), tables, limit, profiler))
        if profiler:
            pstats.Stats(profiler).sort_stats("tottime").print_stats(45)
        show(stages, log.records)


if __name__ == "__main__":
    main()
