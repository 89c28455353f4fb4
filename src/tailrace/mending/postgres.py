"""Finds rows that differ, copies exactly those under the lock of the live progress, and puts them back again.

First all tables are compared in one snapshot while live traffic goes on: rows that differ are suspects, and some of
them only because live and filled tables stand at different positions there. Then the live worker is held by locking its
progress rows, the filled tables are brought to exactly its positions, and the suspects alone are compared again and
copied in the same transaction. What began to differ in between is no damage that was there when it was looked for.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg import sql

from tailrace.consumers.batch import TopicPartition
from tailrace.errors import PreconditionError
from tailrace.mending.scope import Scope
from tailrace.mending.tables import LEAP, VERSION, Pair, Table, condition, differs, joined, names, source, tables
from tailrace.operations.database import connection
from tailrace.projections.registry import POSTGRES
from tailrace.rebuilding.standing import offsets, places
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names

HOLD_MAX_MS: Final = 8_000
"""The live worker waits for so long at most, less than its own lock_timeout: it notices nothing."""
COMPARE_TIMEOUT_MS: Final = 3_600_000

CatchUp = Callable[[Mapping[TopicPartition, int]], None]
"""Brings the filled tables to exactly these positions."""


@dataclass(slots=True)
class Mended:
    """Rows by table: `missing` were put back, `altered` replaced, `extra` taken away. `keys` are those of all."""

    missing: dict[str, int] = field(default_factory=dict)
    altered: dict[str, int] = field(default_factory=dict)
    extra: dict[str, int] = field(default_factory=dict)
    held_ms: int = 0

    @property
    def rows(self) -> int:
        """All of them."""
        return sum(sum(kind.values()) for kind in (self.missing, self.altered, self.extra))

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"rows": self.rows, "missing": self.missing, "altered": self.altered, "extra": self.extra}


@dataclass(frozen=True, slots=True)
class Mending:
    """One comparison of the live tables with a filled version, put down under a job."""

    settings: Settings
    shadow: Settings
    job_id: str
    scope: Scope
    touched: Mapping[str, list[str]] | None
    lost: frozenset[str]

    @property
    def pair(self) -> Pair:
        """Both sets of schemas."""
        return Pair.of(self.settings, self.shadow)

    def look(self) -> int:
        """Compare everything in the scope, and put suspects down; returns how many there are. Again begins anew."""
        with self._opened() as conn:
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            _prepare(conn, COMPARE_TIMEOUT_MS)
            rows = self.rows()
            conn.execute(
                sql.SQL("DELETE FROM {} WHERE job_id = %s AND state IN ('suspect', 'same')").format(rows), [self.job_id]
            )
            count = 0
            for table in tables(conn, self.pair, self.scope, lost=self.lost):
                found = conn.execute(self._suspects(conn, table), {"job": self.job_id, "relation": table.relation})
                count += found.rowcount
            return count

    def _suspects(self, conn: psycopg.Connection[Any], table: Table) -> sql.Composed:
        where = condition(conn, self.pair, table, self.scope, self.touched)
        key = sql.SQL(", ").join(
            sql.SQL("{}, coalesce(l.{}, s.{})").format(sql.Literal(name), sql.Identifier(name), sql.Identifier(name))
            for name in table.key
        )
        return sql.SQL(
            "INSERT INTO {} (job_id, relation, key) SELECT %(job)s, %(relation)s, jsonb_build_object({})"
            " FROM (SELECT * FROM {} r WHERE {}) AS l FULL JOIN (SELECT * FROM ({}) AS r WHERE {}) AS s ON {} WHERE {}"
        ).format(
            self.rows(), key, self.pair.name(self.pair.live, table.relation), where, source(self.pair, table), where,
            joined(table, "l", "s"), differs(table),
        )  # fmt: skip

    def rows(self) -> sql.Identifier:
        """The table in which the job's rows are."""
        return sql.Identifier(self.pair.live["runtime"], "replay_rows")

    @contextmanager
    def _opened(self) -> Iterator[psycopg.Connection[Any]]:
        with connection(self.settings) as conn, conn.transaction():
            yield conn

    # ── under the lock ──

    def mend(self, catch_up: CatchUp, *, dry_run: bool = False) -> Mended:
        """Compare the suspects at exactly the live positions, and copy those that differ, in one transaction.

        With `dry_run` nothing is copied. Raises `PreconditionError` where the lock is not to be had.
        """
        with self._opened() as conn:
            _prepare(conn, COMPARE_TIMEOUT_MS)
            self.hold(conn)
            catch_up(offsets(places(self.settings, conn)))
            began = conn.execute("SELECT clock_timestamp()").fetchone()
            wanted = [
                table for table in tables(conn, self.pair, self.scope, lost=self.lost) if self._judge(conn, table)
            ]
            done = Mended()
            for table in wanted:
                self._count(conn, table, done)
                if not dry_run:
                    self._copy(conn, table)
            if dry_run:
                conn.execute(
                    sql.SQL("UPDATE {} SET state = 'suspect' WHERE job_id = %s AND state = 'changed'").format(
                        self.rows()
                    ),
                    [self.job_id],
                )
            elif wanted:
                self._raise_versions(conn)
            ended = conn.execute("SELECT extract(epoch FROM clock_timestamp() - %s) * 1000", began).fetchone()
            done.held_ms = int(ended[0]) if ended else 0
            return done

    def hold(self, conn: psycopg.Connection[Any]) -> None:
        """Nobody moves the tables until the transaction ends: workers wait at the first statement of their own."""
        try:
            conn.execute(
                sql.SQL("SELECT 1 FROM {} WHERE projection = %s ORDER BY topic, partition FOR UPDATE").format(
                    sql.Identifier(self.pair.live["runtime"], "progress")
                ),
                [POSTGRES.name],
            )
            text = render(queries("effects")["couple_exclusive"], schema_names(self.settings.postgres))
            psycopg.RawCursor(conn).execute(text.encode(), (self.settings.postgres.schema_collab,))
        except psycopg.errors.LockNotAvailable as error:
            raise PreconditionError("the live worker does not let go of its progress", fix="try again") from error

    def _judge(self, conn: psycopg.Connection[Any], table: Table) -> int:
        """Decide about the suspects of a table, and keep both images of those that differ; how many they are."""
        conn.execute(
            sql.SQL(
                "UPDATE {rows} AS r SET before = to_jsonb(l), after = to_jsonb(s),"
                " state = CASE WHEN {differs} THEN 'changed' ELSE 'same' END"
                " FROM {keys} AS k LEFT JOIN {live} AS l ON {left}"
                " LEFT JOIN ({source}) AS s ON {right} WHERE r.number = k.number"
            ).format(
                rows=self.rows(),
                differs=differs(table),
                keys=self.keys(table, "suspect"),
                live=self.pair.name(self.pair.live, table.relation),
                left=joined(table, "l", "k"),
                source=source(self.pair, table),
                right=joined(table, "s", "k"),
            )
        )
        found = conn.execute(
            sql.SQL("SELECT count(*) FROM {} WHERE job_id = %s AND relation = %s AND state = 'changed'").format(
                self.rows()
            ),
            [self.job_id, table.relation],
        ).fetchone()
        return int(found[0]) if found else 0

    def keys(self, table: Table, state: str) -> sql.Composed:
        """The keys of the job's rows of a table as columns of their own types."""
        return sql.SQL(
            "(SELECT q.number, q.before, q.after, {} FROM {} q"
            " CROSS JOIN LATERAL jsonb_populate_record(NULL::{}, q.key) p"
            " WHERE q.job_id = {} AND q.relation = {} AND q.state = {})"
        ).format(
            names(table.key, "p."), self.rows(), self.pair.name(self.pair.live, table.relation),
            sql.Literal(self.job_id), sql.Literal(table.relation), sql.Literal(state),
        )  # fmt: skip

    def _count(self, conn: psycopg.Connection[Any], table: Table, done: Mended) -> None:
        row = conn.execute(
            sql.SQL(
                "SELECT count(*) FILTER (WHERE before IS NULL), count(*) FILTER (WHERE after IS NULL),"
                " count(*) FILTER (WHERE before IS NOT NULL AND after IS NOT NULL)"
                " FROM {} WHERE job_id = %s AND relation = %s AND state = 'changed'"
            ).format(self.rows()),
            [self.job_id, table.relation],
        ).fetchone() or (0, 0, 0)
        for kind, count in zip((done.missing, done.extra, done.altered), row, strict=True):
            if count:
                kind[table.relation] = count

    def _copy(self, conn: psycopg.Connection[Any], table: Table) -> None:
        live = self.pair.name(self.pair.live, table.relation)
        keys = self.keys(table, "changed")
        conn.execute(
            sql.SQL("DELETE FROM {} AS l USING {} AS k WHERE {} AND k.after IS NULL").format(
                live, keys, joined(table, "l", "k")
            )
        )
        conn.execute(
            sql.SQL("INSERT INTO {} AS l ({}) SELECT {} FROM ({}) AS s JOIN {} AS k ON {} ON CONFLICT ({}) {}").format(
                live,
                names(table.columns),
                _values(table, "s"),
                source(self.pair, table),
                keys,
                joined(table, "s", "k"),
                names(table.key),
                _on_conflict(table),
            )
        )

    def _raise_versions(self, conn: psycopg.Connection[Any]) -> None:
        """Caches of the channels that changed are older than what there is now."""
        raise_channels(conn, self.pair, self.job_id, "changed")


