"""Compares two versions row by row at one position of the log, while both go on."""

from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg import sql

from tailrace.settings import Settings
from tailrace.sql.catalog import schema_names

NOT_COMPARED: Final = frozenset({"doc_version", "revised_at", "log_offset"})
"""They count or date changes, and how many a row saw depends on how events met in batches."""

RUNTIME_TABLES: Final = ("day_members", "hour_members", "last_seen", "file_accesses")
"""Tables of `runtime` that say something of the world, as the read models do."""

KEYS_SHOWN_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class TableComparison:
    """One table: its rows in each version, and how many of them the other has not like that."""

    table: str
    live: int
    beside: int
    only_live: int = 0
    only_beside: int = 0
    samples: tuple[str, ...] = ()
    """Keys of some rows that differ; no contents."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All tables at one position. `aside` are dead letters and parked events of either version, open ones only."""

    tables: tuple[TableComparison, ...]
    aside: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def differences(self) -> int:
        """Rows that one version has and the other has not."""
        return sum(one.only_live + one.only_beside for one in self.tables)

    @property
    def rows(self) -> int:
        """Rows of the live version that were compared."""
        return sum(one.live for one in self.tables)

    def document(self) -> dict[str, Any]:
        """For JSON: counts, and the tables that differ."""
        differing = {
            one.table: {
                "live": one.live, "beside": one.beside, "only_live": one.only_live, "only_beside": one.only_beside,
                "keys": list(one.samples),
            }
            for one in self.tables if one.only_live + one.only_beside
        }  # fmt: skip
        aside = {name: {"live": live, "beside": beside} for name, (live, beside) in self.aside.items()}
        return {
            "tables": len(self.tables), "rows": self.rows, "differences": self.differences, "differing": differing,
            "aside": aside,
        }  # fmt: skip


def compare(conn: psycopg.Connection[Any], settings: Settings, shadow: Settings) -> Comparison:
    """Compare everything that the two hold, in the snapshot of the transaction that `conn` is in.

    One pass over each table adds up the rows' hashes; only where the sums differ the rows are set against each other.
    """
    live, beside = schema_names(settings.postgres), schema_names(shadow.postgres)
    found = [_table(conn, live[plain], beside[plain], plain, name) for plain, name in _names(conn, live)]
    aside: dict[str, tuple[int, int]] = {}
    for name, where in (("parked_events", "true"), ("dead_letters", "resolved_at IS NULL")):
        counts = [
            _one(conn, sql.SQL("SELECT count(*) FROM {} WHERE projection = 'postgres' AND {}").format(
                sql.Identifier(schema, name), sql.SQL(where)))
            for schema in (live["runtime"], beside["runtime"])
        ]  # fmt: skip
        aside[name] = counts[0], counts[1]
    return Comparison(tuple(found), aside)


def _names(conn: psycopg.Connection[Any], live: dict[str, str]) -> list[tuple[str, str]]:
    rows = conn.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        "   AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)"
        "   AND c.relname !~ '_retired_[0-9t]+$' ORDER BY 1, 2",
        [[live["collab"], live["analytics"]]],
    ).fetchall()
    plain = {name: key for key, name in live.items()}
    tables = [(plain[schema], name) for schema, name in rows if name != "messages_archive"]
    return tables + [("runtime", name) for name in RUNTIME_TABLES]


def _table(conn: psycopg.Connection[Any], live: str, beside: str, plain: str, name: str) -> TableComparison:
    columns = sql.SQL(", ").join(sql.Identifier(column) for column in _columns(conn, live, name))
    sources = [_rows(schema, name, columns) for schema in (live, beside)]
    sums = [
        conn.execute(sql.SQL(
            "SELECT count(*), coalesce(sum(hashtextextended(ROW ({})::text, 0)::numeric), 0) FROM ({}) AS r"
        ).format(columns, source)).fetchone()
        for source in sources
    ]  # fmt: skip
    counts = [row[0] if row else 0 for row in sums]
    if sums[0] == sums[1]:
        return TableComparison(f"{plain}.{name}", counts[0], counts[1])
    keys = sql.SQL(", ").join(sql.Identifier(column) for column in _key(conn, live, name))
    samples: list[str] = []
    only: list[int] = []
    for one, other in (sources, sources[::-1]):
        text = sql.SQL("SELECT ROW ({})::text FROM (({}) EXCEPT ALL ({})) AS d").format(keys, one, other)
        rows = conn.execute(text).fetchall()
        only.append(len(rows))
        samples += [row[0] for row in rows[:KEYS_SHOWN_MAX]]
    return TableComparison(f"{plain}.{name}", counts[0], counts[1], only[0], only[1], tuple(dict.fromkeys(samples)))


def _rows(schema: str, name: str, columns: sql.Composed) -> sql.Composed:
    """Rows of a table; of messages also those in the archive, where long ones and old ones lie."""
    rows = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(schema, name))
    if name != "messages":
        return rows
    return sql.SQL("{} UNION ALL SELECT {} FROM {}").format(rows, columns, sql.Identifier(schema, "messages_archive"))


def _columns(conn: psycopg.Connection[Any], schema: str, name: str) -> list[str]:
    rows = conn.execute(
        "SELECT a.attname FROM pg_attribute a WHERE a.attrelid = to_regclass(format('%%I.%%I', %s::text, %s::text))"
        " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        [schema, name],
    )
    return [column for (column,) in rows if column not in NOT_COMPARED]


def _key(conn: psycopg.Connection[Any], schema: str, name: str) -> list[str]:
    rows = conn.execute(
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
        " WHERE i.indrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) AND i.indisprimary",
        [schema, name],
    )
    return [column for (column,) in rows]


def _one(conn: psycopg.Connection[Any], query: sql.Composed) -> int:
    row = conn.execute(query).fetchone()
    return int(row[0]) if row else 0
