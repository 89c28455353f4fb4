"""The transaction: progress first, then the events, their dead letters, and commit.

BEGIN · advance progress by compare-and-set · lock · apply · dead letters · COMMIT. Whatever fails before COMMIT leaves
nothing; a COMMIT whose answer was lost is found out by looking at the progress row (`PostgresSink.apply`).
"""

import base64
from collections.abc import Iterable, Mapping
from datetime import date

import asyncpg

from tailrace.consumers.batch import Batch, Outcome, Record
from tailrace.consumers.errors import RefusedByStoreError
from tailrace.consumers.postgres.apply import apply_events
from tailrace.consumers.postgres.parking import Parking
from tailrace.consumers.postgres.progress_store import ProgressStore
from tailrace.consumers.postgres.session import Session, to_json
from tailrace.months.keeper import ensure_months
from tailrace.projections.postings import POSTED
from tailrace.schemas.event import Refusal
from tailrace.settings import PostgresSettings

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


def is_unreachable(error: BaseException) -> bool:
    """Whether PostgreSQL did not answer, is starting, stopping or has no connection left."""
    return isinstance(
        error,
        asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError | asyncpg.TooManyConnectionsError
        | asyncpg.InterfaceError | OSError | TimeoutError,
    ) and not isinstance(error, asyncpg.QueryCanceledError)  # fmt: skip


class PostgresSink:
    """The PostgreSQL side of one worker."""

    alone = STRUCTURAL_TOPICS

    def __init__(
        self, dsn: str, settings: PostgresSettings, projection: str, version: int, topics: Mapping[str, str]
    ) -> None:
        self.topics: Mapping[str, str] = dict(topics)
        self.progress = ProgressStore(dsn, settings, projection, version)
        self._settings = settings
        self._begin = _BEGIN.format(
            lock_timeout_ms=settings.lock_timeout_ms,
            statement_timeout_ms=settings.statement_timeout_ms,
            synchronous_commit="on" if settings.synchronous_commit else "off",
        )
        self._months: dict[str, set[date]] = {}

    def is_retryable(self, error: BaseException) -> bool:
        """See `is_retryable`."""
        return is_retryable(error)

    def is_unreachable(self, error: BaseException) -> bool:
        """See `is_unreachable`."""
        return is_unreachable(error)

    def discard(self) -> None:
        """Drop the connection, and look for partitions anew: somebody may have retired one."""
        self._months.clear()
        self.progress.discard()

    async def close(self) -> None:
        """Close the connection."""
        await self.progress.close()

    async def apply(self, batch: Batch, refused: Iterable[tuple[Record, Refusal]] = ()) -> Outcome:
        """Apply a batch exactly once.

        Raises `FencedError` (nothing applied), `RefusedByStoreError` (nothing applied, and it would fail again), or
        what `is_retryable` accepts: then it is unknown whether it was applied, and calling again with the same batch is
        right, because a progress row that stands where the batch ends, with our epoch, means that it was.
        """
        connection = await self.progress.connection()
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
            self.progress.discard()

    async def _transaction(
        self, connection: asyncpg.Connection, batch: Batch, refused: Iterable[tuple[Record, Refusal]]
    ) -> Outcome:
        session = Session(connection, self.progress.statements)
        await connection.execute(self._begin)
        if not await self.progress.advance(session, batch.spans):
            await connection.execute("ROLLBACK")
            await self.progress.explain_fence(batch.spans)
            return Outcome(events=len(batch.events), refused=len(batch.refusals))
        structural = any(event.topic in STRUCTURAL_TOPICS for event in batch.events)
        await session.fetch("couple_exclusive" if structural else "couple_shared", self._settings.schema_collab)
        outcome = Outcome()
        if batch.events:
            parking = Parking(
                session, self.progress.projection, self.topics, lambda event: batch.record_of(event, self.topics)
            )
            outcome = await apply_events(session, batch, parking)
        dead = [*batch.refusals, *refused]
        await self._add_dead_letters(session, dead)
        outcome.refused = len(dead)
        await connection.execute("COMMIT")
        return outcome

    async def _add_dead_letters(self, session: Session, refused: list[tuple[Record, Refusal]]) -> None:
        if not refused:
            return
        await session.fetch(
            "add_dead_letters",
            self.progress.projection,
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
                await ensure_months(connection, self.progress.statements.schemas, table, sorted(missing))
                self._months.setdefault(table, set()).update(months)
