"""The transaction: progress first, then the events, their dead letters, and commit.

BEGIN · advance progress by compare-and-set · lock · apply · dead letters · COMMIT. Whatever fails before COMMIT leaves
nothing; a COMMIT whose answer was lost is found out by looking at the progress row (`PostgresSink.apply`).
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import date

import asyncpg
import structlog

from tailrace.consumers.batch import Batch, Outcome
from tailrace.consumers.crash_points import crash_point
from tailrace.consumers.faults import fault_of
from tailrace.consumers.guard import RefusalGuard
from tailrace.consumers.postgres.apply import apply_events
from tailrace.consumers.postgres.isolating import Isolation
from tailrace.consumers.postgres.letters import Letters
from tailrace.consumers.postgres.progress_store import ProgressStore
from tailrace.consumers.postgres.session import Session
from tailrace.errors import PreconditionError
from tailrace.months.keeper import ensure_months
from tailrace.projections.postings import POSTED
from tailrace.schemas.event import Event
from tailrace.settings import PostgresSettings

log = structlog.get_logger()

Apply = Callable[[Session, Letters, list[Event]], Awaitable[tuple[Outcome, RefusalGuard | None]]]
"""Applies events inside a transaction; the guard counts what it refused, None where that was nothing."""

STRUCTURAL_TOPICS = frozenset({"directory", "files", "notifications"})
"""Topics whose events change rows that belong to other partitions (erasure, memberships, files in messages), or depend
on such rows (notifications: on the message and on what its recipient has read)."""

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
    asyncpg.QueryCanceledError, asyncpg.UniqueViolationError, asyncpg.InvalidCachedStatementError,
    asyncpg.InsufficientResourcesError, asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError, asyncpg.InternalClientError, OSError, TimeoutError,
)  # fmt: skip


def is_retryable(error: BaseException) -> bool:
    """Whether the same transaction may well succeed when tried again.

    A unique violation is: two channels posted one id at the same moment, and the retry sees the other. So is a check
    violation that names no constraint: "no partition of relation found" after somebody detached a month.
    """
    if isinstance(error, asyncpg.CheckViolationError):
        return getattr(error, "constraint_name", None) is None
    return isinstance(error, _RETRYABLE)


def is_unreachable(error: BaseException) -> bool:
    """Whether PostgreSQL did not answer, is starting, stopping or has no connection left."""
    return isinstance(
        error,
        asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError | asyncpg.TooManyConnectionsError
        | asyncpg.InterfaceError | asyncpg.InternalClientError | OSError | TimeoutError,
    ) and not isinstance(error, asyncpg.QueryCanceledError)  # fmt: skip


def _is_of_an_event(error: Exception) -> bool:
    """Whether taking the batch apart helps. Raises `PreconditionError` where the store would take nothing."""
    if is_retryable(error):
        return False
    fault = fault_of(error)
    if fault is not None:
        log.warning("batch_taken_apart", code=str(fault.code), reason=fault.reason)
    elif isinstance(error, asyncpg.PostgresError):
        # `from None`: the driver's message and DETAIL quote values of the event.
        kind = f"{type(error).__name__} ({error.sqlstate})"
        raise PreconditionError(
            f"the store takes nothing: {kind}", fix="tailrace db migrate; tailrace doctor"
        ) from None
    return fault is not None


class PostgresSink:
    """The PostgreSQL side of one worker."""

    alone = STRUCTURAL_TOPICS

    def __init__(
        self, dsn: str, settings: PostgresSettings, projection: str, version: int, topics: Mapping[str, str]
    ) -> None:
        self.topics: Mapping[str, str] = dict(topics)
        self.progress = ProgressStore(dsn, settings, projection, version)
        self._dsn = dsn
        self._settings = settings
        self._begin = _BEGIN.format(
            lock_timeout_ms=settings.lock_timeout_ms,
            statement_timeout_ms=settings.statement_timeout_ms,
            synchronous_commit="on" if settings.synchronous_commit else "off",
        )
        self._months: dict[str, set[date]] = {}

    def beside(self) -> "PostgresSink":
        """Another sink of the same store, on a connection of its own."""
        progress = self.progress
        return PostgresSink(self._dsn, self._settings, progress.projection, progress.version, self.topics)

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

    def prefetch(self, batch: Batch) -> None:
        """Nothing is read ahead."""

    async def apply(self, batch: Batch) -> Outcome:
        """Apply a batch exactly once. Events that cannot be applied become dead letters, and their subjects wait.

        Raises `FencedError` or `TooManyRefusedError` (nothing applied), or what `is_retryable` accepts: then it is
        unknown whether it was applied, and calling again with the same batch is right, because a progress row that
        stands where the batch ends, with our epoch, means that it was.
        """
        connection = await self.progress.connection()
        await self._ensure_months(connection, batch)
        try:
            return await self._attempt(connection, batch, self._apply_at_once)
        except Exception as error:
            if not _is_of_an_event(error):
                raise
        return await self._attempt(connection, batch, self._apply_in_parts)

    async def _attempt(self, connection: asyncpg.Connection, batch: Batch, apply: Apply) -> Outcome:
        try:
            return await self._transaction(connection, batch, apply)
        except Exception as error:
            if connection.is_closed() and not is_retryable(error):
                # asyncpg may fail in its own code when the backend goes away between two of its messages; taken for a
                # fault of ours, it would make dead letters of a whole batch.
                raise ConnectionResetError(type(error).__name__) from error
            raise
        finally:
            await self._leave(connection)

    async def _leave(self, connection: asyncpg.Connection) -> None:
        if not connection.is_closed() and connection.is_in_transaction():
            await self._rollback(connection)

    async def _rollback(self, connection: asyncpg.Connection) -> None:
        try:
            await connection.execute("ROLLBACK")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            self.progress.discard()

    async def _transaction(self, connection: asyncpg.Connection, batch: Batch, apply: Apply) -> Outcome:
        session = Session(connection, self.progress.statements)
        await connection.execute(self._begin)
        crash_point("begun")
        if not await self.progress.advance(session, batch.spans):
            await connection.execute("ROLLBACK")
            await self.progress.explain_fence(batch.spans)
            return Outcome(events=len(batch.events), refused=len(batch.refusals))
        crash_point("advanced")
        letters = Letters(session, self.progress.projection, self.topics, batch)
        await letters.load()
        events = [*letters.woken, *batch.events]
        alone = any(event.topic in STRUCTURAL_TOPICS for event in events) or any(
            record.is_astray for record in batch.records.values()
        )
        await session.fetch("couple_exclusive" if alone else "couple_shared", self._settings.schema_collab)
        outcome, guard = await apply(session, letters, events)
        crash_point("applied")
        outcome.refused = await letters.write()
        crash_point("complete")
        await connection.execute("COMMIT")
        crash_point("committed")
        if batch.guard is not None and guard is not None:
            batch.guard.adopt(guard)
        return outcome

    async def _apply_at_once(
        self, session: Session, letters: Letters, events: list[Event]
    ) -> tuple[Outcome, RefusalGuard | None]:
        admitted = letters.line.admit(events)
        outcome = await apply_events(session, admitted, letters.parking(admitted)) if admitted else Outcome()
        return outcome, None

    async def _apply_in_parts(
        self, session: Session, letters: Letters, events: list[Event]
    ) -> tuple[Outcome, RefusalGuard | None]:
        connection = session.connection
        parts = Isolation(session, letters, lambda error: is_retryable(error) or connection.is_closed())
        await parts.apply(events)
        return parts.outcome, parts.guard

    async def _ensure_months(self, connection: asyncpg.Connection, batch: Batch) -> None:
        """Make the months that the batch's rows fall into, in transactions of their own, before the batch's begins."""
        messages: set[tuple[int, int]] = set()
        activity: set[tuple[int, int]] = set()
        for event in batch.events:
            if event.type == POSTED:
                created_at = event.data["created_at"]
                messages.add((created_at.year, created_at.month))
            elif event.type == "collab.activity.recorded":
                activity.add((event.time.year, event.time.month))
        for table, wanted in (("collab.messages", messages), ("analytics.events", activity)):
            months = {date(year, month, 1) for year, month in wanted}
            if missing := months - self._months.get(table, set()):
                await ensure_months(connection, self.progress.statements.schemas, table, sorted(missing))
                self._months.setdefault(table, set()).update(months)
