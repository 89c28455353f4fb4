"""How fast the search worker is, beside a bare bulk loader of the same documents.

Usage: .venv/bin/python bench/search_worker.py [--events 40000] [--runs 3] [--shards 1]

Makes a database of its own on the servers that the settings name, and indices under a prefix of its own; both go at
the end. PostgreSQL applies the log first, which is not timed. Then, in turn,
  worker  the search worker's sink: decode, find what is dirty, read whole documents, write them, move the progress
  loader  the same documents, read beforehand, in bulks of the same size into fresh indices: no log, no database
until everything is written; then both refresh, which is timed apart. Rates are documents a second.
"""

import argparse
import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from statistics import median
from typing import Any

import psycopg
import uvloop
from pydantic import SecretStr

from tailrace.addresses import resolve
from tailrace.consumers.batch import Batch, Record, TopicPartition
from tailrace.consumers.batches import add_records
from tailrace.consumers.postgres.progress_store import ProgressStore
from tailrace.consumers.postgres.sink import PostgresSink
from tailrace.consumers.search.bulk import BulkWriter
from tailrace.consumers.search.indices import Indices, connect
from tailrace.consumers.search.layout import Layout, Write
from tailrace.consumers.search.reading import Database
from tailrace.consumers.search.sink import SearchSink
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.projections.documents import ALIASES
from tailrace.projections.registry import POSTGRES, SEARCH
from tailrace.schemas.decode import decode
from tailrace.schemas.glance import glance
from tailrace.settings import Settings, load_settings
from tailrace.telemetry import tune_garbage_collector
from tailrace.workload import generate, named_profile

PARTITIONS = 8
BATCH = 5_000
YIELD_EVERY_RECORDS = 250
APPENDED_MS = int(datetime(2026, 11, 21, tzinfo=UTC).timestamp() * 1000)


def log_of(settings: Settings, events: int) -> list[Record]:
    ends: dict[TopicPartition, int] = {}
    made = []
    profile = named_profile("messages", end=datetime(2026, 11, 20, tzinfo=UTC), events=events)
    for number, one in enumerate(generate(profile)):
        if one.fault == "poison" or one.key is None:
            continue
        partition = TopicPartition(settings.topic(one.topic), uuid.UUID(one.key.decode()).int % PARTITIONS)
        offset = ends.get(partition, 0)
        ends[partition] = offset + 1
        made.append(Record(*partition, offset, APPENDED_MS + number, one.key, one.value))
    return made


class Feed:
    """Batches for one sink, decoded as they are asked for."""

    def __init__(self, sink: PostgresSink | SearchSink, settings: Settings) -> None:
        self._sink = sink
        self._read = glance if isinstance(sink, SearchSink) else decode
        self._prefix = settings.kafka.topic_prefix
        self._claims: dict[TopicPartition, Any] = {}
        self._positions: dict[TopicPartition, int] = {}

    async def claim(self, records: list[Record]) -> None:
        wanted = {TopicPartition(r.topic, r.partition): 0 for r in records}
        self._claims = await self._sink.progress.claim(wanted, "bench")
        self._positions = dict.fromkeys(wanted, 0)

    async def batches(self, records: list[Record]) -> AsyncIterator[Batch]:
        """As in the worker, the next batch is decoded while one is applied, giving way now and then."""
        for start in range(0, len(records), BATCH):
            parts: dict[TopicPartition, list[Record]] = {}
            for record in records[start : start + BATCH]:
                parts.setdefault(TopicPartition(record.topic, record.partition), []).append(record)
            batch = Batch()
            for tp, part in parts.items():
                short, epoch = tp.topic.removeprefix(self._prefix), self._claims[tp].epoch
                for at in range(0, len(part), YIELD_EVERY_RECORDS):
                    piece = part[at : at + YIELD_EVERY_RECORDS]
                    add_records(batch, tp, short, piece, epoch=epoch, expected=self._positions[tp], read=self._read)
                    self._positions[tp] = piece[-1].offset + 1
                    await asyncio.sleep(0)
            yield batch


