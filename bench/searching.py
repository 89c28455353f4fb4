"""A database and indices for the search benches: the worker over a log in memory, and a bare bulk loader beside it."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg
from costs import Costs, Meter
from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_bulk
from memory_log import MemoryLog
from pydantic import SecretStr

from tailrace.addresses import resolve
from tailrace.consumers.batch import Batch, Record, TopicPartition
from tailrace.consumers.postgres.sink import PostgresSink
from tailrace.consumers.search.indices import Indices, connect
from tailrace.consumers.search.layout import Layout, Write
from tailrace.consumers.search.running import search_sink
from tailrace.consumers.search.sink import SearchSink
from tailrace.consumers.worker import Worker
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.projections.documents import ALIASES
from tailrace.projections.registry import POSTGRES, SEARCH
from tailrace.schemas.glance import glance
from tailrace.settings import Settings, load_settings

POLL_S = 0.005
LOADER_DOCUMENTS = 5_000
"""In one request, the worker's own bound (`bulk_max_documents`); 1,000 and 2,000 are no faster."""


Documents = Sequence[tuple[str, str, dict[str, Any]]]
"""Index, id, document."""
Load = Callable[[AsyncElasticsearch, Documents], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Run:
    """What writing `documents` took; `refreshed_s` is the refresh behind it, which `costs` leave out."""

    name: str
    documents: int
    seconds: float
    refreshed_s: float
    costs: Costs


class Bench:
    """One database, and indices anew for every run."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.dsn = resolve(settings).postgres
        self.client = connect(resolve(settings).elasticsearch, settings.elasticsearch)
        self.indices = Indices(self.client, settings.elasticsearch)
        self._meter = Meter(self.dsn, self.client)

    def tables(self, log: MemoryLog) -> Worker:
        """The worker of PostgreSQL over a log."""
        topics = {short: self.settings.topic(short) for short in POSTGRES.topics}
        sink = PostgresSink(self.dsn, self.settings.postgres, POSTGRES.name, POSTGRES.version, topics)
        return Worker(log, sink, self.settings.worker, "bench")

    async def search(self, log: MemoryLog, sent: list[list[Write]]) -> Worker:
        """The search worker over a log, its indices made. `sent` gets what is sent, call by call."""
        topics = {short: self.settings.topic(short) for short in SEARCH.topics}
        sink = search_sink(self.settings, SEARCH, self.dsn, topics)
        _record(sink, sent)
        await sink.apply(Batch())
        return Worker(log, sink, self.settings.worker, "bench", read=glance)

    async def worker(self, records: Sequence[Record]) -> tuple[Run, list[Write]]:
        """The search worker over the whole log, and what it sent."""
        await self.clear()
        sent: list[list[Write]] = []
        log = MemoryLog({TopicPartition(r.topic, r.partition) for r in records}, records)
        worker = await self.search(log, sent)
        before = await self._meter.read()
        async with running(worker):
            await until_applied(worker, len(records))
            took = time.perf_counter() - log.reading_since
            costs = (await self._meter.read()).since(before)
            refreshed_s = await self._refresh()
        writes = [write for some in sent for write in some]
        return Run("worker", len(writes), took, refreshed_s, costs), writes

    async def loader(self, name: str, writes: Sequence[Write], load: Load) -> Run:
        """A loader with the same documents for the same indices, as fresh as the worker found them."""
        await self.clear()
        generations = dict.fromkeys(ALIASES, ((1, "live"),))
        await self.indices.ensure(Layout(self.settings.elasticsearch.index_prefix, 0, 0, generations))
        documents = [(write.target, write.id, orjson.loads(write.body)) for write in writes]
        before = await self._meter.read()
        began = time.perf_counter()
        await load(self.client, documents)
        took = time.perf_counter() - began
        costs = (await self._meter.read()).since(before)
        return Run(name, len(documents), took, await self._refresh(), costs)

    async def _refresh(self) -> float:
        began = time.perf_counter()
        await self.indices.refresh()
        return time.perf_counter() - began

    async def clear(self) -> None:
        """No indices, no progress of the search worker."""
        await self.indices.drop(await self.indices.existing(self.settings.elasticsearch.index_prefix))
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute("DELETE FROM runtime.search_jobs")
            conn.execute("UPDATE runtime.search_state SET made_at = NULL, layout_epoch = layout_epoch + 1")
            conn.execute("DELETE FROM runtime.progress WHERE projection = %s", (SEARCH.name,))

    async def close(self) -> None:
        await self.clear()
        for alias in ALIASES:
            name = f"{self.settings.elasticsearch.index_prefix}{alias}"
            await self.client.options(ignore_status=404).indices.delete_index_template(name=name)
        await self.client.close()


async def by_hand(client: AsyncElasticsearch, documents: Documents, requests: int = 1) -> None:
    """Encode, send, ask whether anything was refused; so many requests at a time.

    Encoded is with orjson and without the client, the cheapest way that Python has; no versions, no answers for single
    documents.
    """
    parts = iter([documents[at : at + LOADER_DOCUMENTS] for at in range(0, len(documents), LOADER_DOCUMENTS)])

    async def in_turn() -> None:
        for part in parts:
            lines = []
            for index, identity, source in part:
                lines.append(b'{"index":{"_index":"%b","_id":"%b"}}' % (index.encode(), identity.encode()))
                lines.append(orjson.dumps(source))
            body: Any = b"\n".join([*lines, b""])
            answer = await client.bulk(operations=body, filter_path="errors")
            if answer["errors"]:
                raise RuntimeError("Elasticsearch refused a document of the loader")

    await asyncio.gather(*(in_turn() for _ in range(requests)))


async def by_helper(client: AsyncElasticsearch, documents: Documents) -> None:
    """What most loaders are: the client's own helper, with its defaults but for the size of a request."""
    actions = ({"_index": index, "_id": identity, "_source": source} for index, identity, source in documents)
    await async_bulk(client, actions, chunk_size=LOADER_DOCUMENTS)


def _record(sink: SearchSink, sent: list[list[Write]]) -> None:
    """Keep what the sink sends."""
    send = sink.writer.send

    async def recorded(writes: Sequence[Write]) -> Any:
        sent.append(list(writes))
        return await send(writes)

    sink.writer.send = recorded  # type: ignore[method-assign]  # nothing else of it is replaced


@asynccontextmanager
async def running(*workers: Worker) -> AsyncIterator[None]:
    """The workers run, and have ended behind it."""
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for worker in workers:
            worker.stopping.set()
        await asyncio.gather(*tasks)


async def until_applied(worker: Worker, events: int) -> None:
    """Wait until the worker has applied so many events."""
    while worker.totals.events < events:  # noqa: ASYNC110 - the worker counts, it tells nobody
        await asyncio.sleep(POLL_S)


async def with_bench(run: Callable[[Bench], Awaitable[None]], **elasticsearch: Any) -> None:
    """Do something with a database and indices that are gone behind it. `elasticsearch` are settings to change."""
    base = load_settings()
    name = f"bench_search_{uuid.uuid4().hex[:6]}"
    dsn = resolve(base).postgres
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(f'CREATE DATABASE "{name}"')
    try:
        changed = base.elasticsearch.model_copy(update={"index_prefix": f"{name}-", **elasticsearch})
        postgres = base.postgres.model_copy(update={"dsn": SecretStr(f"{dsn.rpartition('/')[0]}/{name}")})
        settings = base.model_copy(update={"elasticsearch": changed, "postgres": postgres})
        with connection(settings) as conn:
            migrate(conn, settings)
        bench = Bench(settings)
        try:
            await run(bench)
        finally:
            await bench.close()
    finally:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
