"""Load and store the rows of entities; the SQL is computed from the entity's declaration, two statements a table."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import orjson

from tailrace.consumers.postgres.session import Session, to_json
from tailrace.projections.entity import Entity, Key
from tailrace.projections.registers import Row

JSON_COLUMNS = frozenset(
    {
        "registers", "notification_settings", "theme_preferences", "settings", "permissions", "config",
        "retention_policy", "thumbnails",
    }
)  # fmt: skip


@cache
def _load_sql(entity: Entity) -> str:
    keys = ", ".join(entity.key)
    arrays = ", ".join(f"${n}::uuid[]" for n in range(1, len(entity.key) + 1))
    columns = ", ".join(f"t.{column}" for column in (*entity.key, *entity.columns))
    on = " AND ".join(f"t.{column} = k.{column}" for column in entity.key)
    return f"SELECT {columns} FROM unnest({arrays}) AS k ({keys}) JOIN {entity.table} t ON {on}"  # noqa: S608 - names are ours


@cache
def _store_sql(entity: Entity) -> str:
    columns = (*entity.key, *entity.columns)
    listed = ", ".join(columns)
    chosen = ", ".join(f"n.{column}" for column in columns)
    keys = ", ".join(entity.key)
    sets = ", ".join(f"{column} = excluded.{column}" for column in entity.columns)
    sets += ", doc_version = t.doc_version + 1"
    # Sorted by key, so that two transactions that touch the same rows wait in one order instead of deadlocking.
    order = ", ".join(f"n.{column}" for column in entity.key)
    return (
        f"INSERT INTO {entity.table} AS t ({listed}) SELECT {chosen} "  # noqa: S608 - names are ours
        f"FROM json_populate_recordset(NULL::{entity.table}, $1::json) AS n ORDER BY {order} "
        f"ON CONFLICT ({keys}) DO UPDATE SET {sets}"
    )


async def load(session: Session, entity: Entity, keys: Iterable[Key]) -> dict[Key, Row]:
    """Rows by key as the folds know them: ids as text, JSON as Python values. Absent rows bring their tombstone."""
    wanted = list(keys)
    if not wanted:
        return {}
    text = session.statements.render(_load_sql(entity))
    rows: dict[Key, Row] = {}
    for record in await session.fetch_text(text, *zip(*wanted, strict=True)):
        row = {column: _value(column, value) for column, value in record.items()}
        rows[tuple(str(record[column]) for column in entity.key)] = row
    if entity.absent is not None:
        await _load_tombstones(session, entity, [key for key in wanted if key not in rows], rows)
    return rows


def _value(column: str, value: Any) -> Any:
    return orjson.loads(value) if value is not None and column in JSON_COLUMNS else value


async def _load_tombstones(session: Session, entity: Entity, keys: list[Key], rows: dict[Key, Row]) -> None:
    by_text = {"/".join(key): key for key in keys}
    text = session.statements.render(
        "SELECT key, registers FROM runtime.tombstones WHERE kind = $1 AND key = ANY ($2::text[])"
    )
    for record in await session.fetch_text(text, entity.table, list(by_text)):
        key = by_text[record["key"]]
        rows[key] = entity.new_row(key) | {"registers": orjson.loads(record["registers"])}


async def store(session: Session, entity: Entity, rows: dict[Key, Row]) -> None:
    """Write whole rows. Rows that are absent by the entity's own rule leave the table and keep their registers."""
    if not rows:
        return
    present = rows
    if entity.absent is not None:
        absent = {key: row for key, row in rows.items() if entity.absent(row)}
        present = {key: row for key, row in rows.items() if key not in absent}
        await _store_tombstones(session, entity, absent, present)
    if present:
        await session.fetch_text(session.statements.render(_store_sql(entity)), to_json(list(present.values())))


async def _store_tombstones(session: Session, entity: Entity, absent: dict[Key, Row], present: dict[Key, Row]) -> None:
    render = session.statements.render
    if present:
        await session.fetch_text(
            render("DELETE FROM runtime.tombstones WHERE kind = $1 AND key = ANY ($2::text[])"),
            entity.table,
            ["/".join(key) for key in present],
        )
    if absent:
        on = " AND ".join(f"t.{column} = k.{column}" for column in entity.key)
        arrays = ", ".join(f"${n}::uuid[]" for n in range(1, len(entity.key) + 1))
        delete = f"DELETE FROM {entity.table} t USING unnest({arrays}) AS k ({', '.join(entity.key)}) WHERE {on}"  # noqa: S608 - names are ours
        await session.fetch_text(render(delete), *zip(*absent, strict=True))
        await session.fetch_text(
            render(
                "INSERT INTO runtime.tombstones (kind, key, registers) "
                "SELECT $1, * FROM unnest($2::text[], $3::jsonb[]) "
                "ON CONFLICT (kind, key) DO UPDATE SET registers = excluded.registers"
            ),
            entity.table,
            ["/".join(key) for key in absent],
            [to_json(row["registers"]) for row in absent.values()],
        )
