"""Who changed what, when and why: `runtime.audit`.

A command is put down before it begins and again when it ends, so one that was killed in between shows as `begun`. Where
the audit log itself cannot be written (no database yet, a server that is down), the command goes on and says so on its
log: an operator who mends a broken database must not be stopped by it.
"""

import getpass
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg
import structlog
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tailrace.errors import PreconditionError, TailraceError
from tailrace.operations.database import connection
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names

log = structlog.get_logger(__name__)

ACTOR_VARIABLE: Final = "TAILRACE_ACTOR"
ERROR_CHARS_MAX: Final = 2_000


@dataclass(slots=True)
class Entry:
    """What is put down of one command. `before` and `after` are anything JSON knows, times and ids too.

    `outcome` is begun, done or failed.
    """

    actor: str
    command: str
    target: str = ""
    reason: str = ""
    before: Any = None
    after: Any = None
    outcome: str = "done"
    error: str | None = None
    row: int | None = field(default=None, repr=False)
    """Number of its row, once it has one."""


@dataclass(frozen=True, slots=True)
class Audited:
    """One row. Times are aware UTC; `ended_at` None: it runs, or it was killed."""

    id: int
    at: datetime
    ended_at: datetime | None
    actor: str
    command: str
    target: str
    reason: str
    before: Any
    after: Any
    outcome: str
    error: str | None


def actor() -> str:
    """Who does it: what `TAILRACE_ACTOR` says, else the account's name."""
    if named := os.environ.get(ACTOR_VARIABLE, "").strip():
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in many containers
        return str(os.getuid())


def record(conn: psycopg.Connection[Any], settings: Settings, entry: Entry) -> None:
    """Put down what was done, in the transaction that `conn` is in, if any: both or neither."""
    row = (entry.actor, entry.command, entry.target, entry.reason, _json(entry.before), _json(entry.after))
    entry.row = _run(conn, settings, "record", *row, entry.outcome, entry.error)[0]["id"]


@contextmanager
def audited(
    settings: Settings, command: str, target: str = "", reason: str | None = None, *, always: bool = True
) -> Iterator[Entry]:
    """Put down a command that changes something, and what came of it; what it raises is put down and passes through.

    Without `always`, a command that may well find nothing to do is put down only if it failed or set `after`.

    What it finds and does goes into the entry's `before` (at once, it is written when the command ends), `after` and
    `target`. `command` is without arguments, such as `dlq redrive`; an exit code of 0 counts as done.
    """
    entry = Entry(actor(), command, target, reason or "", outcome="begun")
    if always:
        _begin(settings, entry)
    try:
        yield entry
    except BaseException as error:
        entry.outcome = "done" if getattr(error, "exit_code", 1) == 0 else "failed"
        # An interruption has no text; the kind says it.
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        entry.error = None if entry.outcome == "done" else said[:ERROR_CHARS_MAX]
        raise
    else:
        entry.outcome = "done"
    finally:
        if always or entry.after or entry.outcome == "failed":
            _end(settings, entry)


def entries(
    settings: Settings,
    *,
    since: datetime | None = None,
    actor: str | None = None,
    command: str | None = None,
    limit: int = 50,
) -> list[Audited]:
    """What was done, newest first. `command` may be a noun alone. Raises `PreconditionError` without tables."""
    with connection(settings) as conn:
        try:
            rows = _run(conn, settings, "entries", since, actor, command, limit)
        except psycopg.errors.UndefinedTable as error:
            raise PreconditionError("the database has no audit log yet", fix="tailrace db migrate") from error
    return [Audited(**row) for row in rows]


def _begin(settings: Settings, entry: Entry) -> None:
    def put_down(conn: psycopg.Connection[Any]) -> None:
        row = (entry.actor, entry.command, entry.target, entry.reason, _json(entry.before))
        entry.row = _run(conn, settings, "begin", *row)[0]["id"]

    # No table before the first migration: the row is then written at the end.
    _attempt(settings, put_down, entry, is_last=False)


def _end(settings: Settings, entry: Entry) -> None:
    def put_down(conn: psycopg.Connection[Any]) -> None:
        if entry.row is not None:
            row = (entry.row, entry.target, _json(entry.before), _json(entry.after), entry.outcome, entry.error)
            if _run(conn, settings, "finish", *row):
                return
        record(conn, settings, entry)  # the table was made, or made anew, meanwhile

    _attempt(settings, put_down, entry, is_last=True)


def _attempt(
    settings: Settings, step: Callable[[psycopg.Connection[Any]], None], entry: Entry, *, is_last: bool
) -> None:
    try:
        with connection(settings) as conn:
            step(conn)
    except (TailraceError, psycopg.Error) as error:
        if is_last:
            log.warning("audit_not_written", command=entry.command, outcome=entry.outcome, error=type(error).__name__)


def _json(value: Any) -> Jsonb | None:
    return None if value is None else Jsonb(value, dumps=lambda it: json.dumps(it, default=str, ensure_ascii=False))


def _run(conn: psycopg.Connection[Any], settings: Settings, query: str, *parameters: Any) -> list[dict[str, Any]]:
    text = render(queries("audit")[query], schema_names(settings.postgres))
    return psycopg.RawCursor(conn, row_factory=dict_row).execute(text.encode(), parameters).fetchall()
