"""Makes what a version was filled without: its readers' indexes and its statistics, on several connections at once.

An index of a partitioned table is made partition by partition, the largest first: left to itself, PostgreSQL makes one
after the other. Each is attached in the transaction that makes it, so whatever kills the work, the next call makes the
rest.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final, Literal

import psycopg
import structlog
from psycopg.sql import quote

from tailrace.operations.database import connection
from tailrace.rebuilding.shadow import shadow_settings, tables_in
from tailrace.settings import Settings
from tailrace.sql.catalog import quoted, schema_names
from tailrace.sql.rendering import SCHEMAS

log = structlog.get_logger()

CONNECTIONS_MAX: Final = 4
INDEX_BUILD_SETTINGS: Final = ("SET maintenance_work_mem = '256MB'", "SET lock_timeout = '10s'")
NAME_BYTES_MAX: Final = 63

_DEFINITION = re.compile(r"^(?P<make>CREATE (?:UNIQUE )?INDEX) \S+ ON (?:ONLY )?.*?(?P<what> USING .*)$", re.DOTALL)

Table = tuple[str, str]
"""(schema, name)."""


@dataclass(frozen=True, slots=True)
class MissingIndex:
    """An index that the live table has and that of the version lacks, wholly or in some partitions.

    `make` is CREATE INDEX or CREATE UNIQUE INDEX, `what` everything behind the table's name.
    """

    name: str
    table: Table
    is_partitioned: bool
    make: str
    what: str

    def statement(self, *, only: bool = False) -> str:
        """Makes it; with `only`, of a partitioned table, without its partitions'."""
        return f"{self.make} IF NOT EXISTS {quoted(self.name)} ON {'ONLY ' * only}{_name(self.table)}{self.what}"

    def statement_in(self, partition: Table) -> str:
        """Makes that of one partition: two statements which, sent together, are one transaction."""
        schema, table = partition
        own = f"{table}_{self.name}"[:NAME_BYTES_MAX]
        attached = f"ALTER INDEX {_name((self.table[0], self.name))} ATTACH PARTITION {_name((schema, own))}"
        return f"{self.make} {quoted(own)} ON {_name(partition)}{self.what}; {attached}"


def make_indexes(settings: Settings, version: int) -> int:
    """Make the indexes that are missing, and gather statistics; returns how many were made."""
    schemas = schema_names(shadow_settings(settings, version).postgres).values()
    with ExitStack() as stack:
        conns = [stack.enter_context(connection(settings)) for _ in range(min(os.cpu_count() or 1, CONNECTIONS_MAX))]
        # The server goes on with what a killed process asked for last, and the same again would fail on its name.
        conns[0].execute(lock_of(settings, version, "exclusive").encode())
        for conn in conns:
            for setting in INDEX_BUILD_SETTINGS:
                conn.execute(setting.encode())
        missing = missing_indexes(conns[0], settings, version)
        indexed = {one.table for one in missing}
        rest = sorted(set(tables_in(conns[0], schemas)) - indexed)
        shared = lock_of(settings, version)
        making = [f"{shared}; {statement}" for statement in _statements(conns[0], missing)]
        _run_all(conns, [*making, *map(_analyze, rest)])
        # ANALYZE waits for whoever makes an index of the table, and looks into indexes over expressions, too.
        _run_all(conns, map(_analyze, sorted(indexed)))
    log.info("shadow_indexed", version=version, indexes=len(missing))
    return len(missing)


def missing_indexes(conn: psycopg.Connection[Any], settings: Settings, version: int) -> list[MissingIndex]:
    """Indexes that the live tables have and those of the version lack, in order of their tables."""
    live, beside = schema_names(settings.postgres), schema_names(shadow_settings(settings, version).postgres)
    found: list[MissingIndex] = []
    for plain in SCHEMAS:
        for name, table, is_partitioned, definition in conn.execute(_INDEXES, [live[plain], beside[plain]]):
            if (parts := _DEFINITION.match(definition)) is not None:
                found.append(MissingIndex(name, (beside[plain], table), is_partitioned, parts["make"], parts["what"]))
    return found


def _statements(conn: psycopg.Connection[Any], missing: Iterable[MissingIndex]) -> Iterator[str]:
    """What makes them, dearest first: text indexes take longest by far, and everything else is done beside them."""
    found: list[tuple[bool, int, str]] = []
    for one in missing:
        is_text = " USING gin " in one.what
        if one.is_partitioned:
            conn.execute(one.statement(only=True).encode())
            for partition, size in conn.execute(_PARTITIONS_WITHOUT, [*one.table, one.name]):
                found.append((is_text, size, one.statement_in((one.table[0], partition))))
        else:
            found.append((is_text, 0, one.statement()))
    return (statement for _, _, statement in sorted(found, reverse=True))


def lock_of(settings: Settings, version: int, mode: Literal["shared", "exclusive"] = "shared") -> str:
    """Waits for the lock that whoever makes an index of the version shares until its transaction ends."""
    name = f"tailrace.indexing.{shadow_settings(settings, version).postgres.schema_runtime}"
    function = "pg_advisory_xact_lock_shared" if mode == "shared" else "pg_advisory_xact_lock"
    return f"SELECT {function}(hashtextextended({quote(name)}, 0))"


def _analyze(table: Table) -> str:
    return f"ANALYZE {_name(table)}"


def _name(table: Table) -> str:
    return ".".join(map(quoted, table))


def _run_all(conns: Sequence[psycopg.Connection[Any]], statements: Iterable[str]) -> None:
    """Run the statements in their order on whichever connection is free. What one raises ends all."""
    idle: SimpleQueue[psycopg.Connection[Any]] = SimpleQueue()
    for conn in conns:
        idle.put(conn)

    def run(statement: str) -> None:
        conn = idle.get()
        try:
            conn.execute(statement.encode())
        finally:
            idle.put(conn)

    with ThreadPoolExecutor(len(conns)) as pool:
        running = [pool.submit(run, statement) for statement in statements]
        try:
            for one in wait(running, return_when=FIRST_EXCEPTION).done:
                one.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for conn in conns:
                conn.cancel()
            raise


_INDEXES: Final = """
SELECT x.relname, t.relname, t.relkind = 'p', pg_get_indexdef(i.indexrelid)
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relnamespace = to_regnamespace(quote_ident(%s)) AND NOT x.relispartition AND NOT t.relispartition
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = x.oid)
  AND EXISTS (
      SELECT FROM pg_class b WHERE b.relnamespace = to_regnamespace(quote_ident(%s)) AND b.relname = t.relname
        AND NOT EXISTS (
            SELECT FROM pg_class o JOIN pg_index m ON m.indexrelid = o.oid
            WHERE o.relnamespace = b.relnamespace AND o.relname = x.relname AND m.indisvalid
        )
  )
ORDER BY t.relname, x.relname
"""
# That of a partitioned table is not valid before every partition has its own.

_PARTITIONS_WITHOUT: Final = """
SELECT p.relname, pg_relation_size(p.oid)
FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_inherits h ON h.inhparent = t.oid JOIN pg_class p ON p.oid = h.inhrelid
WHERE n.nspname = %s AND t.relname = %s AND NOT EXISTS (
    SELECT FROM pg_index i JOIN pg_inherits a ON a.inhrelid = i.indexrelid JOIN pg_class x ON x.oid = a.inhparent
    WHERE i.indrelid = p.oid AND x.relname = %s AND x.relnamespace = n.oid
)
"""