class Bench:
    """One database, and indices anew for every run."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.dsn = resolve(settings).postgres
        self.topics = {short: settings.topic(short) for short in POSTGRES.topics}
        self.client = connect(resolve(settings).elasticsearch, settings.elasticsearch)
        self.indices = Indices(self.client, settings.elasticsearch)

    async def fill_tables(self, records: list[Record]) -> None:
        sink = PostgresSink(self.dsn, self.settings.postgres, POSTGRES.name, POSTGRES.version, self.topics)
        feed = Feed(sink, self.settings)
        await feed.claim(records)
        async for batch in feed.batches(records):
            await sink.apply(batch)
        await sink.close()

    async def worker(self, records: list[Record]) -> tuple[float, float, list[list[Write]]]:
        """Seconds until everything was written, seconds of the refresh, and what was written."""
        await self.clear()
        database = Database(self.dsn, self.settings.postgres, "bench")
        progress = ProgressStore(self.dsn, self.settings.postgres, SEARCH.name, SEARCH.version)
        client = connect(resolve(self.settings).elasticsearch, self.settings.elasticsearch)
        sink = SearchSink(client, progress, database, self.settings.elasticsearch, self.topics)
        sent: list[list[Write]] = []
        send = sink.writer.send

        async def recorded(writes: list[Write]) -> Any:
            sent.append(writes)
            return await send(writes)

        sink.writer.send = recorded  # type: ignore[method-assign]  # what was sent is what the loader sends
        feed = Feed(sink, self.settings)
        await feed.claim(records)
        await sink.apply(Batch())  # makes the indices
        began = time.perf_counter()
        applying: asyncio.Task[Any] | None = None
        async for batch in feed.batches(records):
            if applying is not None:
                await applying
            applying = asyncio.create_task(sink.apply(batch))
        if applying is not None:
            await applying
        took = time.perf_counter() - began
        refreshed = await self._refresh()
        await sink.close()
        return took, refreshed, [writes for writes in sent if writes]

    async def loader(self, sent: list[list[Write]]) -> tuple[float, float]:
        await self.clear()
        generations = dict.fromkeys(ALIASES, ((1, "live"),))
        await self.indices.ensure(Layout(self.settings.elasticsearch.index_prefix, 0, 0, generations))
        writer = BulkWriter(self.client, self.settings.elasticsearch)
        everything = [write for writes in sent for write in writes]
        began = time.perf_counter()
        await writer.send(everything)
        return time.perf_counter() - began, await self._refresh()

    async def _refresh(self) -> float:
        began = time.perf_counter()
        await self.indices.refresh()
        return time.perf_counter() - began

    async def clear(self) -> None:
        await self.indices.drop(await self.indices.existing(self.settings.elasticsearch.index_prefix))
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute("DELETE FROM runtime.search_jobs")
            conn.execute("UPDATE runtime.search_state SET made_at = NULL, layout_epoch = layout_epoch + 1")
            conn.execute("DELETE FROM runtime.progress WHERE projection = 'search'")

    async def close(self) -> None:
        await self.clear()
        for alias in ALIASES:
            name = f"{self.settings.elasticsearch.index_prefix}{alias}"
            await self.client.options(ignore_status=404).indices.delete_index_template(name=name)
        await self.client.close()


async def run(bench: Bench, events: int, runs: int) -> None:
    records = log_of(bench.settings, events)
    await bench.fill_tables(records)
    tune_garbage_collector()  # as in a worker's process
    rates: dict[str, list[float]] = {"worker": [], "loader": []}
    shown: dict[str, list[float]] = {"worker": [], "loader": []}
    for number in range(runs):
        took, refreshed, sent = await bench.worker(records)
        documents = sum(map(len, sent))
        rates["worker"].append(documents / took)
        shown["worker"].append(documents / (took + refreshed))
        took, refreshed = await bench.loader(sent)
        rates["loader"].append(documents / took)
        shown["loader"].append(documents / (took + refreshed))
        print(f"run {number + 1}: {documents:,} documents of {len(records):,} records")
    print(f"{'':8}{'documents/s':>12}{'until refreshed':>18}")
    for name, found in rates.items():
        print(f"{name:8}{median(found):>12,.0f}{median(shown[name]):>18,.0f}")
    print(f"ratio   {median(rates['worker']) / median(rates['loader']):>12.2f}"
          f"{median(shown['worker']) / median(shown['loader']):>18.2f}")  # fmt: skip


async def measure(arguments: argparse.Namespace) -> None:
    base = load_settings()
    name = f"bench_search_{uuid.uuid4().hex[:6]}"
    dsn = resolve(base).postgres
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(f'CREATE DATABASE "{name}"')
    try:
        elasticsearch = base.elasticsearch.model_copy(
            update={"index_prefix": f"{name}-", "shards": arguments.shards, "index_interval_ms": 0}
        )
        postgres = base.postgres.model_copy(update={"dsn": SecretStr(f"{dsn.rpartition('/')[0]}/{name}")})
        settings = base.model_copy(update={"elasticsearch": elasticsearch, "postgres": postgres})
        with connection(settings) as conn:
            migrate(conn, settings)
        bench = Bench(settings)
        try:
            await run(bench, arguments.events, arguments.runs)
        finally:
            await bench.close()
    finally:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shards", type=int, default=1)
    uvloop.run(measure(parser.parse_args()))
