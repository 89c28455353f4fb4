"""What notifications need to know from other topics: who was removed from a workspace, and who was there."""

from collections import deque
from datetime import datetime, timedelta
from typing import Final

from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.streams.membership import Membership, change_of
from tailrace.streams.records import Record, append_time

TOPICS: Final = ("directory", "signals")
PRESENCE_TTL: Final = timedelta(seconds=300)
"""So long a presence holds without another, as in the cache of presences (contract, section 3)."""
PRESENCES_MAX: Final = 64
"""Presences kept of a user in a workspace; with a heartbeat a minute, an hour."""
ABSENT: Final = frozenset({"offline", "away", "idle", "inactive", "invisible"})
_MARKERS: Final = (
    b"collab.workspace_member.",
    b"collab.workspace.deleted",
    b"collab.user.erased",
    b"collab.presence.changed",
)


class Surroundings:
    """Memberships in workspaces, their ends, and presences, all by event time."""

    def __init__(self) -> None:
        self._members: dict[tuple[str, str], Membership] = {}
        self._ended: dict[str, datetime] = {}
        self._presences: dict[tuple[str, str], deque[tuple[datetime, tuple[int, str], str]]] = {}

    def take(self, record: Record) -> None:
        """Take a record of one of `TOPICS`; what is refused or of no interest changes nothing."""
        value = record.value
        if value is None or not may_hold(value, _MARKERS):
            return
        event = decode(record.topic, record.key, value, append_time(record))
        if isinstance(event, Event):
            self._fold(event)

    def _fold(self, event: Event) -> None:
        data = event.data
        match event.type:
            case "collab.presence.changed":
                key = data["workspace_id"], data["user_id"]
                known = self._presences.setdefault(key, deque(maxlen=PRESENCES_MAX))
                known.append((event.time, (event.sequence, event.id), data["status"]))
            case "collab.user.erased" | "collab.workspace.deleted":
                ended = data["user_id"] if event.type == "collab.user.erased" else data["workspace_id"]
                self._ended[ended] = min(self._ended.get(ended, event.time), event.time)
            case "collab.workspace_member.joined" | "collab.workspace_member.updated" | "collab.workspace_member.left":
                key = data["workspace_id"], data["user_id"]
                self._members.setdefault(key, Membership()).add(change_of(event))

    def lets_in(self, workspace_id: str, user_id: str, began: datetime | None, at: datetime) -> bool:
        """Whether a channel membership that began then counts at that time (rule D).

        A workspace membership of which nothing is known ends nothing (ruling 6).
        """
        if any((end := self._ended.get(one)) is not None and end <= at for one in (workspace_id, user_id)):
            return False
        member = self._members.get((workspace_id, user_id))
        if member is None:
            return True
        removed = member.removed(at)
        return removed is None or (member.standing(at) is not None and began is not None and began > removed)

    def is_here(self, workspace_id: str, user_id: str, at: datetime) -> bool:
        """Whether the user's newest presence at that time says so and is not older than `PRESENCE_TTL`."""
        known = self._presences.get((workspace_id, user_id), ())
        newest = max((one for one in known if at - PRESENCE_TTL <= one[0] <= at), key=lambda one: one[1], default=None)
        return newest is not None and newest[2].lower() not in ABSENT


def may_hold(value: bytes, markers: tuple[bytes, ...]) -> bool:
    """Whether the value may be an event of a type with one of these names; cheap, and never wrongly False."""
    # JSON may write any letter of a type as an escape.
    return b"\\u" in value or any(marker in value for marker in markers)
