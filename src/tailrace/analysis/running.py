"""Runs a saved query in a snapshot, with a cap on its rows."""

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import psycopg

from tailrace.analysis.access import ROWS_MAX, AsOf, Snapshot
from tailrace.analysis.parameters import read_value, resolve_channel, resolve_workspace
from tailrace.analysis.saved import SavedQuery, bind
from tailrace.errors import UsageError


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result; `type` is PostgreSQL's name, e.g. `int4`, `date`, `timestamptz`."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Result:
    """Rows of one query. `given`: the parameters as text, without defaults. `truncated`: there were more than the cap.

    Times are aware UTC.
    """

    query: SavedQuery
    parameters: Mapping[str, Any]
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    given: Mapping[str, str]
    truncated: bool
    took_ms: int
    as_of: AsOf

    def values(self, column: str) -> list[Any]:
        """One column. Raises `UsageError` where the result has no such column."""
        names = [one.name for one in self.columns]
        if column not in names:
            raise UsageError(f"{self.query.name} has no column {column!r}", fix=f"its columns: {', '.join(names)}")
        index = names.index(column)
        return [row[index] for row in self.rows]

    def summary(self) -> str:
        """For people: how many rows, whether any were cut, how far the data goes."""
        count = f"{len(self.rows):,} row{'' if len(self.rows) == 1 else 's'}"
        cut = " (cut: there are more)" if self.truncated else ""
        return f"{count}{cut} · {self.as_of.sentence()}"


def parameter_values(snapshot: Snapshot, query: SavedQuery, given: Mapping[str, str], today: date) -> dict[str, Any]:
    """Values of all parameters: what was given, else the default. `today` is the UTC day that defaults count from.

    Raises `UsageError` for an unknown or missing one, `InvalidInputError` for one that does not fit its type and
    `NotFoundError` for a workspace or channel that is not there.
    """
    names = [parameter.name for parameter in query.parameters]
    if unknown := given.keys() - set(names):
        takes = ", ".join(names) or "none"
        raise UsageError(f"{query.name} takes no {', '.join(sorted(unknown))}", fix=f"its parameters: {takes}")
    values: dict[str, Any] = {}
    workspace: uuid.UUID | None = None
    for parameter in query.parameters:
        text = given.get(parameter.name, parameter.default)
        if parameter.type == "workspace":
            workspace = values[parameter.name] = resolve_workspace(snapshot.conn, snapshot.analytics, text)
        elif text is None:
            raise UsageError(f"{query.name} needs {parameter.name}", fix=f"-p {parameter.name}={parameter.type}")
        elif parameter.type == "channel":
            values[parameter.name] = resolve_channel(snapshot.conn, snapshot.analytics, text, workspace)
        else:
            values[parameter.name] = read_value(parameter.name, parameter.type, text, today)
    return values


def run(
    snapshot: Snapshot,
    query: SavedQuery,
    given: Mapping[str, str],
    *,
    rows_max: int,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """Run a query and keep at most `rows_max` rows (1 … 1,000,000); the server sends one more at most.

    Days in defaults count from the snapshot's UTC day. Raises what `parameter_values` raises, and inside
    `access.snapshot` what that says about statements that fail.
    """
    if not 1 <= rows_max <= ROWS_MAX:
        raise UsageError(f"the row cap is between 1 and {ROWS_MAX:,}")
    values = parameter_values(snapshot, query, given, snapshot.as_of.read_at.date())
    text, order = bind(query)
    # A cursor would bound the rows as well, but is never planned in parallel.
    capped = f"SELECT * FROM (\n{snapshot.render(text).strip()}\n) AS result LIMIT {rows_max + 1}"  # noqa: S608 - the query is what is asked for
    started = clock()
    cursor = psycopg.RawCursor(snapshot.conn).execute(capped.encode(), [values[name] for name in order] or None)
    rows = cursor.fetchall()
    types = snapshot.conn.adapters.types
    columns = tuple(
        Column(column.name, info.name if (info := types.get(column.type_code)) else "text")
        for column in cursor.description or ()
    )
    return Result(
        query=query,
        parameters=values,
        columns=columns,
        rows=tuple(tuple(_utc(value) for value in row) for row in rows[:rows_max]),
        given=dict(given),
        truncated=len(rows) > rows_max,
        took_ms=round((clock() - started) * 1000),
        as_of=snapshot.as_of,
    )


def _utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value
