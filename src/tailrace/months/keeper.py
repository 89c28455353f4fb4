"""Makes and lists the monthly partitions, without blocking readers or writers.

A month is the `date` of its first day; months begin at 00:00 UTC and run from 2000-01 to 9999-12. Tables are named as
the contract names them (`collab.messages`), whatever the instance's schemas are called.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg
import psycopg
import stamina
import structlog
from psycopg import errors

from tailrace.errors import InvalidInputError, NotFoundError, PreconditionError
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    AsyncConnection = asyncpg.Connection[Any] | PoolConnectionProxy[Any]

LIVE_TABLES: Final = ("collab.messages", "analytics.events")
"""Tables that rows of the current time go to: their months are made ahead."""

MONTHLY_TABLES: Final = (*LIVE_TABLES, "collab.messages_archive")
"""The archive's months are made when something is archived."""

FIRST_MONTH: Final = date(2000, 1, 1)
LOCK_ATTEMPTS_MAX: Final = 8
LOCK_RETRY_WAIT_MAX_S: Final = 2.0

_LOCKED: Final = ("55P03", "40P01")
_BEHIND: Final = {"42883", "42P01", "3F000"}
"""Undefined function, table, schema: the migrations are missing."""
_REFUSED: Final = {"55000", "42P07", "42809", "42P17"}
"""What runtime.ensure_month raises, and ranges that overlap."""

log = structlog.get_logger()


class Partition(NamedTuple):
    """One partition as the server has it.

    `from_at` (inclusive) and `to_at` (exclusive) are RFC 3339 UTC, None where the partition is no range or does not end
    on that side; `bounds` is then the server's text. `rows_estimate` is None until the table was analysed, `bytes`
    counts indexes and TOAST.
    `state` is attached, detaching (between the two halves of a removal) or detached.
    """

    table: str
    partition: str
    state: str
    from_at: str | None
    to_at: str | None
    bounds: str | None
    rows_estimate: int | None
    bytes: int
    indexes: int

    @property
    def attached(self) -> bool:
        """Whether rows written to the table can go there."""
        return self.state == "attached"


def month_of(moment: datetime) -> date:
    """The month (UTC) that an aware time falls into."""
    return moment.astimezone(UTC).date().replace(day=1)


