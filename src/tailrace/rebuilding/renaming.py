"""Gives the live names to another version's schemas, inside the transaction of a switch."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import psycopg

from tailrace.rebuilding.shadow import operators_sequences, operators_tables, shadow_settings
from tailrace.settings import Settings
from tailrace.sql.catalog import quoted, render, schema_names
from tailrace.sql.rendering import SCHEMAS


def tables_of(conn: psycopg.Connection[Any], schemas: Iterable[str]) -> list[tuple[str, str]]:
    """(schema, name) of every table that is no partition, in the order in which they are locked."""
    return conn.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " ORDER BY c.relname = 'search_state' DESC, c.relname = 'progress' DESC, n.nspname, c.relname",
        [list(schemas)],
    ).fetchall()


def rename_schemas(conn: psycopg.Connection[Any], settings: Settings, before: int, after: int) -> None:
    """Version `after` gets the live names, version `before` its own number's; what belongs to no version stays live.

    Tables, views, indexes and triggers are known by their ids and notice nothing; functions hold names as text and are
    made anew. Sessions parse and plan anew whatever they had prepared.
    """
    live = schema_names(settings.postgres)
    kept = schema_names(shadow_settings(settings, before).postgres)
    beside = schema_names(shadow_settings(settings, after).postgres)
    staying = operators_tables(conn, settings)
    sequences = operators_sequences(conn, settings)
    for plain in SCHEMAS:
        conn.execute(f"ALTER SCHEMA {quoted(live[plain])} RENAME TO {quoted(kept[plain])}".encode())
        conn.execute(f"ALTER SCHEMA {quoted(beside[plain])} RENAME TO {quoted(live[plain])}".encode())
    for kind, names in (("TABLE", staying), ("SEQUENCE", sequences)):
        for name in names:
            place = f"{quoted(kept['runtime'])}.{quoted(name)}"
            conn.execute(f"ALTER {kind} {place} SET SCHEMA {quoted(live['runtime'])}".encode())
    _remake_functions(conn, kept.values(), {live[plain]: kept[plain] for plain in SCHEMAS})
    _remake_functions(conn, live.values(), {beside[plain]: live[plain] for plain in SCHEMAS})


def _remake_functions(conn: psycopg.Connection[Any], schemas: Iterable[str], names: Mapping[str, str]) -> None:
    rows = conn.execute(_FUNCTIONS, [list(schemas)]).fetchall()
    for (definition,) in rows:
        wanted = renamed(definition, names)
        if wanted != definition:
            psycopg.RawCursor(conn).execute(wanted.encode())


def renamed(definition: str, names: Mapping[str, str]) -> str:
    """A function's definition with other names for schemas, in its body too; header and grants stay.

    The names that SQL files are written with stand there bare, all others in quotes, as `render` puts them.
    """
    plain = {old: new for old, new in names.items() if old in SCHEMAS}
    text = render(definition, plain) if plain else definition
    for old, new in names.items():
        text = text.replace(quoted(old), quoted(new))
    return text


_FUNCTIONS: Final = """
SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = ANY (%s) AND p.prokind IN ('f', 'p') ORDER BY p.proname, p.oid
"""
