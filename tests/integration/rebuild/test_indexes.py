"""A version is filled without the indexes of readers, and has all of them before it can become live."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import psycopg
import pytest

from tailrace.months.keeper import MONTHLY_TABLES, ensure_table_months
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.rebuilding.indexing import lock_of, make_indexes, missing_indexes
from tailrace.rebuilding.shadow import create
from tailrace.settings import Settings
from tailrace.sql.catalog import schema_names

pytestmark = pytest.mark.integration

MONTHS = [date(2026, month, 1) for month in (7, 8, 9)]

Indexes = set[tuple[str, str, str, bool]]
"""(kind of schema, table or partition, what it indexes, whether it is valid)."""


def indexes(conn: psycopg.Connection, settings: Settings, tables: set[str]) -> Indexes:
    found: Indexes = set()
    for plain, schema in schema_names(settings.postgres).items():
        rows = conn.execute(
            "SELECT t.relname, substring(pg_get_indexdef(i.indexrelid) FROM ' USING .*'), i.indisvalid"
            " FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid WHERE t.relnamespace = to_regnamespace(%s)",
            [schema],
        )
        found |= {(plain, table, what, is_valid) for table, what, is_valid in rows if table in tables}
    return found


def tables_of(conn: psycopg.Connection, settings: Settings) -> set[str]:
    rows = conn.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text = ANY (%s)",
        [list(schema_names(settings.postgres).values())],
    )
    return {name for (name,) in rows}


def test_a_version_has_the_indexes_of_the_live_one_also_when_their_making_was_cut_short(
    settings_for: Callable[[str], Settings],
) -> None:
    settings = settings_for("indexes")
    with connection(settings) as conn:
        migrate(conn, settings)
        for table in MONTHLY_TABLES:
            ensure_table_months(conn, schema_names(settings.postgres), table, MONTHS)
        shadow = create(settings, 2)
        missing = missing_indexes(conn, settings, 2)
        text = next(one for one in missing if one.name == "messages_content")
        conn.execute(text.statement(only=True).encode())
        conn.execute(text.statement_in((text.table[0], "messages_2026_08")).encode())

        made = make_indexes(settings, 2)
        again = make_indexes(settings, 2)
        tables = tables_of(conn, shadow)
        live, beside = indexes(conn, settings, tables), indexes(conn, shadow, tables)

    assert made == len(missing)
    assert again == 0
    assert beside == live
    assert all(is_valid for *_, is_valid in beside)
    assert {"messages_2026_07", "messages_2026_09"} <= {table for _, table, what, _ in beside if "gin" in what}


def test_what_a_killed_process_left_the_server_to_make_is_waited_for(settings_for: Callable[[str], Settings]) -> None:
    settings = settings_for("orphans")
    with connection(settings) as conn, connection(settings) as orphan, ThreadPoolExecutor(1) as pool:
        migrate(conn, settings)
        create(settings, 2)
        missing = missing_indexes(conn, settings, 2)
        plain = next(one for one in missing if one.name == "message_reactions_user")
        with orphan.transaction():
            orphan.execute(lock_of(settings, 2).encode())
            orphan.execute(plain.statement().encode())
            making = pool.submit(make_indexes, settings, 2)
            is_waited_for(conn)
        made = making.result(60)

    assert made == len(missing) - 1


def is_waited_for(conn: psycopg.Connection) -> None:
    """Return as soon as somebody waits for an advisory lock."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        row = conn.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
        if row and row[0]:
            return
        time.sleep(0.05)
    raise AssertionError("nobody waits")
