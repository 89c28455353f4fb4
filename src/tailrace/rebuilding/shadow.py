"""Shadows: sets of schemas beside the live ones, named after a version (`collab_v2`), with the same tables.

What derives from the log is in both; what operators and followers wrote down (jobs, positions of caches and indices,
the layout of the search) exists once, in the live schemas, and changes place when another version becomes live.
"""

from collections.abc import Iterable
from typing import Any, Final

import psycopg
import structlog

from tailrace.errors import PreconditionError, UsageError
from tailrace.months.keeper import MONTHLY_TABLES, ensure_table_months
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate, status
from tailrace.settings import Settings
from tailrace.sql.catalog import quoted, render, schema_names

log = structlog.get_logger()

DERIVED: Final = frozenset({
    "schema_migrations", "progress", "dead_letters", "parked_events", "message_ids", "thread_edges", "tombstones",
    "file_accesses", "channel_versions", "last_seen", "time_zones", "day_members", "hour_members", "file_versions",
    "name_changes",
})  # fmt: skip
"""Tables of `runtime` that belong to a version, because the log or the migrations fill them. All others exist once."""

READERS_INDEXES: Final = (
    "messages_user", "messages_times", "message_reactions_user", "message_reactions_first_added",
    "message_analytics_hour", "user_activity_date",
)  # fmt: skip
NAME_CHARACTERS_MAX: Final = 41
"""What the settings take as the name of a schema."""


def shadow_settings(settings: Settings, version: int) -> Settings:
    """The same instance with the schemas of a version that is not live: `collab_v2`, `analytics_v2`, `runtime_v2`.

    Topics, keys and indices are those of `settings`. Raises `UsageError` where a name would be too long.
    """
    names = {f"schema_{plain}": f"{name}_v{version}" for plain, name in schema_names(settings.postgres).items()}
    if too_long := [name for name in names.values() if len(name) > NAME_CHARACTERS_MAX]:
        raise UsageError(f"{too_long[0]} is too long a name for a schema", fix="shorten the settings' schema names")
    return settings.model_copy(update={"postgres": settings.postgres.model_copy(update=names)})


def exists(conn: psycopg.Connection[Any], settings: Settings, version: int) -> bool:
    """Whether any schema of the version is there."""
    names = list(schema_names(shadow_settings(settings, version).postgres).values())
    row = conn.execute("SELECT count(*) FROM pg_namespace WHERE nspname = ANY (%s)", [names]).fetchone()
    return bool(row and row[0])


def create(settings: Settings, version: int) -> Settings:
    """Make the empty tables of a version beside the live ones; returns its settings. Again changes nothing.

    They have the schema and every month of the live tables, and lack the indexes that only readers need until
    `indexing.make_indexes`. Raises what `migrate` raises.
    """
    shadow = shadow_settings(settings, version)
    with connection(settings) as conn:
        is_new = not exists(conn, settings, version)
        migrate(conn, shadow, to=status(conn, settings).current)
        # Where it was made before, indexes may have been made as well and the tables be full.
        with conn.transaction():
            _drop_operators_tables(conn, shadow)
            if is_new:
                _drop_readers_indexes(conn, shadow)
        align_months(conn, settings, shadow)
    return shadow


def operators_tables(conn: psycopg.Connection[Any], settings: Settings) -> list[str]:
    """Names of the tables of `runtime` that belong to no version."""
    rows = conn.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname",
        [settings.postgres.schema_runtime],
    )
    return [name for (name,) in rows if name not in DERIVED]


def operators_sequences(conn: psycopg.Connection[Any], settings: Settings) -> list[str]:
    """Sequences of `runtime` that belong to no column, and so move with no table."""
    rows = conn.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind = 'S' AND NOT EXISTS ("
        "  SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass"
        "    AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0)",
        [settings.postgres.schema_runtime],
    )
    return [name for (name,) in rows]


