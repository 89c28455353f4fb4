"""Makes what a version was filled without, its readers' indexes and its statistics, on several connections at once."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any, Final

import psycopg
import structlog

from tailrace.operations.database import connection
from tailrace.rebuilding.shadow import missing_indexes, shadow_settings, tables_in
from tailrace.settings import Settings
from tailrace.sql.catalog import quoted, schema_names

log = structlog.get_logger()

CONNECTIONS_MAX: Final = 4
INDEX_BUILD_SETTINGS: Final = ("SET maintenance_work_mem = '256MB'", "SET lock_timeout = '10s'")


def make_indexes(settings: Settings, version: int) -> int:
    """Make the indexes that are missing, one statement each, and gather statistics; returns how many were made.

    Where it was interrupted, the next call makes the rest.
    """
    schemas = schema_names(shadow_settings(settings, version).postgres).values()
    with connection(settings) as conn:
        missing = missing_indexes(conn, settings, version)
        tables = set(tables_in(conn, schemas))
    indexed = {(schema, table) for schema, table, _ in missing}
    # The text indexes take longest by far, so they come first and everything else is done beside them.
    indexes = sorted((statement for _, _, statement in missing), key=lambda statement: " USING gin " not in statement)
    with ExitStack() as stack:
        conns = [stack.enter_context(connection(settings)) for _ in range(min(os.cpu_count() or 1, CONNECTIONS_MAX))]
        for conn in conns:
            for setting in INDEX_BUILD_SETTINGS:
                conn.execute(setting.encode())
        _run_all(conns, [*indexes, *map(_analyze, sorted(tables - indexed))])
        # ANALYZE waits for whoever makes an index of the table, and looks into indexes over expressions, too.
        _run_all(conns, map(_analyze, sorted(indexed)))
    log.info("shadow_indexed", version=version, indexes=len(indexes))
    return len(indexes)


def _analyze(table: tuple[str, str]) -> str:
    return f"ANALYZE {'.'.join(map(quoted, table))}"


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

    with ThreadPoolExecutor(idle.qsize()) as pool:
        running = [pool.submit(run, statement) for statement in statements]
        try:
            for one in wait(running, return_when=FIRST_EXCEPTION).done:
                one.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for conn in conns:
                conn.cancel()
            raise
