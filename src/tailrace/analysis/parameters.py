"""Types of parameters: how text from the command line becomes a value, and which SQL type it is cast to."""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import psycopg

from tailrace.errors import InvalidInputError, NotFoundError, UsageError

_RELATIVE = re.compile(r"today(?:\s*([+-])\s*(\d{1,5}))?")
_MONTH = re.compile(r"(\d{4})-(\d{2})")
CANDIDATES_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Type:
    """`sql` is what the parameter is cast to; `read` takes the text and today's date (UTC)."""

    sql: str
    read: Callable[[str, date], Any]
    example: str


def _date(text: str, today: date) -> date:
    if relative := _RELATIVE.fullmatch(text):
        days = int(relative[2] or 0)
        return today + timedelta(days=-days if relative[1] == "-" else days)
    if month := _MONTH.fullmatch(text):
        return date(int(month[1]), int(month[2]), 1)
    return date.fromisoformat(text)


def _time(text: str, today: date) -> datetime:
    if len(text) <= len("2026-11-21") or _RELATIVE.fullmatch(text):
        return datetime.combine(_date(text, today), datetime.min.time(), UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(text: str, _today: date) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(text) from error


TYPES: Final[Mapping[str, Type]] = {
    "workspace": Type("uuid", lambda text, _: text, "acme (id, slug or name)"),
    "channel": Type("uuid", lambda text, _: text, "general (id, or name of a public channel)"),
    "uuid": Type("uuid", lambda text, _: uuid.UUID(text), "0192f0c4-…"),
    "text": Type("text", lambda text, _: text, "anything"),
    "date": Type("date", _date, "2026-11-01, 2026-11, today, today-30"),
    "time": Type("timestamptz", _time, "2026-11-01T12:00:00Z"),
    "int": Type("int", lambda text, _: int(text), "30"),
    "number": Type("numeric", _number, "0.5"),
}
"""A workspace or channel stays text here: `resolve_workspace` and `resolve_channel` ask the database."""


def read_value(name: str, type_name: str, text: str, today: date) -> Any:
    """A parameter's value from its text. Raises `InvalidInputError` that says what would fit, not what was given."""
    kind = TYPES[type_name]
    try:
        return kind.read(text, today)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(f"{name} is no {type_name}", fix=f"e.g. -p {name}={kind.example}") from error


def split_assignments(given: list[str]) -> dict[str, str]:
    """`["a=1", "b=2"]` as a mapping. Raises `UsageError` where there is no name."""
    values: dict[str, str] = {}
    for one in given:
        name, sign, text = one.partition("=")
        if not sign or not name.strip():
            raise UsageError(f"-p {one}: a parameter is NAME=VALUE")
        values[name.strip()] = text.strip()
    return values


def _as_id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def resolve_workspace(conn: psycopg.Connection, analytics: str, text: str | None) -> uuid.UUID:
    """A workspace by id, slug or name, compared without case; None stands for the only one that lives.

    An id is taken as it is: events of a workspace may come before the workspace. A slug goes before a name, a living
    workspace before a deleted one. Raises `NotFoundError`, and `UsageError` with the candidates where several fit.
    """
    if text is not None and (known := _as_id(text)) is not None:
        return known
    query = f"""
        SELECT workspace_id, coalesce(slug, name, workspace_id::text)
        FROM {analytics}.workspaces
        WHERE CASE WHEN %(text)s::text IS NULL THEN deleted_at IS NULL
                   ELSE lower(slug) = lower(%(text)s) OR lower(name) = lower(%(text)s) END
        ORDER BY deleted_at IS NOT NULL, lower(slug) IS DISTINCT FROM lower(%(text)s), name, workspace_id LIMIT 100
    """  # noqa: S608 - the schema's quoted name from the settings
    rows = conn.execute(query.encode(), {"text": text}).fetchall()
    if not rows:
        missing = "there is no workspace yet" if text is None else f"no workspace is called {text!r}"
        raise NotFoundError(missing, fix="tailrace query run workspaces")
    if len(rows) > 1 and (text is None or rows[0][1].lower() != text.lower() or rows[1][1].lower() == text.lower()):
        names = ", ".join(f"{row[1]} ({row[0]})" if text else str(row[1]) for row in rows[:CANDIDATES_MAX])
        what = "which workspace?" if text is None else f"several workspaces are called {text!r}:"
        raise UsageError(f"{what} {names}{' …' if len(rows) > CANDIDATES_MAX else ''}", fix="-p workspace=ID")
    return uuid.UUID(str(rows[0][0]))


def resolve_channel(conn: psycopg.Connection, analytics: str, text: str, workspace: uuid.UUID | None) -> uuid.UUID:
    """A channel by id, or by the name of a public channel of `workspace` (None: of any). Raises as for workspaces."""
    if (known := _as_id(text)) is not None:
        return known
    query = f"""
        SELECT channel_id FROM {analytics}.channels
        WHERE lower(channel_name) = lower(%s) AND (%s::uuid IS NULL OR workspace_id = %s::uuid)
        ORDER BY deleted_at IS NOT NULL, is_archived, channel_id LIMIT 2
    """  # noqa: S608 - the schema's quoted name from the settings
    rows = conn.execute(query.encode(), (text.removeprefix("#"), workspace, workspace)).fetchall()
    if not rows:
        raise NotFoundError(f"no public channel is called {text!r}", fix="give its id")
    if len(rows) > 1:
        raise UsageError(f"several channels are called {text!r}", fix="-p channel=ID")
    return uuid.UUID(str(rows[0][0]))
