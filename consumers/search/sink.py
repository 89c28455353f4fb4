"""The search worker's sink: what is dirty from the log, what it is from PostgreSQL, whole and versioned.

Wait until PostgreSQL has applied the batch · read the layout · find what the batch reaches · read these documents, each
whole in one statement, and write them · move the progress, if the layout is still the one that was read. Every step may
be repeated at any time; a write that comes late carries an older version and is refused.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

import asyncpg
import structlog
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from tailrace.consumers.batch import Batch, Outcome, Record, TopicPartition
from tailrace.consumers.crash_points import crash_point
from tailrace.consumers.faults import Fault
from tailrace.consumers.postgres.letters import settle_for_follower
from tailrace.consumers.postgres.progress_store import ProgressStore
from tailrace.consumers.postgres.session import Session
from tailrace.consumers.postgres.sink import is_retryable, is_unreachable
from tailrace.consumers.search.bulk import PASSING, BulkWriter, MissingIndexError, OutageError, Rejection
from tailrace.consumers.search.indices import Indices
from tailrace.consumers.search.layout import Document, Layout
from tailrace.consumers.search.layouts import Layouts
from tailrace.consumers.search.reading import Database, Indexed, Reach, documents, reach
from tailrace.consumers.search.routing import wanted_moves
from tailrace.projections.documents import Dirty, dirty_documents
from tailrace.projections.registry import POSTGRES
from tailrace.schemas.event import Event, Refusal
from tailrace.schemas.refusals import RefusalCode
from tailrace.settings import ElasticsearchSettings

log = structlog.get_logger()

BEHIND_POLL_S: Final = 0.02
BEHIND_MAX_S: Final = 30.0
"""So long a batch waits for PostgreSQL before it is given back to be tried again."""

SMALL_BATCH_EVENTS: Final = 1_000
LAYOUT_CHANGES_MAX: Final = 20
PART_DOCUMENTS: Final = 2_000


class BehindError(Exception):
    """PostgreSQL has not applied what this batch is about."""


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
        self._settings = settings
        self.writer = BulkWriter(client, settings)
        # A connection of its own: an index may turn out to be missing while the next part is being read.
        self._layouts = Layouts(database.beside(), Indices(client, settings), settings)
        self._indexed_at = 0.0

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
        """Drop connections and look at the layout anew."""
        self.progress.discard()
        self._database.discard()
        self._layouts.discard()

    async def close(self) -> None:
        """Close all connections."""
        await self.progress.close()
        await self._database.close()
        await self._layouts.close()
        await self._client.close()

    async def apply(self, batch: Batch) -> Outcome:
        """Index what the batch makes dirty, as it is now, and move the progress.

        What the contract refuses is recorded once, by the projection `postgres`; documents that Elasticsearch refuses
        and events that a projection failed on become dead letters of this one.
        """
        dirty = dirty_documents(batch.events)
        await self._keep_distance(len(batch.events))
        await self._wait_for_postgres(batch)
        if dirty.reaches_far:
            # Whoever reads documents at this moment may have read the old name: they find the epoch raised and read
            # again, or have moved their progress before we look at it.
            await self._layouts.raise_epoch()
        for _ in range(LAYOUT_CHANGES_MAX):
            layout = await self._layouts.current()
            found, moves = await self._reach(batch, dirty)
            rejected = await self._index(layout, found)
            crash_point("indexed")
            if await self._commit(batch, layout, found.jobs | moves, self._refused(batch, dirty, rejected)):
                return Outcome(events=len(batch.events), refused=len(batch.refusals))
            self._layouts.forget()
        raise UnsettledError

    async def _keep_distance(self, events: int) -> None:
        """Let small batches grow: a message that is reacted to all the time is written a few times a second."""
        loop = asyncio.get_running_loop()
        wait_s = self._indexed_at + self._settings.index_interval_ms / 1000 - loop.time()
        if events < SMALL_BATCH_EVENTS and wait_s > 0:
            await asyncio.sleep(wait_s)
        self._indexed_at = loop.time()

    async def _wait_for_postgres(self, batch: Batch) -> None:
        spans = sorted(batch.spans.items())
        arguments = [tp.topic for tp, _ in spans], [tp.partition for tp, _ in spans], [s.reached for _, s in spans]
        deadline = asyncio.get_running_loop().time() + BEHIND_MAX_S
        pause = BEHIND_POLL_S
        while True:
            rows = await self._database.fetch("postgres_behind", POSTGRES.name, POSTGRES.version, *arguments)
            if rows[0][0] == 0:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise BehindError
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    async def _reach(self, batch: Batch, dirty: Dirty) -> tuple[Reach, set[tuple[str, str]]]:
        """Ids of the documents to be written, and the moves of workspaces that are due."""
        anywhere = 0
        if dirty.users:
            name, version = self.progress.projection, self.progress.version
            rows = await self._database.fetch("conversations_reached", name, version, self.topics["conversations"])
            anywhere = rows[0][0]
        # A channel and its messages share a partition, of which everything before this batch was indexed.
        in_channel = {
            channel_id: batch.spans[_partition(dirty.origin[channel_id], self.topics)].expected
            for channel_id in dirty.channels
        }
        async with self._database.snapshot():
            found = await reach(self._database, dirty, Indexed(anywhere, in_channel), self._settings.inline_max)
            return found, await wanted_moves(self._database, dirty.counted_workspaces, self._settings)

    async def _index(self, layout: Layout, found: Reach) -> list[Rejection]:
        """Read and write the documents part by part, each part read while the one before it is written."""
        rejected: list[Rejection] = []
        writing: asyncio.Task[list[Rejection]] | None = None
        try:
            for part in found.parts(PART_DOCUMENTS):
                async with self._database.snapshot():
                    now = await documents(self._database, part.messages, part.files, part.members)
                if writing is not None:
                    rejected += await writing
                writing = asyncio.create_task(self._write(layout, now))
            return rejected + (await writing if writing is not None else [])
        finally:
            if writing is not None and not writing.done():
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, layout: Layout, found: Iterable[Document]) -> list[Rejection]:
        writes = layout.writes(found)
        try:
            return await self.writer.send(writes)
        except MissingIndexError as error:
            await self._layouts.make(error.indices)
            return await self.writer.send(writes)

    async def _commit(
        self, batch: Batch, layout: Layout, jobs: Iterable[tuple[str, str]], refused: list[tuple[Record, Refusal]]
    ) -> bool:
        """Move the progress; False, with nothing moved, where the layout is not the one that was written by."""
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


def _partition(event: Event, topics: Mapping[str, str]) -> TopicPartition:
    return TopicPartition(topics[event.topic], event.partition)
