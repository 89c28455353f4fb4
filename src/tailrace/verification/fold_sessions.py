"""Sessions, and when a member was last seen."""

from collections.abc import Iterator

from tailrace.schemas.event import Event
from tailrace.verification.fold_directory import LastSeen
from tailrace.verification.fold_log import Key, Log, OneOf, Row, Subject, Table, by_fields, columns_of, time_of


def sessions(log: Log) -> Table:
    """Fold `collab.sessions`: start and end are two registers, each the highest-sequence event of its kind (61)."""
    table: dict[Key, Row] = {}
    for key, session in _by_session(log).items():
        start, end = session.last("session.started"), session.last("session.ended")
        row = {
            **columns_of(start, ("user_id", "workspace_id")),
            "started_at": time_of(start),
            "ended_at": time_of(end),
        }
        if start is None and end is not None:
            row["user_id"] = OneOf((None, end.data["user_id"]))
        table[key] = row
    return table


def last_seen(log: Log) -> LastSeen:
    """Greatest `time` of the session and activity events of each (workspace, user) (15).

    `session.ended` names no workspace: it is that of the session's start, and unknown while there is none.
    """
    seen: LastSeen = {}
    for workspace_id, event in _signs_of_life(log):
        key = workspace_id, event.data["user_id"]
        seen[key] = max(seen.get(key, event.time), event.time)
    return seen


def _signs_of_life(log: Log) -> Iterator[tuple[str, Event]]:
    for event in log.of("activity.recorded"):
        if event.data.get("user_id"):
            yield event.data["workspace_id"], event
    for session in _by_session(log).values():
        start = session.last("session.started")
        for event in session.all("session.started", "session.ended"):
            if start is not None:
                yield event.data.get("workspace_id") or start.data["workspace_id"], event


def _by_session(log: Log) -> dict[tuple[str, ...], Subject]:
    return log.subjects("session.started", "session.ended", by=by_fields("session_id"))
