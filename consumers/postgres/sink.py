"""The transaction: progress first, then the events, their dead letters, and commit.

BEGIN · advance progress by compare-and-set · lock · apply · dead letters · COMMIT. Whatever fails before COMMIT leaves
nothing; a COMMIT whose answer was lost is found out by looking at the progress row (`Sink.apply`).
"""

import base64
from collections.abc import Iterable, Mapping
from datetime import date

import asyncpg
import structlog

from tailrace.consumers.errors import FencedError, RefusedByStoreError
from tailrace.consumers.postgres.apply import apply_events
from tailrace.consumers.postgres.batch import Batch, Outcome, Record, TopicPartition
from tailrace.consumers.postgres.parking import Parking
from tailrace.consumers.postgres.session import Session, Statements, to_json
from tailrace.consumers.progress import Claim
from tailrace.operations.partitions import ensure_months
from tailrace.projections.postings import POSTED
from tailrace.schemas.event import Refusal
from tailrace.settings import PostgresSettings

log = structlog.get_logger()

STRUCTURAL_TOPICS = frozenset({"directory", "files"})
"""Topics whose events change rows that belong to other partitions (erasure, memberships, files in messages)."""

_BEGIN = """
BEGIN;
SET LOCAL lock_timeout = {lock_timeout_ms};
SET LOCAL statement_timeout = {statement_timeout_ms};
SET LOCAL idle_in_transaction_session_timeout = {statement_timeout_ms};
SET LOCAL synchronous_commit = {synchronous_commit};
SET LOCAL jit = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_seqscan = off
"""
# Every statement of the worker looks rows up by key, and its plans are made while tables are still empty. A plan with
# a sequential scan, right at that moment, is kept and becomes quadratic as they fill; hence only nested loops over
# indexes. SET LOCAL, because behind PgBouncer in transaction mode nothing else stays with us.

_RETRYABLE = (
    asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError, asyncpg.UniqueViolationError, asyncpg.CheckViolationError,
    asyncpg.InvalidCachedStatementError, asyncpg.InsufficientResourcesError, asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError, OSError, TimeoutError,
)  # fmt: skip


def is_retryable(error: BaseException) -> bool:
    """Whether the same transaction may well succeed when tried again.

    A unique violation is: two channels posted one id at the same moment, and the retry sees the other. So is a check
    violation: "no partition of relation found" after somebody detached a month.
    """
    return isinstance(error, _RETRYABLE)


