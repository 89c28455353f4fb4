"""Takes old months out of a table, while others read and write it.

DETACH CONCURRENTLY is two transactions with a wait for everybody who still sees the partition in between. What dies
in that wait leaves a partition that takes no rows and is not gone; FINALIZE completes it (PostgreSQL documentation,
ALTER TABLE). Running the same command again does that.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import psycopg
import stamina
import structlog
from psycopg import errors

from tailrace.errors import NotFoundError, PreconditionError
from tailrace.months.keeper import MONTHLY_TABLES, explained
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, quoted, render, schema_names

DETACH_ATTEMPTS_MAX = 3
DETACH_RETRY_WAIT_MAX_S = 5.0

log = structlog.get_logger()


def months_before(conn: psycopg.Connection, settings: Settings, *, table: str, before: date) -> list[str]:
    """Partitions of a table (`collab.messages`) that end at or before the first of month `before`, UTC; oldest first.

    Partitions whose removal was begun and not finished are among them and come first. Raises `NotFoundError` for a
    table that has no months, `PreconditionError` where migrations are missing.
    """
    if table not in MONTHLY_TABLES:
        raise NotFoundError(f"{table} has no monthly partitions; {', '.join(MONTHLY_TABLES)} have")
    schemas = schema_names(settings.postgres)
    statement = render(queries("partitions")["months_before"], schemas).encode()
    with explained():
        rows = psycopg.RawCursor(conn).execute(statement, (render(table, schemas), before.replace(day=1)))
        return [str(row[0]) for row in rows]


def retire(
    conn: psycopg.Connection, settings: Settings, *, table: str, partition: str, now: datetime, drop: bool = False
) -> str:
    """Detach one partition (`messages_2024_05`) and rename it, or drop it; returns what became of it.

    Its rows are gone from the table at once. A detached table is kept under a name with the time `now` (aware), such as
    `messages_2024_05_retired_20261121t040000`, so that its month can be made again for rows that come late. `conn` must
    be in autocommit mode and have a `lock_timeout`: none can be set for one statement that no transaction may hold.

    Raises `PreconditionError` where that is missing, and where readers held the partition for longer than the attempts
    last: it then takes no rows any more, and the same call finishes the removal later.
    """
    if not conn.autocommit or conn.execute("SHOW lock_timeout").fetchone() == ("0",):
        raise PreconditionError("retiring needs a connection in autocommit mode with a lock_timeout")
    schemas = schema_names(settings.postgres)
    child = render(f"{table.partition('.')[0]}.{quoted(partition)}", schemas)
    kept = f"{partition}_retired_{now.astimezone(UTC):%Y%m%dt%H%M%S}"
    with explained():
        _detach(conn, schemas, render(table, schemas), child)
        conn.execute((f"DROP TABLE {child}" if drop else f"ALTER TABLE {child} RENAME TO {quoted(kept)}").encode())
    log.info("partition_retired", table=table, partition=partition, became="dropped" if drop else kept)
    return "dropped" if drop else kept


def _detach(conn: psycopg.Connection, schemas: Mapping[str, str], parent: str, child: str) -> None:
    """Detach, or finish a detach; a wait that ran out between the two halves goes on with the second."""
    state = render(queries("partitions")["detach_state"], schemas).encode()
    for attempt in stamina.retry_context(
        on=errors.LockNotAvailable, attempts=DETACH_ATTEMPTS_MAX, timeout=None, wait_max=DETACH_RETRY_WAIT_MAX_S
    ):
        with attempt:
            row = psycopg.RawCursor(conn).execute(state, (child,)).fetchone()
            if row is not None:
                how = "FINALIZE" if row[0] else "CONCURRENTLY"
                conn.execute(f"ALTER TABLE {parent} DETACH PARTITION {child} {how}".encode())
