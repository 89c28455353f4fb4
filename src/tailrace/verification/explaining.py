"""The events that a row, key or document is made of: where to look when it is not as it should be."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from tailrace.schemas.event import Event
from tailrace.verification.compare import TableReport
from tailrace.verification.fold_log import TYPE_PREFIX, Row

EVENTS_MAX: Final = 50
"""Events that are listed of one difference: the last in the log."""

_PLACE: Final = ("topic", "partition", "offset")
_MESSAGE: Final = (("message.", "message_id"), ("reaction.", "message_id"), ("file.shared", "message_id"),
                   ("file.unshared", "message_id"), ("message.posted", "thread_id"))  # fmt: skip
_MEMBER: Final = (("channel_member.", "channel_id user_id"), ("channel.read", "channel_id user_id"),
                  ("workspace_member.left", "user_id"), ("user.erased", "user_id"))  # fmt: skip

_EXPLAINS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "users": (("user.", "user_id"),),
    "workspaces": (("workspace.", "workspace_id"), ("workspace_member.", "workspace_id")),
    "workspace_members": (
        ("workspace_member.", "workspace_id user_id"), ("user.erased", "user_id"),
        ("workspace.deleted", "workspace_id"), ("session.started", "workspace_id user_id"),
        ("activity.", "workspace_id user_id"),
    ),
    "workspace_invitations": (("invitation.", "invitation_id"),),
    "channels": (("channel.", "channel_id"), ("channel_member.", "channel_id"), ("message.posted", "channel_id")),
    "channel_members": _MEMBER,
    "channel_pins": _MESSAGE,
    "messages": _MESSAGE,
    "message_reactions": (("reaction.", "message_id"), ("message.", "message_id")),
    "files": (("file.", "file_id"),),
    "message_files": (("file.", "file_id"), ("message.posted", "message_id")),
    "integrations": (("integration.", "integration_id"),),
    "sessions": (("session.", "session_id"),),
    "notifications": (("message.", "message_id"),),
    "analytics.events": (("activity.", "event_id"),),
    "analytics.message_analytics": (("message.posted", "channel_id"),),
    "analytics.user_activity": (("message.posted", "user_id"), ("reaction.added", "user_id"),
                                ("file.uploaded", "uploader_id"), ("session.", "user_id")),
    "analytics.daily_active_users": (("message.posted", "workspace_id"), ("reaction.added", "workspace_id"),
                                     ("file.uploaded", "workspace_id"), ("activity.", "workspace_id")),
    "redis.recent_messages": (("message.", "channel_id"), ("reaction.", "channel_id")),
    "redis.channel_members": (("channel_member.", "channel_id"),),
    "redis.unread_counts": (("channel.read", "user_id"), ("channel_member.", "user_id")),
    "redis.session": (("session.", "session_id"),),
    "redis.connection": (("connection.", "connection_id"),),
    "redis.presence": (("presence.", "user_id workspace_id"),),
    "redis.typing": (("typing.", "channel_id user_id"),),
    "redis.message_rate": (("message.posted", "channel_id user_id"),),
    "search.messages": _MESSAGE,
    "search.files": (("file.", "file_id"),),
    "search.users": (("user.", "user_id"), ("workspace_member.", "workspace_id user_id")),
}  # fmt: skip
"""By comparison: prefixes of event types, and the fields of `data` that must be those of the row's key."""

_COLUMNS: Final = {"thread_id": "message_id", "uploader_id": "user_id"}
"""Fields that are called otherwise in the key."""


def explain(reports: Mapping[str, TableReport], events: Iterable[Event]) -> None:
    """Put into every difference that was kept the events it is made of, in the order of the log."""
    wanted: defaultdict[str, defaultdict[tuple[str, ...], list[_Asked]]] = defaultdict(lambda: defaultdict(list))
    asked = [
        _Asked(report, number, _EXPLAINS.get(name, ()))
        for name, report in reports.items()
        for number in range(len(report.differences))
    ]
    for one in asked:
        for _, fields in one.rules:
            wanted[fields][one.values(fields)].append(one)
    for event in events if asked else ():
        data = event.data | {"event_id": event.id}
        for fields, by_values in wanted.items():
            for one in by_values.get(tuple(str(data.get(field)) for field in fields.split()), ()):
                one.see(event, fields)
    for one in asked:
        one.tell()


class _Asked:
    """A difference, and the events found for it."""

    def __init__(self, report: TableReport, number: int, rules: tuple[tuple[str, str], ...]) -> None:
        self.rules = rules
        self._report = report
        self._number = number
        self._key = report.differences[number].key
        self._found: dict[tuple[str, int, int], Row] = {}

    def values(self, fields: str) -> tuple[str, ...]:
        return tuple(str(self._key.get(_COLUMNS.get(field, field))) for field in fields.split())

    def see(self, event: Event, fields: str) -> None:
        name = event.type.removeprefix(TYPE_PREFIX)
        if any(name.startswith(prefix) for prefix, named in self.rules if named == fields) and self._is_in_time(event):
            place = event.topic, event.partition, event.offset
            self._found[place] = {**dict(zip(_PLACE, place, strict=True)), "id": event.id, "type": event.type}

    def _is_in_time(self, event: Event) -> bool:
        """Rollups are of one hour or one day of the event's time; sessions may reach into the next."""
        hour, date = self._key.get("hour"), self._key.get("date")
        if hour is not None:
            return bool(hour <= event.time < hour + timedelta(hours=1))
        return date is None or abs(event.time.date() - date) <= timedelta(days="session" in event.type)

    def tell(self) -> None:
        events = tuple(self._found[place] for place in sorted(self._found))
        one = self._report.differences[self._number]
        self._report.differences[self._number] = replace(one, events=events[-EVENTS_MAX:])