def _drop_operators_tables(conn: psycopg.Connection[Any], shadow: Settings) -> None:
    runtime = quoted(shadow.postgres.schema_runtime)
    if names := operators_tables(conn, shadow):
        conn.execute(f"DROP TABLE {', '.join(f'{runtime}.{quoted(name)}' for name in names)}".encode())
    for name in operators_sequences(conn, shadow):
        conn.execute(f"DROP SEQUENCE {runtime}.{quoted(name)}".encode())


def _drop_readers_indexes(conn: psycopg.Connection[Any], shadow: Settings) -> None:
    """Drop what the worker does not look into while it fills: at the end it is built for a fraction of the cost.

    Text indexes, those of readers, and those by user: only an erasure asks for these, and erasures are applied before
    messages.
    """
    rows = conn.execute(
        "SELECT i.schemaname, i.indexname FROM pg_indexes i JOIN pg_class c ON c.relname = i.indexname"
        " JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = i.schemaname"
        " WHERE i.schemaname = ANY (%s) AND NOT c.relispartition"
        "   AND (i.indexdef LIKE '%% USING gin %%' OR i.indexname = ANY (%s))",
        [list(schema_names(shadow.postgres).values()), list(READERS_INDEXES)],
    ).fetchall()
    for schema, name in rows:
        conn.execute(f"DROP INDEX {quoted(schema)}.{quoted(name)}".encode())


def align_months(conn: psycopg.Connection[Any], settings: Settings, shadow: Settings) -> list[str]:
    """Make the months in the shadow that the live tables have; returns the partitions made."""
    made: list[str] = []
    live, beside = schema_names(settings.postgres), schema_names(shadow.postgres)
    for table in MONTHLY_TABLES:
        query = render("SELECT m FROM runtime.known_months(%s::regclass) AS m", live)
        months = [month for (month,) in conn.execute(query.encode(), [render(table, live)])]
        made += ensure_table_months(conn, beside, table, months)
    return made


def drop(settings: Settings, version: int) -> bool:
    """Drop the schemas of a version that is not live, with all that is in them; whether there was anything.

    Raises `PreconditionError` where somebody's views outside of it are made of its tables.
    """
    names = list(schema_names(shadow_settings(settings, version).postgres).values())
    with connection(settings) as conn:
        if not exists(conn, settings, version):
            return False
        if others := dependents(conn, names):
            raise PreconditionError(
                f"views outside of it read version {version}: {', '.join(others)}", fix="drop these views first"
            )
        for schema, table in tables_in(conn, names, partitions=True):
            # One by one: in a single transaction the locks of all partitions and their indexes might not fit.
            conn.execute(f"DROP TABLE IF EXISTS {quoted(schema)}.{quoted(table)}".encode())
        conn.execute(f"DROP SCHEMA IF EXISTS {', '.join(map(quoted, names))} CASCADE".encode())
    log.info("shadow_dropped", version=version)
    return True


def dependents(conn: psycopg.Connection[Any], schemas: Iterable[str]) -> list[str]:
    """Views in other schemas that are made of tables or views in these."""
    return [name for (name,) in conn.execute(_DEPENDENTS, {"schemas": list(schemas)})]


def tables_in(
    conn: psycopg.Connection[Any], schemas: Iterable[str], *, partitions: bool = False
) -> list[tuple[str, str]]:
    """(schema, table) of all tables there, or of all partitions."""
    return conn.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p') AND c.relispartition = %s ORDER BY 1, 2",
        [list(schemas), partitions],
    ).fetchall()


_DEPENDENTS: Final = """
SELECT DISTINCT format('%%I.%%I', vn.nspname, v.relname)
FROM pg_depend d
JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_class v ON v.oid = r.ev_class JOIN pg_namespace vn ON vn.oid = v.relnamespace
JOIN pg_class t ON t.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass
JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE tn.nspname = ANY (%(schemas)s) AND vn.nspname <> ALL (%(schemas)s)
ORDER BY 1
"""
