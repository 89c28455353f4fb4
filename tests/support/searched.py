"""Search indices that follow one database of read models, with a worker's sink driven batch by batch."""

import itertools
import random
from collections.abc import Iterable, Sequence
from typing import Any

from elasticsearch import AsyncElasticsearch
from read_models import Log, Queues, Reader, ReadModels, partition_of

from tailrace.addresses import resolve
from tailrace.consumers.batch import Batch, Record, TopicPartition
from tailrace.consumers.postgres.progress_store import ProgressStore
from tailrace.consumers.search.beside import make_tools, perform
from tailrace.consumers.search.indices import Indices, connect
from tailrace.consumers.search.jobs import claim
from tailrace.consumers.search.layout import Write
from tailrace.consumers.search.reading import Database
from tailrace.consumers.search.sink import SearchSink
from tailrace.projections.documents import ALIASES
from tailrace.projections.registry import SEARCH
from tailrace.schemas.event import Event
from tailrace.settings import Settings
from tailrace.verification.compare import plain
from tailrace.verification.compare_search import compare_search
from tailrace.verification.fold import fold
from tailrace.verification.tables import SEARCH as COMPARISONS

FAST = {"shards": 1, "index_interval_ms": 0, "job_documents_per_s": 1_000_000}


class Searched:
    """Indices of their own for each story, of one database that nobody else writes."""

    def __init__(self, models: ReadModels, **elasticsearch: Any) -> None:
        self.models = models
        self._base = models.settings.elasticsearch.model_copy(update={**FAST, **elasticsearch})
        self._number = itertools.count()
        self.settings: Settings = models.settings
        self._prefixes: list[str] = []

    @property
    def prefix(self) -> str:
        return self.settings.elasticsearch.index_prefix

    def begin(self, **elasticsearch: Any) -> None:
        """Empty tables and no index."""
        self.models.clear()
        self.models.execute("DELETE FROM runtime.search_generations")
        for alias in ALIASES:
            self.models.execute("INSERT INTO runtime.search_generations VALUES (%s, 1, 'live')", alias)
        self.models.execute("UPDATE runtime.search_state SET made_at = NULL, layout_epoch = layout_epoch + 1")
        prefix = f"{self._base.index_prefix}{next(self._number)}-"
        self._prefixes.append(prefix)
        changed = self._base.model_copy(update={"index_prefix": prefix, **elasticsearch})
        self.settings = self.models.settings.model_copy(update={"elasticsearch": changed})

    def client(self) -> AsyncElasticsearch:
        return connect(resolve(self.settings).elasticsearch, self.settings.elasticsearch)

    def sink(self) -> SearchSink:
        """A worker's side of the indices; the caller closes it."""
        progress = ProgressStore(self.models.dsn, self.settings.postgres, SEARCH.name, SEARCH.version)
        database = Database(self.models.dsn, self.settings.postgres, "tests: search")
        return SearchSink(self.client(), progress, database, self.settings.elasticsearch, self.models.topics)

    async def jobs(self) -> int:
        """Do every job that waits; how many there were."""
        client, database = self.client(), Database(self.models.dsn, self.settings.postgres, "tests: jobs")
        tools = make_tools(client, database, self.settings.elasticsearch)
        done = 0
        try:
            while job := await claim(tools, "tests"):
                await perform(tools, job, self.settings.elasticsearch)
                done += 1
        finally:
            await database.close()
            await client.close()
        return done

    async def apply(self, log: Iterable[Record], size: int = 1_000) -> None:
        """Apply the whole log to the tables, then to the indices, and do the jobs."""
        records = list(log)
        await self.models.apply(records[start : start + size] for start in range(0, len(records), size))
        sink = self.sink()
        try:
            reader = Reader(self.models, sink)
            await reader.claim({partition_of(record) for record in records})
            for start in range(0, len(records), size):
                await sink.apply(reader.batch(records[start : start + size]))
        finally:
            await sink.close()
        await self.jobs()

    async def interleave(self, log: Log, rng: random.Random, size: int) -> list[list[Write]]:
        """Apply the log to the tables and to the indices in random steps, the indices behind; gives what was sent.

        As in a worker, the sink hears of a batch before those in front of it are applied.
        """
        tables, sink, sent = self.models.sink(), self.sink(), []
        send = sink.writer.send

        async def recorded(writes: Sequence[Write]) -> Any:
            sent.append(list(writes))
            return await send(writes)

        sink.writer.send = recorded
        ahead, behind = Reader(self.models, tables), Reader(self.models, sink)
        first, second = Queues(log, rng, size), Queues(log, rng, size)
        await ahead.claim(first.partitions)
        await behind.claim(first.partitions)
        reached: dict[TopicPartition, int] = dict.fromkeys(first.partitions, 0)
        held: Log = []
        told: list[Batch] = []
        more = True
        while more or held:
            if more and rng.random() < 0.5:
                piece = first.next()
                more = bool(piece)
                if piece:
                    await tables.apply(ahead.batch(piece))
                    reached |= {partition_of(r): r.offset + 1 for r in piece}
            held = held or second.next()
            ready = [r for r in held if r.offset < reached[partition_of(r)]]
            if ready:
                told.append(behind.batch(ready))
                sink.prefetch(told[-1])
                held = [r for r in held if r not in ready]
            while len(told) > 1 or (told and rng.random() < 0.5):
                await sink.apply(told.pop(0))
            if rng.random() < 0.1:
                await self.jobs()
        while piece := second.next():
            told.append(behind.batch(piece))
            sink.prefetch(told[-1])
        for batch in told:
            await sink.apply(batch)
        await tables.close()
        await sink.close()
        await self.jobs()
        return sent

    def differences(self, log: Iterable[Record]) -> dict[str, Any]:
        """What searches find wrongly, by alias."""
        decoded = [self.models.decoded(record) for record in log]
        expected = fold(event for event in decoded if isinstance(event, Event))
        reports = compare_search(self.settings, expected, COMPARISONS, limit=3)
        return {
            name: [{"key": plain(d.key), "expected": plain(d.expected), "found": plain(d.found)} for d in r.differences]
            for name, r in reports.items()
            if r.count
        }

    async def sources(self, alias: str = "messages") -> dict[str, Any]:
        """Every document behind an alias, by id."""
        async with self.client() as client:
            await client.indices.refresh(index=f"{self.prefix}{alias}")
            answer = await client.search(index=f"{self.prefix}{alias}", size=10_000)
            hits = answer["hits"]["hits"]
            assert len(hits) == len({hit["_id"] for hit in hits})
            return {hit["_id"]: hit["_source"] for hit in hits}

    async def indices(self) -> dict[str, Any]:
        """Aliases of every index, by its name without prefix."""
        async with self.client() as client:
            existing = await Indices(client, self.settings.elasticsearch).existing(self.prefix)
            return {name.removeprefix(self.prefix): aliases for name, aliases in existing.items()}

    async def drop(self) -> None:
        """Take everything away that was made."""
        async with self.client() as client:
            for prefix in self._prefixes:
                for alias in ALIASES:
                    names = list(await client.indices.get(index=f"{prefix}{alias}_*", allow_no_indices=True))
                    for name in names:
                        await client.indices.delete(index=name)
                    await client.indices.delete_index_template(name=f"{prefix}{alias}")