class Sink:
    """The PostgreSQL side of one worker: one connection, reopened when it is lost."""

    def __init__(
        self, dsn: str, settings: PostgresSettings, projection: str, version: int, topics: Mapping[str, str]
    ) -> None:
        self.projection = projection
        self.version = version
        self.topics = dict(topics)
        self.statements = Statements(settings)
        self._dsn = dsn
        self._settings = settings
        self._connection: asyncpg.Connection | None = None
        self._begin = _BEGIN.format(
            lock_timeout_ms=settings.lock_timeout_ms,
            statement_timeout_ms=settings.statement_timeout_ms,
            synchronous_commit="on" if settings.synchronous_commit else "off",
        )
        self._months: dict[str, set[date]] = {}

    async def connection(self) -> asyncpg.Connection:
        """The open connection; a new one where it was lost. Bounded by `connect_timeout_s`."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=self._settings.connect_timeout_s,
                command_timeout=self._settings.statement_timeout_ms / 1000 + 5,
                server_settings={"application_name": f"tailrace worker {self.projection}"},
            )
        return self._connection

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
        """Issue a new epoch for each partition; earlier owners are fenced from this moment on."""
        ordered = sorted(beginnings)
        rows = await (await self.connection()).fetch(
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
        await (await self.connection()).execute(
            self.statements["halt"], self.projection, self.version, *partition, code, reason
        )

    async def apply(self, batch: Batch, refused: Iterable[tuple[Record, Refusal]] = ()) -> Outcome:
        """Apply a batch exactly once.

        Raises `FencedError` (nothing applied), `RefusedByStoreError` (nothing applied, and it would fail again), or
        what `is_retryable` accepts: then it is unknown whether it was applied, and calling again with the same batch is
        right, because a progress row that stands where the batch ends, with our epoch, means that it was.
        """
        connection = await self.connection()
        await self._ensure_months(connection, batch)
        try:
            return await self._transaction(connection, batch, refused)
        except asyncpg.PostgresError as error:
            if is_retryable(error):
                raise
            # `from None`: the driver's message and DETAIL quote values of the event.
            raise RefusedByStoreError(error.sqlstate or "?????", type(error).__name__) from None
        except (ValueError, asyncpg.DataError) as error:
            raise RefusedByStoreError("client", type(error).__name__) from None
        finally:
            if connection.is_in_transaction():
                await self._rollback(connection)

    async def _rollback(self, connection: asyncpg.Connection) -> None:
        try:
            await connection.execute("ROLLBACK")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self.discard()

    async def _transaction(
        self, connection: asyncpg.Connection, batch: Batch, refused: Iterable[tuple[Record, Refusal]]
    ) -> Outcome:
        session = Session(connection, self.statements)
        await connection.execute(self._begin)
        if not await self._advance(session, batch):
            await connection.execute("ROLLBACK")
            return await self._explain_fence(batch)
        structural = any(event.topic in STRUCTURAL_TOPICS for event in batch.events)
        await session.fetch("couple_exclusive" if structural else "couple_shared", self._settings.schema_collab)
        outcome = Outcome()
        if batch.events:
            parking = Parking(session, self.projection, self.topics, lambda event: batch.record_of(event, self.topics))
            outcome = await apply_events(session, batch, parking)
        dead = [*batch.refusals, *refused]
        await self._add_dead_letters(session, dead)
        outcome.refused = len(dead)
        await connection.execute("COMMIT")
        return outcome

    async def _advance(self, session: Session, batch: Batch) -> bool:
        """Move the progress of every partition of the batch; False where one of them is not ours any more."""
        ordered = sorted(batch.spans)
        spans = [batch.spans[tp] for tp in ordered]
        moved = await session.fetch(
            "advance",
            self.projection,
            self.version,
            [tp.topic for tp in ordered],
            [tp.partition for tp in ordered],
            [span.epoch for span in spans],
            [span.expected for span in spans],
            [span.reached for span in spans],
            [span.fingerprint for span in spans],
            [span.event_time for span in spans],
            [span.append_time for span in spans],
        )
        return len(moved) == len(ordered)

    async def _explain_fence(self, batch: Batch) -> Outcome:
        """Ours after all (a COMMIT whose answer was lost), or `FencedError` with the partitions that were moved."""
        positions = await self.positions()
        if all(positions.get(tp) == (span.reached, span.epoch) for tp, span in batch.spans.items()):
            log.info("commit_answer_was_lost", partitions=len(batch.spans))
            return Outcome(events=len(batch.events), refused=len(batch.refusals))
        raise FencedError(
            frozenset(tp for tp, span in batch.spans.items() if positions.get(tp) != (span.expected, span.epoch))
            or frozenset(batch.spans)
        )

    async def _add_dead_letters(self, session: Session, refused: list[tuple[Record, Refusal]]) -> None:
        if not refused:
            return
        await session.fetch(
            "add_dead_letters",
            self.projection,
            [record.topic for record, _ in refused],
            [record.partition for record, _ in refused],
            [record.offset for record, _ in refused],
            [record.key for record, _ in refused],
            [str(refusal.code) for _, refusal in refused],
            [refusal.reason for _, refusal in refused],
            [record.value for record, _ in refused],
            [to_json([[name, base64.b64encode(value).decode()] for name, value in r.headers]) for r, _ in refused],
            [refusal.event_type for _, refusal in refused],
            [refusal.event_id for _, refusal in refused],
            [refusal.workspace_id for _, refusal in refused],
        )

    async def _ensure_months(self, connection: asyncpg.Connection, batch: Batch) -> None:
        """Make the months that the batch's rows fall into, in transactions of their own, before the batch's begins."""
        wanted: dict[str, set[date]] = {"collab.messages": set(), "analytics.events": set()}
        for event in batch.events:
            if event.type == POSTED:
                wanted["collab.messages"].add(event.data["created_at"].date().replace(day=1))
            elif event.type == "collab.activity.recorded":
                wanted["analytics.events"].add(event.time.date().replace(day=1))
        for table, months in wanted.items():
            if missing := months - self._months.get(table, set()):
                await ensure_months(connection, self.statements.schemas, table, sorted(missing))
                self._months.setdefault(table, set()).update(months)

    def forget_months(self) -> None:
        """Look for partitions anew; somebody may have retired one."""
        self._months.clear()
