"""Sessions: facts kept beyond the signals topic's day (ruling 62), and who was last seen when (ruling 15)."""

from datetime import datetime

from tailrace.projections.entity import Entity
from tailrace.projections.registers import Row, held_at, moment, stamp, take
from tailrace.schemas.event import Event


def _fold_session(row: Row, event: Event) -> bool:
    registers = row["registers"]
    kind = event.type.rpartition(".")[2]
    now_seen = stamp(event.time)
    seen = "seen" not in registers or now_seen > str(registers["seen"][0])
    if seen:  # stale events count too: somebody was there at that time
        registers["seen"] = [now_seen]
    if not take(registers, kind, event):
        return seen
    row["user_id"] = event.data["user_id"]
    if kind == "started":
        row["workspace_id"] = event.data["workspace_id"]
    row["started_at"] = held_at(registers, "started")
    row["ended_at"] = held_at(registers, "ended")
    return True


def seen_at(row: Row) -> datetime:
    """Newest time at which an event of the session happened."""
    return moment(row["registers"]["seen"][0])


SESSIONS = Entity(
    table="collab.sessions",
    key=("session_id",),
    columns=("user_id", "workspace_id", "started_at", "ended_at", "registers"),
    types=frozenset({"collab.session.started", "collab.session.ended"}),
    fold=_fold_session,
)
