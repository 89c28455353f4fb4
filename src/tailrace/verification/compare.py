"""List the differences between what the fold expects and what the tables hold."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.types.json import set_json_loads
from psycopg.types.string import TextLoader

from tailrace.errors import PreconditionError
from tailrace.settings import Settings
from tailrace.verification.fold_log import FreeRow, Key, OneOf, Row, Table
from tailrace.verification.lines import LineReader, lines
from tailrace.verification.tables import TableSpec

_EMPTY: Final[Mapping[bytes | str, type]] = {b"{}": dict, b"[]": list, "{}": dict, "[]": list}

AVERAGE_TOLERANCE: Final = 0.005
"""Averages may be stored rounded to two digits."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not as it should be; `expected` or `found` is None where there should be or is no row.

    Where both are there, they hold the columns that differ and no others. `events` are those it is made of: topic
    without prefix, partition, offset, id and type of each, in the order of the log.
    """

    key: Row
    expected: Row | None
    found: Row | None
    events: tuple[Row, ...] = ()


@dataclass(slots=True)
class TableReport:
    """Outcome of one comparison: all differences are counted, the first `limit` are kept."""

    limit: int
    checked: int = 0
    count: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, difference: Difference) -> None:
        """Count a difference, and keep it if there is room."""
        self.count += 1
        if len(self.differences) < self.limit:
            self.differences.append(difference)


def same(expected: Any, found: Any) -> bool:
    """Whether a stored value is what was expected; JSON numbers by value, booleans are no numbers."""
    if isinstance(expected, OneOf):
        return any(same(value, found) for value in expected.values)
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(same(value, found[name]) for name, value in expected.items())
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(same, expected, found))
    if isinstance(expected, int | float) and isinstance(found, int | float | Decimal):
        return _same_number(expected, found)
    return bool(expected == found)


def _same_number(expected: float, found: float | Decimal) -> bool:
    if isinstance(found, Decimal):
        return math.isclose(expected, found, rel_tol=0, abs_tol=AVERAGE_TOLERANCE)
    if isinstance(expected, float) and isinstance(found, int):
        # PostgreSQL writes 1e100 out in full; as exact numbers the two are not equal.
        try:
            return expected == float(found)
        except OverflowError:
            return False
    return expected == found


def compare_rows(spec: TableSpec, expected: Table, found: Iterable[Sequence[Any]], *, limit: int) -> TableReport:
    """Compare one table; `found` are its rows, the key's columns before the others, in any order."""
    report = TableReport(limit)
    width = len(spec.key)
    seen: set[Key] = set()
    for values in found:
        key, row = tuple(values[:width]), _read(spec, values[width:])
        wanted = None if key in seen else expected.get(key)
        if wanted is None and (spec.may_hold_more or _is_nothing(spec, row)):
            continue
        seen.add(key)
        report.checked += 1
        if wanted is None:
            report.add(Difference(_named(spec, key), None, row))
        elif wrong := _differing(spec, wanted, row):
            report.add(
                Difference(
                    _named(spec, key), {name: wanted[name] for name in wrong}, {name: row[name] for name in wrong}
                )
            )
    for key, wanted in expected.items():
        if key not in seen and not isinstance(wanted, FreeRow):
            report.checked += 1
            report.add(Difference(_named(spec, key), dict(wanted), None))
    return report


def _named(spec: TableSpec, key: Key) -> Row:
    return dict(zip(spec.key, key, strict=True))


def _differing(spec: TableSpec, wanted: Row, row: Row) -> list[str]:
    # Columns of a table have types, so two rows that are equal are the same; not so within JSON, where true equals 1.
    if spec.relations and wanted == row and all(not row[name] or same(wanted[name], row[name]) for name in spec.json):
        return []
    return [name for name, value in wanted.items() if not same(value, row[name])]


def _read(spec: TableSpec, values: Sequence[Any]) -> Row:
    row = dict(zip(spec.columns, values, strict=True))
    for name, reader in spec.readers.items():
        row[name] = reader(row[name])
    return row


def _is_nothing(spec: TableSpec, row: Row) -> bool:
    return bool(spec.counters) and not any(row[name] for name in spec.counters)


