"""The search worker's sink: what is dirty from the log, what it is from PostgreSQL, whole and versioned.

Read what the batch reaches (`prefetching`), each document whole in one statement · write it · move the progress, if the
layout is still the one that was read. Every step may be repeated at any time; a write that comes late carries an older
version and is refused.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import asyncpg
import structlog
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from tailrace.consumers.batch import Batch, Outcome, Record
from tailrace.consumers.crash_points import crash_point
from tailrace.consumers.faults import Fault
from tailrace.consumers.postgres.letters import settle_for_follower
from tailrace.consumers.postgres.progress_store import ProgressStore
from tailrace.consumers.postgres.session import Session
from tailrace.consumers.postgres.sink import is_retryable, is_unreachable
from tailrace.consumers.search.bulk import PASSING, BulkWriter, MissingIndexError, OutageError, Rejection
from tailrace.consumers.search.indices import Indices
from tailrace.consumers.search.layout import Layout, Write
from tailrace.consumers.search.layouts import Layouts
from tailrace.consumers.search.prefetching import BehindError, Prefetcher, Reading
from tailrace.consumers.search.reading import Database
from tailrace.projections.documents import Dirty
from tailrace.schemas.event import Refusal
from tailrace.schemas.refusals import RefusalCode
from tailrace.settings import ElasticsearchSettings

log = structlog.get_logger()

LAYOUT_CHANGES_MAX: Final = 20
REQUESTS_MAX: Final = 2
"""Parts that are being written at a time: while Elasticsearch answers one, it reads the other."""


class UnsettledError(Exception):
    """The layout changed under a batch again and again."""


class SearchSink:
    """Keeps the indices of one instance, for one projection's progress."""

    alone: frozenset[str] = frozenset()

    def __init__(
        self, client: AsyncElasticsearch, progress: ProgressStore, database: Database, settings: ElasticsearchSettings,
        topics: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.topics: Mapping[str, str] = dict(topics)
        self.progress = progress
        self._client = client
        self._database = database
        self.writer = BulkWriter(client, settings)
        # A connection of its own: an index may turn out to be missing while the next part is being read.
        self._layouts = Layouts(database.beside(), Indices(client, settings), settings)
        self._prefetcher = Prefetcher(database, self._layouts, progress, settings, topics)

    def is_retryable(self, error: BaseException) -> bool:
        """Whether the same batch may well succeed when tried again."""
        if isinstance(error, ApiError):
            return error.status_code in PASSING
        return is_retryable(error) or isinstance(
            error, BehindError | UnsettledError | OutageError | MissingIndexError | TransportError
        )

    def is_unreachable(self, error: BaseException) -> bool:
        """Whether it is tried again for as long as it takes."""
        if isinstance(error, ApiError):
            return error.status_code in PASSING
        return is_unreachable(error) or isinstance(error, BehindError | OutageError | TransportError)

    def discard(self) -> None:
        """Drop connections and what was prefetched, and look at the layout anew."""
        self._prefetcher.drop()
        self.progress.discard()
        self._database.discard()
        self._layouts.discard()

    async def close(self) -> None:
        """Close all connections."""
        await self._prefetcher.close()
        await self.progress.close()
        await self._database.close()
        await self._layouts.close()
        await self._client.close()

    def prefetch(self, batch: Batch) -> None:
        """Read the documents of a batch that waits behind the one being applied."""
        self._prefetcher.prefetch(batch)

    async def apply(self, batch: Batch) -> Outcome:
        """Index what the batch makes dirty, as it is now, and move the progress.

        What the contract refuses is recorded once, by the projection `postgres`; documents that Elasticsearch refuses
        and events that a projection failed on become dead letters of this one.
        """
        reading = self._prefetcher.reading(batch)
        try:
            for _ in range(LAYOUT_CHANGES_MAX):
                rejected = await self._index(reading)
                crash_point("indexed")
                refused = self._refused(batch, reading.dirty, rejected)
                if await self._commit(batch, reading.layout, reading.jobs, refused):
                    return Outcome(events=len(batch.events), refused=len(batch.refusals))
                self._layouts.forget()
                reading = self._prefetcher.again(reading)
            raise UnsettledError
        finally:
            reading.cancel()

    async def _index(self, reading: Reading) -> list[Rejection]:
        """Write the documents part by part, while the next parts are read."""
        rejected: list[Rejection] = []
        writing: list[asyncio.Task[list[Rejection]]] = []
        try:
            while (part := await reading.take()) is not None:
                if len(writing) >= REQUESTS_MAX:
                    rejected += await writing.pop(0)
                writing.append(asyncio.create_task(self._write(part), name="write documents"))
            while writing:
                rejected += await writing.pop(0)
            return rejected
        finally:
            for one in writing:
                one.cancel()
            await asyncio.gather(*writing, return_exceptions=True)

    async def _write(self, writes: Sequence[Write]) -> list[Rejection]:
        try:
            return await self.writer.send(writes)
        except MissingIndexError as error:
            await self._layouts.make(error.indices)
            return await self.writer.send(writes)

    async def _commit(
        self, batch: Batch, layout: Layout, jobs: Iterable[tuple[str, str]], refused: list[tuple[Record, Refusal]]
    ) -> bool:
        """Move the progress; False, with nothing moved, where the layout is not the one that was written by."""
        await self._layouts.check_cluster()
        connection = await self.progress.connection()
        session = Session(connection, self.progress.statements)
        await connection.execute("BEGIN")
        try:
            epoch = await connection.fetchval(self._database.texts["hold_layout_epoch"])
            if epoch != layout.epoch:
                await connection.execute("ROLLBACK")
                return False
            if not await self.progress.advance(session, batch.spans):
                await connection.execute("ROLLBACK")
                await self.progress.explain_fence(batch.spans)
                return True
            for kind, subject in sorted(jobs):
                await connection.execute(self._database.texts["request_job"], kind, subject)
            await settle_for_follower(session, self.progress.projection, self.topics, batch, refused)
            await connection.execute("COMMIT")
            crash_point("followed")
        finally:
            if not connection.is_closed() and connection.is_in_transaction():
                await self._rollback(connection)
        return True

    async def _rollback(self, connection: asyncpg.Connection) -> None:
        try:
            await connection.execute("ROLLBACK")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self.progress.discard()

    def _refused(self, batch: Batch, dirty: Dirty, rejected: Iterable[Rejection]) -> list[tuple[Record, Refusal]]:
        """Records of dead letters: each document that was rejected, under the event that touched it last."""
        refused: dict[tuple[str, int, int], tuple[Record, Refusal]] = {}
        for write, reason in rejected:
            log.error("document_rejected", index=write.target, document=write.id, reason=reason)
            ids = [write.id, *write.id.split(":")[::-1]]
            event = next((dirty.origin[name] for name in ids if name in dirty.origin), None)
            if event is None:
                continue
            record = batch.record_of(event, self.topics)
            fault = Fault(RefusalCode.E_STORE, f"Elasticsearch refused the document: {reason}")
            refused[record.topic, record.partition, record.offset] = record, fault.refusal_of(event)
        return list(refused.values())
