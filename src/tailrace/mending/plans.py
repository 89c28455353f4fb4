"""Plans of replays: what one would touch and take, kept for half an hour, and void when the world has moved."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tailrace.errors import NotFoundError, PreconditionError
from tailrace.mending.filling import lost_topics
from tailrace.mending.followers import running
from tailrace.mending.scope import Scope, read_part
from tailrace.mending.tables import Pair, condition, tables
from tailrace.operations.database import connection
from tailrace.rebuilding.standing import offsets, places
from tailrace.settings import Settings
from tailrace.sql.catalog import schema_names

VALID: Final = timedelta(minutes=30)
RECORDS_PER_S: Final = 5_000.0
"""What a fill does on a small machine, for the estimate of its time."""
_LETTERS: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Nothing that can be taken for something else when it is read aloud."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One row of `runtime.replay_plans`. Times are aware UTC."""

    plan_id: str
    scope: dict[str, Any]
    world: dict[str, Any]
    estimate: dict[str, Any]
    created_by: str
    created_at: datetime
    expires_at: datetime
    job_id: str | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "plan_id": self.plan_id, "scope": self.scope, "estimate": self.estimate, "created_by": self.created_by,
            "created_at": self.created_at, "expires_at": self.expires_at, "job_id": self.job_id,
        }  # fmt: skip


def make_plan(settings: Settings, scope: Scope, actor: str, now: datetime) -> Plan:
    """Estimate a replay and keep the plan; nothing is changed. Raises `PreconditionError` and `UnreachableError`."""
    part = read_part(settings, scope)
    lost = lost_topics(settings)
    with connection(settings) as conn:
        total = sum(offsets(places(settings, conn)).values())
        estimate = {
            "records": part.records,
            "bytes": part.bytes,
            "by_partition": dict(sorted(part.by_partition.items())),
            "rows": _rows_in_scope(conn, settings, scope, part.touched if scope.has_range else None, lost),
            "records_to_fold": total,
            "seconds": round(total / RECORDS_PER_S, 1),
            "disk_bytes": _disk(conn, settings),
            "stores": list(running(settings, scope.stores)),
            "left_alone": sorted(lost),
        }
        plan_id = f"{''.join(secrets.choice(_LETTERS) for _ in range(4))}-{secrets.randbelow(90) + 10}"
        row = conn.cursor(row_factory=dict_row).execute(
            sql.SQL(
                "INSERT INTO {} (plan_id, scope, world, estimate, created_by, created_at, expires_at)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING *"
            ).format(_plans(settings)),
            [plan_id, Jsonb(scope.document()), Jsonb(world(conn, settings)), Jsonb(estimate), actor, now, now + VALID],
        )  # fmt: skip
        return Plan(**(row.fetchone() or {}))


def _plans(settings: Settings) -> sql.Identifier:
    return sql.Identifier(settings.postgres.schema_runtime, "replay_plans")


def _rows_in_scope(
    conn: psycopg.Connection[Any],
    settings: Settings,
    scope: Scope,
    touched: Mapping[str, list[str]] | None,
    lost: frozenset[str],
) -> dict[str, int]:
    """Rows of the live tables that the replay compares, by table."""
    pair = Pair(schema_names(settings.postgres), schema_names(settings.postgres))
    found = {}
    for table in tables(conn, pair, scope, lost=lost):
        query = sql.SQL("SELECT count(*) FROM {} r WHERE {}").format(
            pair.name(pair.live, table.relation), condition(conn, pair, table, scope, touched)
        )
        row = conn.execute(query).fetchone()
        if row and row[0]:
            found[table.relation] = int(row[0])
    return found


def _disk(conn: psycopg.Connection[Any], settings: Settings) -> int:
    """Bytes that a second set of tables takes: as much as the live one."""
    row = conn.execute(
        "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = ANY (%s) AND c.relkind = 'r'",
        [list(schema_names(settings.postgres).values())],
    ).fetchone()
    return int(row[0] or 0) if row else 0


def world(conn: psycopg.Connection[Any], settings: Settings) -> dict[str, Any]:
    """What a plan relies on."""
    runtime = settings.postgres.schema_runtime
    migrations = conn.execute(
        sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(runtime, "schema_migrations"))
    ).fetchone()
    live = conn.execute(
        sql.SQL("SELECT version FROM {} WHERE state = 'live'").format(sql.Identifier(runtime, "versions"))
    ).fetchone()
    found = places(settings, conn)
    return {
        "migrations": migrations and migrations[0],
        "version": live and live[0],
        "positions": {f"{tp.topic}/{tp.partition}": place.next_offset for tp, place in sorted(found.items())},
        "halted": sorted(f"{tp.topic}/{tp.partition}" for tp, place in found.items() if place.halted_code),
    }


def get_plan(settings: Settings, plan_id: str) -> Plan:
    """A plan by its id. Raises `NotFoundError`."""
    with connection(settings) as conn:
        row = (
            conn.cursor(row_factory=dict_row)
            .execute(sql.SQL("SELECT * FROM {} WHERE plan_id = %s").format(_plans(settings)), [plan_id.upper()])
            .fetchone()
        )
    if row is None:
        raise NotFoundError(f"no plan {plan_id}", fix="tailrace replay plan …")
    return Plan(**row)


def must_hold(settings: Settings, plan: Plan, now: datetime) -> None:
    """Raise `PreconditionError` where the plan is too old, or the world is not the one that it was made for.

    Live traffic moves positions on and is no reason; positions that went back, other partitions, another version, a
    migration or a halt are.
    """
    again = "tailrace replay plan …"
    if now >= plan.expires_at:
        raise PreconditionError(f"plan {plan.plan_id} expired at {plan.expires_at:%H:%M:%S} UTC", fix=again)
    with connection(settings) as conn:
        is_now = world(conn, settings)
    for name in ("migrations", "version", "halted"):
        if is_now[name] != plan.world[name]:
            raise PreconditionError(f"the world has moved since plan {plan.plan_id}: {name}", fix=again)
    was, positions = plan.world["positions"], is_now["positions"]
    if was.keys() != positions.keys() or any(positions[place] < at for place, at in was.items()):
        raise PreconditionError(f"the world has moved since plan {plan.plan_id}: positions", fix=again)


def take(settings: Settings, plan: Plan, job_id: str) -> None:
    """Put down which job applies the plan."""
    with connection(settings) as conn:
        conn.execute(
            sql.SQL("UPDATE {} SET job_id = %s WHERE plan_id = %s").format(_plans(settings)), [job_id, plan.plan_id]
        )