def _values(table: Table, side: str) -> sql.Composed:
    """What is put in: the row, its version above any that it may have had."""
    return sql.SQL(", ").join(
        sql.SQL(f"{side}.{{}} + {LEAP}" if name == VERSION else f"{side}.{{}}").format(sql.Identifier(name))
        for name in table.columns
    )


def _on_conflict(table: Table) -> sql.Composable:
    changed = [name for name in table.columns if name not in table.key and name not in table.kept]
    if not changed:
        return sql.SQL("DO NOTHING")
    return sql.SQL("DO UPDATE SET ") + sql.SQL(", ").join(
        sql.SQL("{0} = l.{0} + 1" if name == VERSION else "{0} = excluded.{0}").format(sql.Identifier(name))
        for name in changed
    )


def raise_channels(conn: psycopg.Connection[Any], pair: Pair, job_id: str, state: str) -> None:
    """Raise the stamps of the channels that a job's rows name."""
    conn.execute(
        sql.SQL(
            "INSERT INTO {versions} AS v (channel_id, list_version, members_version)"
            " SELECT DISTINCT (side ->> 'channel_id')::uuid, {leap}, {leap} FROM {rows} r"
            " CROSS JOIN LATERAL (VALUES (r.before), (r.after)) AS b (side)"
            " WHERE r.job_id = %s AND r.state = %s AND side ->> 'channel_id' IS NOT NULL"
            " ON CONFLICT (channel_id) DO UPDATE SET list_version = v.list_version + 1,"
            " members_version = v.members_version + 1"
        ).format(
            versions=sql.Identifier(pair.live["runtime"], "channel_versions"),
            rows=sql.Identifier(pair.live["runtime"], "replay_rows"),
            leap=sql.Literal(LEAP),
        ),
        [job_id, state],
    )


