"""The ways out of a halt: go on in the log as it is now, or start a partition again. Each is recorded with its reason.

Everything is idempotent, so a partition that starts again from its beginning ends in the same state; what is lost is
what the log has lost.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import psycopg
import structlog

from tailrace.errors import NotFoundError, PreconditionError, UsageError
from tailrace.operations.audit import actor
from tailrace.operations.database import connection
from tailrace.operations.positions import NO_TOPIC, PartitionPosition, ProjectionPosition, positions
from tailrace.projections.registry import PROJECTIONS
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names

log = structlog.get_logger(__name__)

BEGINNING: Final = "beginning"
END: Final = "end"


@dataclass(frozen=True, slots=True)
class Place:
    """A projection, one of its topics (with or without prefix) and a partition of it; None: every halted one."""

    projection: str
    topic: str | None = None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to one partition; offsets are next offsets."""

    topic: str
    partition: int
    before: int | None
    after: int
    halted_code: str | None


def way_out(projection: str, partition: PartitionPosition) -> str:
    """The commands that end a halt, as they are typed."""
    where = f"{projection} --topic {partition.topic} --partition {partition.partition}"
    again = f'tailrace progress reset {where} --to beginning --reason "…"'
    go_on = f'tailrace progress lift {where} --reason "…"'
    match partition.halted_code:
        case "H_OTHER_LOG":
            return f"{again}; or, if the log is the right one, {go_on}"
        case "H_TRUNCATED":
            return again
        case "H_RETENTION":
            return f"restore the records from the archive of the log, or do without them: {again}"
        case "H_DAMAGED":
            return f"let an undamaged replica lead, then {go_on}"
        case code if code == NO_TOPIC:
            return "tailrace topics apply"
    return go_on


async def lift(settings: Settings, place: Place, reason: str) -> list[Change]:
    """Let halted partitions go on at their position, in the log as it is; the worker finds out within seconds.

    Raises `PreconditionError` where the position lies outside of the log: then only `reset` helps.
    """
    found = await _chosen(settings, place, halted=True)
    outside = [p for p in found if p.next_offset is None or not p.beginning <= p.next_offset <= p.end]
    if absent := [p for p in found if p.halted_code == NO_TOPIC]:
        raise PreconditionError(f"no such topic: {absent[0].topic}/{absent[0].partition}", fix="tailrace topics apply")
    if outside:
        one = outside[0]
        at = f"{one.topic}/{one.partition}: position {one.next_offset}"
        raise PreconditionError(
            f"{at} lies outside of the log, {one.beginning} to {one.end}", fix=way_out(place.projection, one)
        )
    return await _change(settings, place, [(p, p.next_offset or 0) for p in found], "lift", reason)


async def reset(settings: Settings, place: Place, to: str, reason: str) -> list[Change]:
    """Move partitions to the `beginning` or `end` of their log, or to an offset of it, and lift their halts.

    A running worker is fenced and goes on from there. Raises `UsageError` and `PreconditionError` for an offset that
    is none, or lies outside of the log.
    """
    found = await _chosen(settings, place, halted=place.topic is None)
    return await _change(settings, place, [(p, _target(p, to)) for p in found], "reset", reason)


def _target(partition: PartitionPosition, to: str) -> int:
    if partition.halted_code == NO_TOPIC:
        raise PreconditionError(f"no such topic: {partition.topic}", fix="tailrace topics apply")
    if to in (BEGINNING, END):
        return partition.beginning if to == BEGINNING else partition.end
    if not to.isdecimal():
        raise UsageError(f"--to takes {BEGINNING}, {END} or an offset, not {to!r}")
    if not partition.beginning <= int(to) <= partition.end:
        raise PreconditionError(
            f"{partition.topic}/{partition.partition} has the offsets {partition.beginning} to {partition.end}"
        )
    return int(to)


async def preview(settings: Settings, place: Place, *, halted: bool) -> list[PartitionPosition]:
    """The partitions that would be changed; changes nothing."""
    return await _chosen(settings, place, halted=halted)


async def _chosen(settings: Settings, place: Place, *, halted: bool) -> list[PartitionPosition]:
    if place.projection not in PROJECTIONS:
        raise UsageError(f"unknown projection: {place.projection}", fix=f"one of {', '.join(PROJECTIONS)}")
    (projection,) = await positions(settings, [place.projection])
    found = [p for p in projection.partitions if _is_meant(settings, place, p)]
    if place.topic is not None and not found:
        raise NotFoundError(f"{place.projection} has no such partition", fix="tailrace lag --partitions")
    return [p for p in found if p.halted_code is not None] if halted else found


def _is_meant(settings: Settings, place: Place, partition: PartitionPosition) -> bool:
    if place.topic is not None and partition.topic not in (place.topic, settings.topic(place.topic)):
        return False
    return place.partition is None or partition.partition == place.partition


async def _change(
    settings: Settings, place: Place, targets: Sequence[tuple[PartitionPosition, int]], action: str, reason: str
) -> list[Change]:
    by = actor()
    changes = [Change(p.topic, p.partition, p.next_offset, offset, p.halted_code) for p, offset in targets]
    await asyncio.to_thread(_write, settings, place.projection, action, [by, reason], changes)
    for one in changes:
        log.info("progress_changed", action=action, projection=place.projection, **asdict(one), by=by, reason=reason)
    return changes


def _write(settings: Settings, projection: str, action: str, who_why: list[str], changes: Sequence[Change]) -> None:
    names = schema_names(settings.postgres)
    text = render(queries("positions")["change_progress"], names)
    with connection(settings) as conn, conn.transaction():
        for one in changes:
            row = (projection, PROJECTIONS[projection].version, one.topic, one.partition, one.after, action, *who_why)
            psycopg.RawCursor(conn).execute(text.encode(), row)


def halted(found: Sequence[ProjectionPosition]) -> list[tuple[str, PartitionPosition]]:
    """Every halted partition with its projection."""
    return [(projection.name, partition) for projection in found for partition in projection.halted]


def changes(settings: Settings, limit: int) -> list[dict[str, Any]]:
    """What was done to positions, newest first."""
    text = render(queries("positions")["progress_changes"], schema_names(settings.postgres))
    with connection(settings) as conn:
        return psycopg.RawCursor(conn, row_factory=psycopg.rows.dict_row).execute(text.encode(), (limit,)).fetchall()
