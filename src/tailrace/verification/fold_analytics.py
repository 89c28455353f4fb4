"""Rollups (rule A): buckets of event time in UTC, counted from facts."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from tailrace.schemas.event import Event
from tailrace.verification.fold_log import Log, Row, Subject, Table
from tailrace.verification.fold_messages import Postings
from tailrace.verification.fold_reactions import Reactions

COUNTED_TYPES = frozenset({"text", "file", "bot"})
SESSION_MAX = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Facts:
    """What rollups count, each thing once.

    `messages` are the postings that made a message of a counted type; `adds` every accepted `reaction.added`, stale
    ones too, and `first_adds` the earliest by `time` of each (message, user, emoji); `uploads` every `file.uploaded`,
    and `first_uploads` the earliest by `time` of each file, of several at one instant that of the lesser uploader id.
    """

    messages: list[Event]
    adds: list[Event]
    first_adds: list[Event]
    uploads: list[Event]
    first_uploads: list[Event]
    reads: list[Event]
    activities: list[Event]


def facts(log: Log, postings: Postings, reactions: Reactions, files: dict[str, Subject]) -> Facts:
    """Collect the facts; aliases, repeated postings and parked events are not among them (58, 59)."""
    adds = [added for events in reactions.values() if (added := events.all("reaction.added"))]
    uploads = [events.all("file.uploaded") for events in files.values()]
    return Facts(
        messages=[e for e in postings.posted.values() if e.data["message_type"] in COUNTED_TYPES],
        adds=[event for events in adds for event in events],
        first_adds=[min(events, key=_by_time) for events in adds],
        uploads=[event for events in uploads for event in events],
        first_uploads=[min(events, key=_by_time_and_uploader) for events in uploads],
        reads=log.of("channel.read"),
        activities=log.of("activity.recorded"),
    )


def _by_time(event: Event) -> datetime:
    return event.time


def _by_time_and_uploader(event: Event) -> tuple[datetime, str]:
    return event.time, event.data["uploader_id"]


def _day(event: Event) -> date:
    return event.time.date()  # of an event, every time is in UTC


def events_table(log: Log) -> Table:
    """Fold `analytics.events`: one row per recorded activity."""
    return {
        (event.id, event.time): {
            "workspace_id": event.data["workspace_id"],
            "user_id": event.data.get("user_id"),
            "event_type": event.data["event_type"],
            "metadata": event.data["metadata"],
        }
        for event in log.of("activity.recorded")
    }


def message_analytics(counted: Facts) -> Table:
    """Fold `analytics.message_analytics`: postings by channel and hour of `time` (56), lengths as posted (65b)."""
    buckets: dict[tuple[str, str, datetime], list[Event]] = {}
    for event in counted.messages:
        hour = event.time.replace(minute=0, second=0, microsecond=0)
        buckets.setdefault((event.data["workspace_id"], event.data["channel_id"], hour), []).append(event)
    table: Table = {}
    for key, events in buckets.items():
        length = sum(len(event.data["content"]) for event in events)
        table[key] = {
            "message_count": len(events),
            "unique_users": len({event.data["user_id"] for event in events}),
            "total_message_length": length,
            "avg_message_length": length / len(events),
        }
        appended = [event.appended_at for event in events if event.appended_at is not None]
        if appended:
            table[key]["revised_at"] = max(appended)
    return table


def daily_active_users(counted: Facts) -> Table:
    """Fold `analytics.daily_active_users`: counts, and the distinct users who did any of the things that count."""
    table = _counted(
        {
            "message_count": counted.messages,
            "reaction_count": counted.first_adds,
            "file_upload_count": counted.first_uploads,
        },
        lambda event: (event.data["workspace_id"], _day(event)),
    )
    # Every add and every upload makes its user active on its own day, though the thing is counted on one day only (57).
    active = _active(counted.messages, counted.adds, counted.uploads, counted.reads, counted.activities)
    for key, users in active.items():
        row = table.setdefault(key, {"message_count": 0, "reaction_count": 0, "file_upload_count": 0})
        row["user_count"] = len(users)
    return table


def _active(*kinds: list[Event]) -> dict[tuple[str, date], set[str]]:
    """(workspace, UTC day) → who did any of these."""
    users: dict[tuple[str, date], set[str]] = {}
    for event in (event for events in kinds for event in events):
        user_id = event.data.get("user_id") or event.data.get("uploader_id")
        if user_id:
            users.setdefault((event.data["workspace_id"], _day(event)), set()).add(user_id)
    return users


def user_activity(counted: Facts, sessions: Table) -> Table:
    """Fold `analytics.user_activity`; `sessions` is the folded `collab.sessions`."""
    table = _counted(
        {
            "messages_sent": counted.messages,
            "reactions_given": counted.first_adds,
            "files_uploaded": counted.first_uploads,
        },
        lambda event: (
            event.data["workspace_id"],
            event.data.get("user_id") or event.data["uploader_id"],
            _day(event),
        ),
    )
    for row in table.values():
        row["time_spent_minutes"] = 0
    for key, spent in _time_spent(sessions).items():
        minutes = spent // timedelta(minutes=1)
        if minutes or key in table:
            row = table.setdefault(key, {"messages_sent": 0, "reactions_given": 0, "files_uploaded": 0})
            row["time_spent_minutes"] = minutes
    return table


def _time_spent(sessions: Table) -> dict[tuple[str, str, date], timedelta]:
    """Sum of the lengths of sessions of which both ends are known, split over UTC days (61)."""
    spent: dict[tuple[str, str, date], timedelta] = {}
    for session in sessions.values():
        start, end = session["started_at"], session["ended_at"]
        if start is None or end is None:
            continue
        for day, length in _days_of(start, min(end, start + SESSION_MAX)):
            key = session["workspace_id"], session["user_id"], day
            spent[key] = spent.get(key, timedelta()) + length
    return spent


def _days_of(start: datetime, end: datetime) -> Iterator[tuple[date, timedelta]]:
    while start < end:
        day = start.astimezone(UTC).date()
        midnight = datetime.combine(day + timedelta(days=1), time(), UTC)
        yield day, min(end, midnight) - start
        start = midnight


def _counted(columns: dict[str, list[Event]], key_of: Any) -> Table:
    """One row per key, one column per list of events, holding how many of them have that key."""
    table: dict[Any, Row] = {}
    for column, events in columns.items():
        for event in events:
            row = table.setdefault(key_of(event), dict.fromkeys(columns, 0))
            row[column] += 1
    return table