def _prepare(conn: psycopg.Connection[Any], statement_timeout_ms: int) -> None:
    conn.execute(f"SET LOCAL statement_timeout = {statement_timeout_ms}".encode())
    conn.execute(f"SET LOCAL lock_timeout = {HOLD_MAX_MS}".encode())
    conn.execute("SET LOCAL timezone = 'UTC'")
    conn.execute("SET LOCAL idle_in_transaction_session_timeout = 0")


# ── undoing ──


@dataclass(frozen=True, slots=True)
class Undone:
    """Rows that were put back as they were, and rows that somebody else has changed since and that stay."""

    rows: int
    moved_on: int


def undo(settings: Settings, job_id: str) -> Undone:
    """Put back every row that a job changed, where what it put there still stands, in one transaction."""
    pair = Pair(schema_names(settings.postgres), schema_names(settings.postgres))
    one = Mending(settings, settings, job_id, Scope(), None, frozenset())
    rows = sql.Identifier(pair.live["runtime"], "replay_rows")
    with connection(settings) as conn, conn.transaction():
        _prepare(conn, COMPARE_TIMEOUT_MS)
        one.hold(conn)
        relations = conn.execute(
            sql.SQL("SELECT DISTINCT relation FROM {} WHERE job_id = %s AND state = 'changed'").format(rows), [job_id]
        ).fetchall()
        wanted = {relation for (relation,) in relations}
        for table in tables(conn, pair, Scope(), lost=frozenset()):
            if table.relation in wanted:
                _put_back(conn, one, table)
        raise_channels(conn, pair, job_id, "undone")
        counts = dict(
            conn.execute(
                sql.SQL("SELECT state, count(*) FROM {} WHERE job_id = %s GROUP BY 1").format(rows), [job_id]
            ).fetchall()
        )
    return Undone(counts.get("undone", 0), counts.get("moved_on", 0))


def _put_back(conn: psycopg.Connection[Any], one: Mending, table: Table) -> None:
    """A row stands as the job left it when it has the same values, whatever its version is by now."""
    live = one.pair.name(one.pair.live, table.relation)
    stands = sql.SQL(" AND ").join(
        sql.SQL("l.{0} IS NOT DISTINCT FROM a.{0}").format(sql.Identifier(name))
        for name in (*table.key, *table.compared)
    )
    conn.execute(
        sql.SQL(
            "UPDATE {rows} AS r SET state = CASE WHEN {stands} THEN 'undone' ELSE 'moved_on' END"
            " FROM {keys} AS k LEFT JOIN {live} AS l ON {left}"
            " CROSS JOIN LATERAL jsonb_populate_record(NULL::{live}, k.after) AS a WHERE r.number = k.number"
        ).format(
            rows=one.rows(), stands=stands, keys=one.keys(table, "changed"), live=live, left=joined(table, "l", "k")
        )
    )
    keys = one.keys(table, "undone")
    conn.execute(
        sql.SQL("DELETE FROM {} AS l USING {} AS k WHERE {} AND k.before IS NULL").format(
            live, keys, joined(table, "l", "k")
        )
    )
    conn.execute(
        sql.SQL(
            "INSERT INTO {} AS l ({}) SELECT {} FROM {} AS k"
            " CROSS JOIN LATERAL jsonb_populate_record(NULL::{}, k.before) AS s WHERE k.before IS NOT NULL"
            " ON CONFLICT ({}) {}"
        ).format(live, names(table.columns), _values(table, "s"), keys, live, names(table.key), _on_conflict(table))
    )
