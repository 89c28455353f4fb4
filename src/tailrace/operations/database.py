"""Connections of the commands: one at a time, synchronous, with errors a person can act on."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tailrace.addresses import resolve
from tailrace.errors import UnreachableError
from tailrace.settings import Settings


@contextmanager
def connection(settings: Settings, *, session_lock_timeout_ms: int | None = None) -> Iterator[psycopg.Connection]:
    """A connection to the primary in autocommit mode, closed at the end.

    Nothing is prepared and no session state is set, so PgBouncer in transaction mode may stand in between. The
    exception is `session_lock_timeout_ms`, for statements that must not run inside a transaction: it is a start-up
    parameter, which PgBouncer refuses in words rather than giving it to somebody else's session.

    Raises `UnreachableError` where the server refuses or drops the connection, or its address is unknown.
    """
    options = None if session_lock_timeout_ms is None else f"-c lock_timeout={session_lock_timeout_ms}"
    try:
        conn = psycopg.connect(
            resolve(settings).postgres,
            autocommit=True,
            connect_timeout=max(1, round(settings.postgres.connect_timeout_s)),
            prepare_threshold=None,
            application_name="tailrace",
            options=options,
        )
    except psycopg.OperationalError as error:
        raise UnreachableError(f"PostgreSQL: {error}".rstrip(), fix="check the address and the server") from error
    with conn:
        try:
            yield conn
        except psycopg.OperationalError as error:
            if not conn.broken:
                raise
            raise UnreachableError("PostgreSQL closed the connection", fix="run the command again") from error
