"""What a person does with an outbox: make it, take it away, look at it, free what was refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

import psycopg
from psycopg.rows import dict_row

from tailrace.errors import PreconditionError, UnreachableError
from tailrace.outbox.texts import script
from tailrace.sql.rendering import quoted

CONNECT_TIMEOUT_S: Final = 10
REFUSED_LISTED_MAX: Final = 20
_STATUS: Final = """
SELECT count(*) FILTER (WHERE refused_code IS NULL) AS waiting,
       count(*) FILTER (WHERE refused_code IS NOT NULL) AS refused,
       coalesce(sum(bytes), 0)::bigint AS bytes,
       min(enqueued_at) FILTER (WHERE refused_code IS NULL) AS oldest_at,
       extract(epoch FROM clock_timestamp() - min(enqueued_at) FILTER (WHERE refused_code IS NULL))::float AS oldest_s
FROM {schema}.tailrace_outbox
"""
_RELAY: Final = """
SELECT owner IS NOT NULL AND expires_at > clock_timestamp() AS relay_runs, published, last_published_at
FROM {schema}.tailrace_outbox_relay
"""
_OLDEST_TRANSACTION: Final = """
SELECT pid, datname AS database, application_name,
       extract(epoch FROM clock_timestamp() - xact_start)::float AS seconds
FROM pg_stat_activity
WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
ORDER BY xact_start
LIMIT 1
"""
_REFUSED: Final = """
SELECT position, id::text, event ->> 'type' AS type, refused_code AS code, refused_reason AS reason
FROM {schema}.tailrace_outbox
WHERE refused_code IS NOT NULL
ORDER BY position
LIMIT %s
"""
_FREE: Final = """
UPDATE {schema}.tailrace_outbox SET refused_code = NULL, refused_reason = NULL
WHERE refused_code IS NOT NULL AND (%(id)s::uuid IS NULL OR id = %(id)s::uuid)
"""


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """One outbox now.

    `waiting` events are not in the log yet, the oldest for `oldest_s` seconds; `refused` ones do not fit the contract,
    `refusals` lists the first of them. `oldest_transaction` is the one that has been writing longest, anywhere on the
    server: what was enqueued since it began waits for its end. None where there is none.
    """

    waiting: int
    oldest_at: datetime | None
    oldest_s: float | None
    bytes: int
    refused: int
    relay_runs: bool
    published: int
    last_published_at: datetime | None
    oldest_transaction: dict[str, Any] | None
    refusals: list[dict[str, Any]]


def install(dsn: str, schema: str) -> None:
    """Make the outbox, or bring its function up to date; what is in it stays."""
    with _connection(dsn) as connection:
        connection.execute(_plain(script("install", schema)))


def uninstall(dsn: str, schema: str, *, force: bool = False) -> None:
    """Take the outbox away; raises `PreconditionError` while events are in it, unless `force`."""
    with _connection(dsn) as connection, connection.transaction():
        table = f"{quoted(schema)}.tailrace_outbox"
        exists = connection.execute("SELECT to_regclass(%s) IS NOT NULL AS it", [table]).fetchone()
        if exists and exists["it"] and not force:
            connection.execute(_plain(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
            left = connection.execute(_plain(f"SELECT count(*) AS n FROM {table}")).fetchone()  # noqa: S608 - quoted
            if left and left["n"]:
                raise PreconditionError(
                    f"{left['n']} events are in the outbox", fix="tailrace outbox relay --once, or --force to lose them"
                )
        connection.execute(_plain(script("uninstall", schema)))


def status(dsn: str, schema: str) -> OutboxStatus:
    """Look at an outbox."""
    with _connection(dsn) as connection:
        counts, relay = _row(connection, _STATUS, schema), _row(connection, _RELAY, schema)
        oldest = connection.execute(_plain(_OLDEST_TRANSACTION)).fetchone()
        refusals = connection.execute(_plain(_REFUSED, schema), [REFUSED_LISTED_MAX]).fetchall()
    return OutboxStatus(**counts, **relay, oldest_transaction=oldest, refusals=refusals)


def free(dsn: str, schema: str, id_: str | None = None) -> int:
    """Let refused events be tried again, all or one; returns how many. Running relays see them within a minute."""
    with _connection(dsn) as connection:
        return connection.execute(_plain(_FREE, schema), {"id": id_}).rowcount


def _row(connection: "psycopg.Connection[dict[str, Any]]", text: str, schema: str) -> dict[str, Any]:
    found = connection.execute(_plain(text, schema)).fetchone()
    if found is None:
        raise PreconditionError("the outbox has lost its row of the relay", fix="tailrace outbox install --dsn …")
    return found


@contextmanager
def _connection(dsn: str) -> "Iterator[psycopg.Connection[dict[str, Any]]]":
    try:
        connection = psycopg.connect(
            dsn,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            prepare_threshold=None,
            application_name="tailrace-outbox",
            row_factory=dict_row,
        )
    except psycopg.OperationalError as error:
        raise UnreachableError(f"PostgreSQL: {error}".rstrip(), fix="check the DSN and the server") from error
    with connection:
        try:
            yield connection
        except psycopg.errors.UndefinedTable as error:
            raise PreconditionError("there is no outbox here", fix="tailrace outbox install --dsn …") from error
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName) as error:
            raise PreconditionError(f"PostgreSQL: {error}".rstrip()) from error


def _plain(text: str, schema: str | None = None) -> LiteralString:
    """Only files of this package and names that are quoted go in here, never a value."""
    rendered: Any = text.replace("{schema}", quoted(schema)) if schema else text
    return rendered  # type: ignore[no-any-return]  # psycopg asks for literals, to keep values out