def months_around(now: datetime, *, behind: int, ahead: int) -> list[date]:
    """The month of `now` (aware), `behind` months before it and `ahead` after it, in order."""
    this = now.astimezone(UTC).year * 12 + now.astimezone(UTC).month - 1
    return [date(number // 12, number % 12 + 1, 1) for number in range(this - behind, this + ahead + 1)]


def _checked(table: str, months: Iterable[date]) -> list[date]:
    if table not in MONTHLY_TABLES:
        raise NotFoundError(f"{table} has no monthly partitions; {', '.join(MONTHLY_TABLES)} have")
    wanted = sorted({month.replace(day=1) for month in months})
    if wanted and wanted[0] < FIRST_MONTH:
        raise InvalidInputError(f"{wanted[0]:%Y-%m} lies before {FIRST_MONTH:%Y-%m}, the first month of any event")
    return wanted


@contextmanager
def explained() -> Iterator[None]:
    """Turn what the server refuses, through either driver, into a `PreconditionError` that says what to do."""
    try:
        yield
    except psycopg.Error as error:
        refusal = _refusal(error.sqlstate, error.diag.message_primary, error.diag.message_hint)
        if refusal is None:
            raise
        raise refusal from error
    except asyncpg.PostgresError as error:
        refusal = _refusal(error.sqlstate, error.message, error.hint)
        if refusal is None:
            raise
        raise refusal from error


def _refusal(sqlstate: str | None, message: str | None, hint: str | None) -> PreconditionError | None:
    if sqlstate in _BEHIND:
        return PreconditionError(f"the schema is not there: {message}", fix="tailrace db migrate")
    if sqlstate in _REFUSED:
        return PreconditionError(f"no partition can be made: {message}", fix=hint)
    if sqlstate in _LOCKED:
        return PreconditionError(
            f"others kept the table locked in every attempt: {message}",
            fix="end long transactions, DDL, ANALYZE or VACUUM of it (pg_stat_activity), then run the same again",
        )
    return None


def ensure_table_months(
    conn: psycopg.Connection, schemas: Mapping[str, str], table: str, months: Iterable[date]
) -> list[str]:
    """Make the partitions of one table's months that are missing; returns the names of those that were.

    Each month is a transaction of its own, so `conn` must be in none. Any number may do the same at once. `schemas` is
    what `schema_names` returns. Raises `NotFoundError` for a table without months, `InvalidInputError` for a month
    before 2000, and `PreconditionError` where the table has a DEFAULT partition, a detached table has the name, the
    table stays locked (attempts are bounded), or migrations are missing.
    """
    if conn.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
        raise PreconditionError("partitions are made in transactions of their own, this connection is in one")
    statement = render(queries("partitions")["ensure_month"], schemas).encode()
    made: list[str] = []
    for month in _checked(table, months):
        with explained():
            name = _ensure_month(conn, statement, render(table, schemas), month)
        if name:
            made.append(name)
            log.info("partition_made", partition=name)
    return made


def _ensure_month(conn: psycopg.Connection, statement: bytes, qualified: str, month: date) -> str | None:
    for attempt in stamina.retry_context(
        on=(errors.LockNotAvailable, errors.DeadlockDetected),
        attempts=LOCK_ATTEMPTS_MAX,
        timeout=None,
        wait_max=LOCK_RETRY_WAIT_MAX_S,
    ):
        with attempt, conn.transaction():
            conn.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            row = psycopg.RawCursor(conn).execute(statement, (qualified, month)).fetchone()
            return row[0] if row else None
    raise AssertionError("retry_context either returns or raises")


def ensure_partitions(
    conn: psycopg.Connection,
    settings: Settings,
    *,
    now: datetime,
    extra_months: Iterable[date] = (),
    ahead: int | None = None,
    tables: Iterable[str] = LIVE_TABLES,
) -> list[str]:
    """Make the months around `now` (aware), as the settings say, and the extra ones; returns what was made.

    `ahead` takes the place of `partitions.months_ahead`, `tables` that of the live ones. Errors and demands on the
    connection are those of `ensure_table_months`.
    """
    limits = settings.partitions
    months = months_around(now, behind=limits.months_behind, ahead=limits.months_ahead if ahead is None else ahead)
    wanted = [*months, *extra_months]
    schemas = schema_names(settings.postgres)
    return [name for table in tables for name in ensure_table_months(conn, schemas, table, wanted)]


async def known_months(conn: "AsyncConnection", schemas: Mapping[str, str]) -> dict[str, set[date]]:
    """The months that rows can be written to, by table; what workers keep in memory.

    The answer may be old at once: a month that is in it can have been retired since, a missing one made. Raises
    `PreconditionError` where migrations are missing.
    """
    statement = render(queries("partitions")["known_months"], schemas)
    qualified = [render(table, schemas) for table in MONTHLY_TABLES]
    found: dict[str, set[date]] = {table: set() for table in MONTHLY_TABLES}
    with explained():
        for row in await conn.fetch(statement, list(MONTHLY_TABLES), qualified):
            found[row["name"]].add(row["month"])
    return found


async def ensure_months(
    conn: "AsyncConnection", schemas: Mapping[str, str], table: str, months: Iterable[date]
) -> list[str]:
    """`ensure_table_months` for workers: the same promises and errors, on asyncpg.

    `conn` must be in no transaction: the lock on the table would be held until that one ends.
    """
    if conn.is_in_transaction():
        raise PreconditionError("partitions are made in transactions of their own, this connection is in one")
    statement = render(queries("partitions")["ensure_month"], schemas)
    made: list[str] = []
    for month in _checked(table, months):
        with explained():
            name = await _ensure_month_async(conn, statement, render(table, schemas), month)
        if name:
            made.append(name)
            log.info("partition_made", partition=name)
    return made


async def _ensure_month_async(conn: "AsyncConnection", statement: str, qualified: str, month: date) -> str | None:
    async for attempt in stamina.retry_context(
        on=(asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError),
        attempts=LOCK_ATTEMPTS_MAX,
        timeout=None,
        wait_max=LOCK_RETRY_WAIT_MAX_S,
    ):
        with attempt:
            async with conn.transaction(isolation="read_committed"):
                name: str | None = await conn.fetchval(statement, qualified, month)
                return name
    raise AssertionError("retry_context either returns or raises")


def list_partitions(conn: psycopg.Connection, settings: Settings) -> list[Partition]:
    """Every partition of the instance, also of tables that are not cut by months, and detached months.

    Raises `PreconditionError` where migrations are missing.
    """
    schemas = schema_names(settings.postgres)
    statement = render(queries("partitions")["partitions"], schemas).encode()
    with explained():
        rows = psycopg.RawCursor(conn).execute(statement, ([schemas["collab"], schemas["analytics"]],)).fetchall()
    return [Partition(*row) for row in rows]
