"""Rollups (rule A): buckets of event time in UTC, counted from facts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from tailrace.schemas.event import Event
from tailrace.verification.fold_log import Key, Log, Row, Subject, Table
from tailrace.verification.fold_reactions import Reactions

COUNTED_TYPES = frozenset({"text", "file", "bot"})
SESSION_MAX = timedelta(hours=24)


class _Bucket:
    """Postings of one channel in one hour."""

    __slots__ = ("appended_at", "count", "length", "users")

    def __init__(self) -> None:
        self.count = self.length = 0
        self.users: set[str] = set()
        self.appended_at: datetime | None = None


Doing = tuple[str, date, str]
"""(workspace, UTC day, user) of something that was done."""


class Sent:
    """Postings that made a message of a counted type: by channel and hour of `time` (56), and who sent how many.

    Hours are counted from the first day of the calendar.
    """

    def __init__(self, postings: Iterable[Event]) -> None:
        buckets: defaultdict[tuple[str, str, int], _Bucket] = defaultdict(_Bucket)
        doings: defaultdict[tuple[str, int, str], int] = defaultdict(int)
        for event in postings:
            data, time, appended_at = event.data, event.time, event.appended_at
            if data["message_type"] not in COUNTED_TYPES:
                continue
            workspace_id, user_id = data["workspace_id"], data["user_id"]
            # Of an event, every time is in UTC. Numbers: a key with a date in it costs three times as much.
            day = time.toordinal()
            doings[workspace_id, day, user_id] += 1
            bucket = buckets[workspace_id, data["channel_id"], day * 24 + time.hour]
            bucket.count += 1
            bucket.length += len(data["content"])
            bucket.users.add(user_id)
            if bucket.appended_at is not appended_at and appended_at is not None:
                bucket.appended_at = max(bucket.appended_at or appended_at, appended_at)
        self.buckets = buckets
        self.doings: dict[Doing, int] = {(w, date.fromordinal(day), u): n for (w, day, u), n in doings.items()}


@dataclass(frozen=True, slots=True)
class Facts:
    """What rollups count, each thing once.

    `sent` are the postings that made a message; `adds` every accepted `reaction.added`, stale ones too, and
    `first_adds` the earliest by `time` of each (message, user, emoji); `uploads` every `file.uploaded`, and
    `first_uploads` the earliest by `time` of each file, of several at one instant that of the lesser uploader id.
    """

    sent: Sent
    adds: list[Event]
    first_adds: list[Event]
    uploads: list[Event]
    first_uploads: list[Event]
    reads: list[Event]
    activities: list[Event]


def facts(log: Log, sent: Sent, reactions: Reactions, files: dict[str, Subject]) -> Facts:
    """Collect the facts; aliases, repeated postings and parked events are not among them (58, 59)."""
    adds = [added for events in reactions.values() if (added := events.all("reaction.added"))]
    uploads = [events.all("file.uploaded") for events in files.values()]
    return Facts(
        sent=sent,
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


def message_analytics(sent: Sent) -> Table:
    """Fold `analytics.message_analytics`: lengths as posted (65b)."""
    table: dict[Key, Row] = {}
    for (workspace_id, channel_id, hour), bucket in sent.buckets.items():
        row: Row = {
            "message_count": bucket.count,
            "unique_users": len(bucket.users),
            "total_message_length": bucket.length,
            "avg_message_length": bucket.length / bucket.count,
        }
        if bucket.appended_at is not None:
            row["revised_at"] = bucket.appended_at
        begin = datetime.combine(date.fromordinal(hour // 24), time(hour % 24), UTC)
        table[workspace_id, channel_id, begin] = row
    return table


def _done(events: Iterable[Event], user: str = "user_id") -> list[Doing]:
    return [(event.data["workspace_id"], event.time.date(), event.data[user]) for event in events]


class Doings:
    """Who did what on which day."""

    def __init__(self, counted: Facts) -> None:
        self.messages = counted.sent.doings
        self.reactions = Counter(_done(counted.first_adds))
        self.uploads = Counter(_done(counted.first_uploads, "uploader_id"))
        # Every add and every upload makes its user active on its own day, though the thing is counted on one only (57).
        others = _done(counted.adds), _done(counted.uploads, "uploader_id"), _done(counted.reads)
        self.active = {*self.messages}.union(*others, (one for one in _done(counted.activities) if one[2]))


def daily_active_users(doings: Doings) -> Table:
    """Fold `analytics.daily_active_users`: counts, and the distinct users who did any of the things that count."""
    columns = {
        "message_count": doings.messages,
        "reaction_count": doings.reactions,
        "file_upload_count": doings.uploads,
        "user_count": dict.fromkeys(doings.active, 1),
    }
    table: dict[Key, Row] = {}
    for column, counts in columns.items():
        for (workspace_id, day, _), count in counts.items():
            row = table.setdefault((workspace_id, day), dict.fromkeys(columns, 0))
            row[column] += count
    return table


def user_activity(doings: Doings, sessions: Table) -> Table:
    """Fold `analytics.user_activity`; `sessions` is the folded `collab.sessions`."""
    table: dict[Key, Row] = {
        (workspace_id, user_id, day): {
            "messages_sent": doings.messages.get(doing, 0),
            "reactions_given": doings.reactions[doing],
            "files_uploaded": doings.uploads[doing],
            "time_spent_minutes": 0,
        }
        for doing in {**doings.messages, **doings.reactions, **doings.uploads}
        for workspace_id, day, user_id in (doing,)
    }
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
