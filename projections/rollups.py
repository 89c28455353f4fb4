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
HourKey = tuple[str, str, date, int]
"""(workspace, channel, UTC day, hour of it)."""
UserKey = tuple[str, str, date]


@dataclass(slots=True)
class Hour:
    """What a batch adds to one (workspace, channel, hour); `users` are those who posted."""

    messages: int = 0
    length: int = 0
    users: set[str] = field(default_factory=set)
    revised_at: datetime | None = None


@dataclass(slots=True)
class Day:
    """What a batch adds to one (workspace, day); `active` are the users who did anything that makes active."""

    messages: int = 0
    reactions: int = 0
    uploads: int = 0
    active: list[str] = field(default_factory=list)
    revised_at: datetime | None = None
    active_at: datetime | None = None


@dataclass(slots=True)
class UserDay:
    """What a batch adds to one (workspace, user, day), and the append times of the newest events that did."""

    messages: int = 0
    reactions: int = 0
    uploads: int = 0
    time_spent: timedelta = timedelta()
    is_active: bool = False
    posted_at: datetime | None = None
    counted_at: datetime | None = None
    spent_at: datetime | None = None
    active_at: datetime | None = None

    @property
    def revised_at(self) -> datetime | None:
        """When the user's own row was revised; None where the batch adds nothing to it."""
        return newest(self.spent_at, newest(self.posted_at, self.counted_at))


@dataclass
class Rollups:
    """Increments of one batch, and the members that may make distinct counts rise."""

    hours: dict[HourKey, Hour] = field(default_factory=dict)
    user_days: dict[UserKey, UserDay] = field(default_factory=dict)

    def posted(self, row: Row, appended_at: datetime | None) -> None:
        """Count a new message; system messages count nowhere."""
        if row["message_type"] not in COUNTED_TYPES:
            return
        workspace_id, user_id, at = row["workspace_id"], row["user_id"], row["posted_at"]
        day = at.date()
        hour = self.hours.get(hour_key := (workspace_id, row["channel_id"], day, at.hour))
        if hour is None:
            hour = self.hours[hour_key] = Hour()
        hour.messages += 1
        hour.length += row["posted_length"]
        hour.users.add(user_id)
        user_day = self.user_days.get((workspace_id, user_id, day)) or self._user_day(workspace_id, user_id, day)
        user_day.messages += 1
        user_day.is_active = True
        # Records of one append share the object, so that most need no comparison.
        if hour.revised_at is not appended_at:
            hour.revised_at = newest(hour.revised_at, appended_at)
        if user_day.posted_at is not appended_at:
            user_day.posted_at = newest(user_day.posted_at, appended_at)

    def active(self, workspace_id: str, user_id: str, at: datetime, appended_at: datetime | None) -> None:
        """Count a user as active on a day; the store says whether that is new."""
        user_day = self._user_day(workspace_id, user_id, at.date())
        user_day.is_active = True
        user_day.active_at = newest(user_day.active_at, appended_at)

    def reacted(
        self, workspace_id: str, user_id: str, before: datetime | None, now: datetime, appended_at: datetime | None
    ) -> None:
        """Count a (message, user, emoji) at its earliest add; `before` is where it was counted so far, if anywhere."""
        if before is not None and before.date() == now.date():
            return
        for at, sign in ((before, -1), (now, 1)):
            if at is not None:
                self._counted(workspace_id, user_id, at, appended_at).reactions += sign

    def uploaded(self, workspace_id: str, before: Upload | None, now: Upload, appended_at: datetime | None) -> None:
        """Count a file at its earliest upload; `before` and `now` are (uploader, time) of that."""
        for upload, sign in ((before, -1), (now, 1)):
            if upload is not None:
                self._counted(workspace_id, *upload, appended_at).uploads += sign

    def session(self, before: Row | None, now: Row, appended_at: datetime | None) -> None:
        """Move the time spent from what the session was to what it is."""
        for row, sign in ((before, -1), (now, 1)):
            if row is None or None in (row["workspace_id"], row["started_at"], row["ended_at"]):
                continue
            for day, spent in days_of(row["started_at"], row["ended_at"]):
                user_day = self._user_day(str(row["workspace_id"]), str(row["user_id"]), day)
                user_day.time_spent += sign * spent
                user_day.spent_at = newest(user_day.spent_at, appended_at)

    def days(self) -> dict[DayKey, Day]:
        """Increments by workspace and day: the sums over its users, as all that a day counts is done by one of them."""
        days: dict[DayKey, Day] = {}
        for (workspace_id, user_id, date_), user_day in self.user_days.items():
            day = days.setdefault((workspace_id, date_), Day())
            day.messages += user_day.messages
            day.reactions += user_day.reactions
            day.uploads += user_day.uploads
            day.revised_at = newest(day.revised_at, newest(user_day.posted_at, user_day.counted_at))
            if user_day.is_active:
                day.active.append(user_id)
                day.active_at = newest(day.active_at, newest(user_day.posted_at, user_day.active_at))
        return days

    def _counted(self, workspace_id: str, user_id: str, at: datetime, appended_at: datetime | None) -> UserDay:
        user_day = self._user_day(workspace_id, user_id, at.date())
        user_day.counted_at = newest(user_day.counted_at, appended_at)
        return user_day

    def _user_day(self, workspace_id: str, user_id: str, day: date) -> UserDay:
        found = self.user_days.get((workspace_id, user_id, day))
        if found is None:
            found = self.user_days[workspace_id, user_id, day] = UserDay()
        return found


def newest(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two times; None is no time."""
    if one is None or other is None:
        return one or other
    return max(one, other)


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