def prepare(conn: psycopg.Connection[Any]) -> None:
    """Make ids come as text, as events carry them, and JSON without a parser's work where nothing is in it."""
    conn.adapters.register_loader("uuid", TextLoader)
    set_json_loads(_json, conn)


def _json(text: bytes | str) -> Any:
    empty = _EMPTY.get(text)
    return json.loads(text) if empty is None else empty()


def begin(conn: psycopg.Connection[Any], settings: Settings) -> None:
    """Start what the open transaction reads: one snapshot of all tables, times in UTC, nothing written.

    The transaction waits while the log is folded; the server must not end it for being idle.
    """
    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    conn.execute("SET LOCAL timezone = 'UTC'")
    conn.execute("SET LOCAL datestyle = 'ISO'")
    conn.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    _bound_statements(conn, settings.postgres.statement_timeout_ms)


def _bound_statements(conn: psycopg.Connection[Any], timeout_ms: int) -> None:
    conn.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(timeout_ms))


class Rows:
    """The rows of one table in the open transaction, key first."""

    def __init__(self, conn: psycopg.Connection[Any], settings: Settings, spec: TableSpec) -> None:
        """Raises `PreconditionError` where the table or a column is not there."""
        schema = settings.postgres.schema_collab if spec.schema == "collab" else settings.postgres.schema_analytics
        columns = sql.SQL(", ").join(map(sql.Identifier, (*spec.key, *spec.columns)))
        self._conn = conn
        self._timeout_ms = settings.postgres.statement_timeout_ms
        self._query = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(schema, relation))
            for relation in spec.relations
        )
        try:
            described = conn.execute(sql.SQL("{} LIMIT 0").format(self._query)).description or ()
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            raise PreconditionError(f"{spec.name}: {error.diag.message_primary}", fix="tailrace db migrate") from error
        self.types = tuple(column.type_display for column in described)
        self._reader = LineReader(conn, tuple(column.type_code for column in described))

    def lines(self) -> Iterator[bytes]:
        """One for each row."""
        # One statement for a whole table: it takes as long as that takes, and ends when nobody reads it any more.
        _bound_statements(self._conn, 0)
        with self._conn.cursor().copy(sql.SQL("COPY ({}) TO STDOUT").format(self._query)) as copy:
            for line in copy:
                yield bytes(line).removesuffix(b"\n")
        _bound_statements(self._conn, self._timeout_ms)

    def values(self, line: bytes) -> tuple[Any, ...]:
        """What is in a line."""
        return self._reader.values(line)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return map(self.values, self.lines())


Filter = Callable[[Iterable[Sequence[Any]]], Iterable[Sequence[Any]]]
"""Leaves out rows that are not to be compared."""


def compare_table(
    spec: TableSpec, expected: Table, found: Rows, *, limit: int, in_scope: Filter = lambda rows: rows
) -> TableReport:
    """Compare as `compare_rows` does, but read only rows that are not, byte for byte, what was expected."""
    awaited = lines(found.types, spec.columns, expected)
    others = [line for line in found.lines() if awaited.pop(line, None) is None]
    left = {key: expected[key] for key in awaited.values()}
    report = compare_rows(spec, left, in_scope(map(found.values, others)), limit=limit)
    report.checked += len(expected) - len(left)
    return report


def document(reports: Mapping[str, TableReport]) -> dict[str, Any]:
    """Give the comparison as `tailrace verify -o json` prints it (CONTRACT, 5); `count` counts those left out, too."""
    return {
        "differences": sum(report.count for report in reports.values()),
        "projections": {
            name: {
                "checked": report.checked,
                "count": report.count,
                "differences": [
                    {
                        "key": plain(one.key),
                        "expected": plain(one.expected),
                        "found": plain(one.found),
                        **({"events": list(one.events)} if one.events else {}),
                    }
                    for one in report.differences
                ],
            }
            for name, report in reports.items()
        },
    }


def plain(value: Any) -> Any:
    """Turn a row into what JSON can say; `OneOf` becomes {"one_of": […]}."""
    if isinstance(value, OneOf):
        return {"one_of": [plain(one) for one in value.values]}
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
