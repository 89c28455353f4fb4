"""Pause, resume and drain a projection. What is asked is a row; every worker process looks at it once a second.

Workers of other projections go on. A follower (redis, search) whose batch waits for a paused `postgres` cannot finish
it: `in_order` names followers first.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import psycopg
import structlog
from psycopg.rows import dict_row

from tailrace.errors import PreconditionError, UsageError
from tailrace.operations.audit import Entry, actor, audited
from tailrace.operations.database import connection
from tailrace.projections.registry import POSTGRES, PROJECTIONS, Projection
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names

log = structlog.get_logger(__name__)

SILENT_S: Final = 15.0
"""A process that reports once a second and was not heard of for so long is taken for dead; what it holds is fenced."""
POLL_S: Final = 0.25
DRAIN_TIMEOUT_S: Final = 60.0

Identity = tuple[str, int]
"""Name and version of a projection."""


@dataclass(frozen=True, slots=True)
class Control:
    """What is asked of a projection, by whom and why. Times are aware UTC."""

    state: Literal["running", "paused", "drained"]
    reason: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What one process of a projection said last. `is_silent`: not heard of for `SILENT_S`."""

    projection: str
    version: int
    owner: str
    started_at: datetime
    seen_at: datetime
    obeys: str
    in_hand: int
    partitions: int
    applied: int
    rate: float | None
    last_error: str | None
    last_error_at: datetime | None
    is_silent: bool

    @property
    def stands(self) -> bool:
        """It is paused and holds nothing that it could still apply."""
        return self.obeys == "paused" and self.in_hand == 0


@dataclass(frozen=True, slots=True)
class Drained:
    """What came of a drain: the processes that still hold something, and those that were fenced unheard."""

    holding: tuple[WorkerReport, ...]
    fenced: tuple[WorkerReport, ...]

    @property
    def is_complete(self) -> bool:
        """Nobody can apply anything any more."""
        return not self.holding


def in_order(names: Iterable[str]) -> list[Projection]:
    """The projections of these names, followers before what they follow. Raises `UsageError`."""
    unknown = [name for name in names if name not in PROJECTIONS]
    if unknown:
        raise UsageError(f"unknown projection: {', '.join(unknown)}", fix=f"one of {', '.join(PROJECTIONS)}")
    wanted = set(names)
    return sorted((p for name, p in PROJECTIONS.items() if name in wanted), key=lambda p: p == POSTGRES)


def controls(settings: Settings) -> dict[Identity, Control]:
    """What is asked of each projection; one that is not in it runs."""
    with connection(settings) as conn:
        return read_controls(conn, settings)


def read_controls(conn: psycopg.Connection[Any], settings: Settings) -> dict[Identity, Control]:
    """The same, on a connection that there is already."""
    rows = _run(conn, settings, "all_controls")
    return {(row.pop("projection"), row.pop("version")): Control(**row) for row in rows}


def read_reports(conn: psycopg.Connection[Any], settings: Settings) -> list[WorkerReport]:
    """What every process said last, whatever its projection."""
    return [WorkerReport(**row) for row in _run(conn, settings, "all_reports", SILENT_S)]


def pause(settings: Settings, name: str, reason: str) -> Control:
    """Ask the workers of a projection to finish what they have in hand and to apply nothing more; they obey in seconds.

    It outlives them: a worker that starts later stands still, too. Raises `UsageError` without a reason.
    """
    (projection,) = in_order([name])
    with audited(settings, "projection pause", name, _reason(reason)) as entry:
        return _set(settings, projection, "paused", reason, entry)


def resume(settings: Settings, name: str, reason: str) -> Control:
    """Let the workers of a projection go on, from where its positions are now."""
    (projection,) = in_order([name])
    with audited(settings, "projection resume", name, _reason(reason)) as entry:
        return _set(settings, projection, "running", reason, entry)


def drain(
    settings: Settings,
    name: str,
    reason: str,
    *,
    timeout_s: float = DRAIN_TIMEOUT_S,
    watch: Callable[[Sequence[WorkerReport]], None] = lambda _holding: None,
) -> Drained:
    """Pause a projection and wait until none of its workers can apply anything any more.

    A process that was killed, or hangs, is not waited for longer than `SILENT_S`; a younger epoch of every partition
    then keeps it from applying what it may have in hand. `watch` is told who still holds something. When the time is
    up it stays paused, and the result says who holds what. Raises `UsageError` without a reason.
    """
    (projection,) = in_order([name])
    with audited(settings, "projection drain", name, _reason(reason)) as entry, connection(settings) as conn:
        _set(settings, projection, "paused", reason, entry)
        drained = _drained(conn, settings, projection, timeout_s, watch)
        if drained.is_complete:
            with conn.transaction():
                _run(conn, settings, "fence_all", projection.name, projection.version)
                if not _run(conn, settings, "confirm_drained", projection.name, projection.version):
                    raise PreconditionError(
                        f"{name} was resumed meanwhile", fix="tailrace audit ls --command projection"
                    )
        entry.after = {
            "state": "drained" if drained.is_complete else "paused",
            "holding": [one.owner for one in drained.holding],
            "fenced": [one.owner for one in drained.fenced],
        }
    log.info("projection_drained", projection=name, complete=drained.is_complete, fenced=len(drained.fenced))
    return drained


def _drained(
    conn: psycopg.Connection[Any],
    settings: Settings,
    projection: Projection,
    timeout_s: float,
    watch: Callable[[Sequence[WorkerReport]], None],
) -> Drained:
    deadline = time.monotonic() + timeout_s
    while True:
        reports = [r for r in read_reports(conn, settings) if (r.projection, r.version) == _identity(projection)]
        holding = tuple(r for r in reports if not r.is_silent and not r.stands)
        if not holding or time.monotonic() >= deadline:
            return Drained(holding, tuple(r for r in reports if r.is_silent and not r.stands))
        watch(holding)
        time.sleep(POLL_S)


def _set(settings: Settings, projection: Projection, state: str, reason: str, entry: Entry) -> Control:
    with connection(settings) as conn:
        row = (*_identity(projection), state, reason.strip(), actor())
        (before,) = _run(conn, settings, "set_control", *row)
        entry.before = {"state": before["state"] or "running", "reason": before["reason"], "actor": before["actor"]}
        entry.after = {"state": state}
        return read_controls(conn, settings)[_identity(projection)]


def _identity(projection: Projection) -> Identity:
    return projection.name, projection.version


def _reason(reason: str) -> str:
    if not reason.strip():
        raise UsageError("a reason is needed", fix='--reason "what for"')
    return reason.strip()


def _run(conn: psycopg.Connection[Any], settings: Settings, query: str, *parameters: Any) -> list[dict[str, Any]]:
    text = render(queries("controls")[query], schema_names(settings.postgres))
    try:
        cursor = psycopg.RawCursor(conn, row_factory=dict_row).execute(text.encode(), parameters or None)
    except psycopg.errors.UndefinedTable as error:
        raise PreconditionError("the database has no tables for this yet", fix="tailrace db migrate") from error
    return cursor.fetchall() if cursor.description else []
