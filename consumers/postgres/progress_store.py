"""The progress rows of one projection, and the connection on which a worker moves them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg
import structlog

from tailrace.consumers.batch import Span, TopicPartition
from tailrace.consumers.errors import FencedError
from tailrace.consumers.postgres.session import Session, Statements
from tailrace.consumers.progress import Claim
from tailrace.settings import PostgresSettings

log = structlog.get_logger()

Spans = Mapping[TopicPartition, Span]


class ProgressStore:
    """Positions of one projection in PostgreSQL, by compare-and-set. One connection, reopened when it is lost."""

    def __init__(self, dsn: str, settings: PostgresSettings, projection: str, version: int) -> None:
        self.projection = projection
        self.version = version
        self.statements = Statements(settings)
        self._dsn = dsn
        self._settings = settings
        self._connection: asyncpg.Connection | None = None

    async def connection(self) -> asyncpg.Connection:
        """The open connection; a new one where it was lost. Bounded by `connect_timeout_s`."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._dsn,
            timeout=self._settings.connect_timeout_s,
            command_timeout=self._settings.statement_timeout_ms / 1000 + 5,
            statement_cache_size=self._settings.statement_cache_size,
            server_settings={"application_name": f"tailrace worker {self.projection}"},
        )

    @asynccontextmanager
    async def _apart(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for one statement, beside the batch that is being applied.

        On the batch's own connection the statement could slip into its open transaction and be rolled back with it.
        """
        connection = await self._connect()
        try:
            yield connection
        finally:
            connection.terminate()

    def discard(self) -> None:
        """Drop the connection at once; what it was doing is rolled back by the server."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        """Close the connection, or drop it where the server does not answer."""
        if self._connection is not None:
            try:
                await self._connection.close(timeout=5)
            except (OSError, TimeoutError, asyncpg.InterfaceError):
                self.discard()
            self._connection = None

    async def claim(self, beginnings: Mapping[TopicPartition, int], owner: str) -> dict[TopicPartition, Claim]:
        """Issue a new epoch for each partition; earlier owners are fenced from this moment on.

        A partition that is not known yet starts at its beginning, as given.
        """
        ordered = sorted(beginnings)
        async with self._apart() as connection:
            rows = await connection.fetch(
                self.statements["claim"],
                self.projection,
                self.version,
                [tp.topic for tp in ordered],
                [tp.partition for tp in ordered],
                [beginnings[tp] for tp in ordered],
                owner,
            )
        claims = (
            Claim(
                TopicPartition(r["topic"], r["partition"]),
                r["next_offset"],
                r["epoch"],
                r["fingerprint"],
                r["halted_code"],
            )
            for r in rows
        )
        return {claim.partition: claim for claim in claims}

    async def positions(self) -> dict[TopicPartition, tuple[int, int]]:
        """(next offset, epoch) of every partition that this projection knows."""
        rows = await (await self.connection()).fetch(self.statements["positions"], self.projection, self.version)
        return {TopicPartition(r["topic"], r["partition"]): (r["next_offset"], r["epoch"]) for r in rows}

    async def halt(self, partition: TopicPartition, code: str, reason: str) -> None:
        """Record that a partition stands still and why; it moves again only after an operator lifted it."""
        async with self._apart() as connection:
            await connection.execute(self.statements["halt"], self.projection, self.version, *partition, code, reason)

    async def advance(self, session: Session, spans: Spans) -> bool:
        """Move the progress of every partition; False, with nothing to be kept, where one of them is not ours any more.

        Must be the first statement of a transaction that is rolled back on False.
        """
        ordered = sorted(spans)
        held = [spans[tp] for tp in ordered]
        moved = await session.fetch(
            "advance",
            self.projection,
            self.version,
            [tp.topic for tp in ordered],
            [tp.partition for tp in ordered],
            [span.epoch for span in held],
            [span.expected for span in held],
            [span.reached for span in held],
            [span.fingerprint for span in held],
            [span.event_time for span in held],
            [span.append_time for span in held],
        )
        return len(moved) == len(ordered)

    async def explain_fence(self, spans: Spans) -> None:
        """Return if the spans were ours after all (a COMMIT whose answer was lost), else raise `FencedError`."""
        positions = await self.positions()
        if all(positions.get(tp) == (span.reached, span.epoch) for tp, span in spans.items()):
            log.info("commit_answer_was_lost", partitions=len(spans))
            return
        raise FencedError(
            frozenset(tp for tp, span in spans.items() if positions.get(tp) != (span.expected, span.epoch))
            or frozenset(spans)
        )
