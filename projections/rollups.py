"""Rollups by rule A, as increments that follow from transitions: a row really inserted, a first add that moved.

Everything is by the event's `time` in UTC. The increments of one batch are summed here and written once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from tailrace.projections.registers import Row, moment

COUNTED_TYPES = frozenset({"text", "file", "bot"})
SESSION_MAX = timedelta(hours=24)

Upload = tuple[str, datetime]
"""(uploader, time)."""
DayKey = tuple[str, date]
HourKey = tuple[str, str, datetime]
UserKey = tuple[str, str, date]


@dataclass(slots=True)
class Hour:
    """What a batch adds to one (workspace, channel, hour)."""

    messages: int = 0
    length: int = 0
    users: int = 0
    revised_at: datetime | None = None


@dataclass(slots=True)
class Day:
    """What a batch adds to one (workspace, day)."""

    users: int = 0
    messages: int = 0
    reactions: int = 0
    uploads: int = 0
    revised_at: datetime | None = None


@dataclass(slots=True)
class UserDay:
    """What a batch adds to one (workspace, user, day)."""

    messages: int = 0
    reactions: int = 0
    uploads: int = 0
    time_spent: timedelta = timedelta()
    revised_at: datetime | None = None


@dataclass
class Rollups:
    """Increments of one batch, and the members that may make distinct counts rise."""

    hours: dict[HourKey, Hour] = field(default_factory=dict)
    days: dict[DayKey, Day] = field(default_factory=dict)
    user_days: dict[UserKey, UserDay] = field(default_factory=dict)
    hour_members: dict[tuple[str, datetime, str, str], datetime | None] = field(default_factory=dict)
    day_members: dict[tuple[str, date, str], datetime | None] = field(default_factory=dict)

    def posted(self, row: Row, appended_at: datetime | None) -> None:
        """Count a new message; system messages count nowhere."""
        if row["message_type"] not in COUNTED_TYPES:
            return
        workspace_id, user_id, at = row["workspace_id"], row["user_id"], row["posted_at"]
        start = at.replace(minute=0, second=0, microsecond=0)
        hour = self.hours.setdefault((workspace_id, row["channel_id"], start), Hour())
        hour.messages += 1
        hour.length += row["posted_length"]
        hour.revised_at = newest(hour.revised_at, appended_at)
        _note(self.hour_members, (row["channel_id"], start, user_id, workspace_id), appended_at)
        day = at.date()
        self._day(workspace_id, day, appended_at).messages += 1
        self._user_day(workspace_id, user_id, day, appended_at).messages += 1
        self.active(workspace_id, user_id, at, appended_at)

    def active(self, workspace_id: str, user_id: str, at: datetime, appended_at: datetime | None) -> None:
        """Count a user as active on a day; the store says whether that is new."""
        _note(self.day_members, (workspace_id, at.date(), user_id), appended_at)

    def reacted(
        self, workspace_id: str, user_id: str, before: datetime | None, now: datetime, appended_at: datetime | None
    ) -> None:
        """Count a (message, user, emoji) at its earliest add; `before` is where it was counted so far, if anywhere."""
        if before is not None and before.date() == now.date():
            return
        for at, sign in ((before, -1), (now, 1)):
            if at is not None:
                self._day(workspace_id, at.date(), appended_at).reactions += sign
                self._user_day(workspace_id, user_id, at.date(), appended_at).reactions += sign

    def uploaded(self, workspace_id: str, before: Upload | None, now: Upload, appended_at: datetime | None) -> None:
        """Count a file at its earliest upload; `before` and `now` are (uploader, time) of that."""
        for upload, sign in ((before, -1), (now, 1)):
            if upload is not None:
                user_id, at = upload
                self._day(workspace_id, at.date(), appended_at).uploads += sign
                self._user_day(workspace_id, user_id, at.date(), appended_at).uploads += sign

    def session(self, before: Row | None, now: Row, appended_at: datetime | None) -> None:
        """Move the time spent from what the session was to what it is."""
        for row, sign in ((before, -1), (now, 1)):
            if row is None or None in (row["workspace_id"], row["started_at"], row["ended_at"]):
                continue
            for day, spent in days_of(row["started_at"], row["ended_at"]):
                user_day = self._user_day(str(row["workspace_id"]), str(row["user_id"]), day, appended_at)
                user_day.time_spent += sign * spent

    def _day(self, workspace_id: str, day: date, appended_at: datetime | None) -> Day:
        found = self.days.setdefault((workspace_id, day), Day())
        found.revised_at = newest(found.revised_at, appended_at)
        return found

    def _user_day(self, workspace_id: str, user_id: str, day: date, appended_at: datetime | None) -> UserDay:
        found = self.user_days.setdefault((workspace_id, user_id, day), UserDay())
        found.revised_at = newest(found.revised_at, appended_at)
        return found


def newest(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two times; None is no time."""
    if one is None or other is None:
        return one or other
    return max(one, other)


def _note(members: dict, key: tuple, appended_at: datetime | None) -> None:  # type: ignore[type-arg]  # two kinds of keys
    members[key] = newest(members.get(key), appended_at)


def days_of(start: datetime, end: datetime) -> Iterator[tuple[date, timedelta]]:
    """Split a session, 24 hours at most, over the UTC days it touches; nothing where it ends before it starts."""
    end = min(end, start + SESSION_MAX).astimezone(UTC)
    start = start.astimezone(UTC)
    while start < end:
        midnight = datetime.combine(start.date() + timedelta(days=1), time(), UTC)
        yield start.date(), min(end, midnight) - start
        start = midnight


def first_upload(row: Row) -> Upload | None:
    """The earliest `file.uploaded` by time that was seen of a file."""
    held = row["registers"].get("first_upload")
    return None if held is None else (held[1], moment(held[0]))
