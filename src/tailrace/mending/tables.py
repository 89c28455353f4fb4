"""The tables that can be mended: their columns, which rows are in a scope, and the statements that compare and copy.

Live and filled tables lie in one database under two sets of schemas, so comparing and copying never leaves the server.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from tailrace.mending.scope import Scope
from tailrace.settings import Settings
from tailrace.sql.catalog import schema_names

RUNTIME: Final = ("message_ids", "thread_edges", "tombstones", "file_accesses", "last_seen", "day_members",
                  "hour_members")  # fmt: skip
"""Tables of `runtime` that are made of the log and that the read models need."""

NOT_COMPARED: Final = frozenset({"doc_version", "log_offset", "revised_at"})
"""They say how often or when a row changed, which depends on how events met in batches."""

VERSION: Final = "doc_version"
LEAP: Final = 1_000_000
"""Added to the version of a row that was gone: what it had before is not known, and indices may hold that."""

MESSAGES: Final = "collab.messages"
ARCHIVE: Final = "collab.messages_archive"
SIGNALS: Final[Mapping[str, frozenset[str] | None]] = {
    "collab.sessions": None,
    "runtime.last_seen": None,
    "collab.workspace_members": frozenset({"last_seen_at"}),
    "analytics.user_activity": frozenset({"time_spent_us"}),
}
"""What is made of signals, which are kept for a day: whole tables (None), or columns."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `relation` is its name with the plain schema; `columns` are those that are written.

    A key may have generated columns, which are read only.
    """

    relation: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    kept: frozenset[str] = frozenset()
    """Columns that are neither compared nor copied into rows that exist."""

    @property
    def read(self) -> tuple[str, ...]:
        """Columns that are written, and those of the key."""
        return tuple(dict.fromkeys((*self.key, *self.columns)))

    @property
    def compared(self) -> tuple[str, ...]:
        """Columns that must be equal."""
        left_out = NOT_COMPARED | self.kept | set(self.key)
        if self.relation == "analytics.message_analytics":
            left_out -= {"revised_at"}  # the rules say what it is there
        return tuple(name for name in self.columns if name not in left_out)


@dataclass(frozen=True, slots=True)
class Pair:
    """Names of the live schemas and of those beside them."""

    live: Mapping[str, str]
    beside: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings, shadow: Settings) -> "Pair":
        """Of an instance and a version of it."""
        return cls(schema_names(settings.postgres), schema_names(shadow.postgres))

    def name(self, which: Mapping[str, str], relation: str) -> sql.Identifier:
        """A table in one of the two."""
        schema, _, table = relation.partition(".")
        return sql.Identifier(which[schema], table)


def tables(conn: psycopg.Connection[Any], pair: Pair, scope: Scope, *, lost: frozenset[str]) -> list[Table]:
    """Those that the scope names. `lost` are topics (without prefix) whose log has lost its beginning for good."""
    found = []
    wanted = scope.relations
    for relation in _relations(conn, pair):
        if wanted is not None and relation not in wanted:
            continue
        kept: frozenset[str] = frozenset()
        if "signals" in lost and relation in SIGNALS:
            gone = SIGNALS[relation]
            if gone is None:
                continue
            kept = gone
        if relation == "collab.notifications" and "notifications" in lost:
            continue
        found.append(_table(conn, pair, relation, kept))
    return found


def _relations(conn: psycopg.Connection[Any], pair: Pair) -> list[str]:
    rows = conn.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p')"
        "   AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)"
        "   AND c.relname !~ '_retired_[0-9t]+$' ORDER BY 1, 2",
        [list(pair.beside.values())],
    ).fetchall()
    plain = {name: key for key, name in pair.beside.items()}
    return [f"{plain[s]}.{table}" for s, table in rows if plain[s] != "runtime" or table in RUNTIME]


def _table(conn: psycopg.Connection[Any], pair: Pair, relation: str, kept: frozenset[str]) -> Table:
    regclass = pair.name(pair.live, relation).as_string(conn)
    columns = conn.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = '' ORDER BY attnum",
        [regclass],
    )
    key = conn.execute(
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
        " WHERE i.indrelid = %s::regclass AND i.indisprimary ORDER BY array_position(i.indkey::int2[], a.attnum)",
        [regclass],
    )
    return Table(relation, tuple(r[0] for r in key), tuple(r[0] for r in columns), kept)


# ── which rows ──


def condition(conn: psycopg.Connection[Any], pair: Pair, table: Table, scope: Scope,
              touched: Mapping[str, list[str]] | None) -> sql.Composable:  # fmt: skip
    """SQL condition on `r`, a row of either side; false where a table can have nothing in the scope."""
    parts: list[sql.Composable] = []
    if scope.workspace is not None:
        parts.append(_of_workspace(pair, table, scope.workspace))
    if scope.channel is not None:
        parts.append(_equals(table, "channel_id", scope.channel))
    if scope.message is not None:
        parts.append(_equals(table, "message_id", scope.message))
    if touched is not None:
        parts.append(_is_touched(conn, pair, table, touched))
    return sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")


_BUCKETS: Final = ("date", "hour")
_IDS: Final = ("message_id", "channel_id", "user_id", "file_id", "session_id", "event_id", "integration_id",
               "invitation_id", "child_id", "parent_id")  # fmt: skip
_FIELDS: Final = {"child_id": "message_id", "parent_id": "message_id"}


def _is_touched(
    conn: psycopg.Connection[Any], pair: Pair, table: Table, touched: Mapping[str, list[str]]
) -> sql.Composable:
    """Whether the part of the log is about a row: its bucket, if it has one, and any of the things that it names.

    Any, not all: a row that no event explains names somebody whom the part says nothing of.
    """
    types = _types(conn, pair, table)

    def among(name: str) -> sql.Composable:
        values = sql.Literal(touched.get(_FIELDS.get(name, name), []))
        return sql.SQL("r.{} = ANY ({}::{})").format(sql.Identifier(name), values, sql.SQL(f"{types[name]}[]"))

    if table.relation == "runtime.tombstones":
        return sql.SQL("true")
    # A notification's own id is in no event.
    ids = [name for name in _IDS if name in (table.columns if "notification_id" in table.key else table.key)]
    buckets = [among(name) for name in _BUCKETS if name in table.key]
    things = [among(name) for name in ids or ("workspace_id",) if name in types]
    if not things:
        return sql.SQL("false")  # a table that the log does not fill
    return sql.SQL(" AND ").join([*buckets, sql.SQL("({})").format(sql.SQL(" OR ").join(things))])


def _types(conn: psycopg.Connection[Any], pair: Pair, table: Table) -> dict[str, str]:
    rows = conn.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass"
        " AND attnum > 0",
        [pair.name(pair.live, table.relation).as_string(conn)],
    )
    return dict(rows.fetchall())


def _equals(table: Table, column: str, value: str) -> sql.Composable:
    if column not in table.columns:
        return sql.SQL("false")
    return sql.SQL("r.{} = {}").format(sql.Identifier(column), sql.Literal(value))


def _of_workspace(pair: Pair, table: Table, workspace: str) -> sql.Composable:
    if "workspace_id" in table.columns:
        return _equals(table, "workspace_id", workspace)
    for column, relation in (("channel_id", "collab.channels"), ("message_id", MESSAGES), ("child_id", MESSAGES),
                             ("file_id", "collab.files"), ("user_id", "collab.workspace_members")):  # fmt: skip
        if column in table.columns:
            named = "message_id" if column == "child_id" else column
            # The filled tables say what belongs to it: the live ones may be what is wrong.
            return sql.SQL("r.{} IN (SELECT o.{} FROM {} o WHERE o.workspace_id = {})").format(
                sql.Identifier(column), sql.Identifier(named), pair.name(pair.beside, relation), sql.Literal(workspace)
            )
    return sql.SQL("true") if table.relation == "runtime.tombstones" else sql.SQL("false")


# ── statements ──


def source(pair: Pair, table: Table) -> sql.Composable:
    """Rows that the live table should have, as a query.

    Where a message lies, in its month or in the archive, is the live tables' business: retention moves it. A month that
    the live tables do not have was taken away by somebody.
    """
    columns = names(table.read)
    rows = sql.SQL("SELECT {} FROM {} f").format(columns, pair.name(pair.beside, table.relation))
    if table.relation not in (MESSAGES, ARCHIVE):
        return rows
    other = ARCHIVE if table.relation == MESSAGES else MESSAGES
    is_other = sql.SQL("EXISTS (SELECT FROM {} o WHERE o.message_id = f.message_id AND o.created_at = f.created_at)")
    is_here = is_other.format(pair.name(pair.live, table.relation))
    return sql.SQL("{} WHERE NOT {} AND {} UNION ALL SELECT {} FROM {} f WHERE {}").format(
        rows, is_other.format(pair.name(pair.live, other)), _month_exists(pair, table.relation), columns,
        pair.name(pair.beside, other), is_here,
    )  # fmt: skip


def _month_exists(pair: Pair, relation: str) -> sql.Composable:
    if relation != MESSAGES:
        return sql.SQL("true")
    return sql.SQL(
        "date_trunc('month', f.created_at AT TIME ZONE 'UTC')::date IN (SELECT m FROM {}({}::regclass) AS m)"
    ).format(
        sql.Identifier(pair.live["runtime"], "known_months"), sql.Literal(pair.name(pair.live, relation).as_string())
    )


def names(columns: Iterable[str], prefix: str = "") -> sql.Composed:
    """Columns by commas, behind a prefix such as `l.`."""
    return sql.SQL(", ").join(sql.SQL(prefix) + sql.Identifier(column) for column in columns)


def joined(table: Table, left: str, right: str) -> sql.Composed:
    """The condition that two sides have the same key."""
    return sql.SQL(" AND ").join(
        sql.SQL(f"{left}.{{0}} = {right}.{{0}}").format(sql.Identifier(name)) for name in table.key
    )


def differs(table: Table) -> sql.Composed:
    """The condition that `l` and `s`, either of which may be missing, are not the same."""
    first = sql.Identifier(table.key[0])
    there = sql.SQL("(l.{0} IS NULL) <> (s.{0} IS NULL)").format(first)
    if not table.compared:
        return sql.Composed([there])
    unequal = sql.SQL("ROW ({}) IS DISTINCT FROM ROW ({})").format(
        names(table.compared, "l."), names(table.compared, "s.")
    )
    return sql.SQL("({} OR {})").format(there, unequal)
