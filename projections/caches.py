"""What the caches in Redis are: their keys, their values, and which of them a batch of events makes dirty.

Events say which keys are dirty; what those keys hold is read from PostgreSQL. Only the living keys (sessions, presence,
connections, typing) hold what the signals themselves say.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from tailrace.schemas.event import Event

RECENT_MAX: Final = 100
"""Messages in a `recent_messages` list (CONTRACT, 3)."""
MEMBERS_TTL_S: Final = 1_800
TYPING_TTL: Final = timedelta(seconds=10)
RATE_TTL: Final = timedelta(seconds=60)
MINUTE: Final = timedelta(minutes=1)
LIVING_TTL: Final[Mapping[str, timedelta]] = {
    "session": timedelta(seconds=86_400),
    "connection": timedelta(seconds=7_200),
    "presence": timedelta(seconds=300),
}

CHANNEL_AT: Final[Mapping[str, int]] = {"typing": 0, "message_rate": 1}
"""Families that carry no stamp, and which of the ids in their keys is the channel's."""

LIVING_KEPT: Final = timedelta(days=1)
"""How long the row of a living key outlives it; its guard in Redis must end before."""

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of keys. `cluster` wraps the part that a key and its guard share a slot by in real braces: its first id.

    A guard is named like its key with `_v` behind the family.
    """

    prefix: str = ""
    cluster: bool = False

    def name(self, family: str, tag: str, *rest: str) -> str:
        """Key of a family, e.g. `recent_messages:{channel_id}`."""
        return self.pair(family, tag, *rest)[0]

    def pair(self, family: str, tag: str, *rest: str) -> tuple[str, str]:
        """Return a key and its guard."""
        if self.cluster:
            tag = f"{{{tag}}}"
        ids = ":".join((tag, *rest)) if rest else tag
        return f"{self.prefix}{family}:{ids}", f"{self.prefix}{family}_v:{ids}"

    def channel_of(self, name: str) -> str:
        """Channel that a key of `typing` or `message_rate` is about."""
        family, *ids = name.removeprefix(self.prefix).split(":")
        return ids[CHANNEL_AT[family]].strip("{}")

    @property
    def state(self) -> str:
        """Key that says whether the caches are complete; it goes with them."""
        return f"{self.prefix}tailrace:state"


@dataclass
class Dirty:
    """Which keys must be read anew. Channels of `about_*` are those of messages, found by the messages' ids."""

    lists: set[str] = field(default_factory=set)
    counts: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    pairs: set[Pair] = field(default_factory=set)
    about_lists: set[str] = field(default_factory=set)
    about_counts: set[str] = field(default_factory=set)
    joined: set[str] = field(default_factory=set)
    memberships: set[Pair] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    deleted_workspaces: set[str] = field(default_factory=set)
    whole_channels: set[str] = field(default_factory=set)


_CHANGES_LIST = frozenset(
    {"collab.message.edited", "collab.reaction.added", "collab.reaction.removed"},
)
_CHANGES_COUNT = frozenset({"collab.message.deleted", "collab.message.restored"})
_CHANNEL = frozenset(f"collab.channel.{kind}" for kind in ("created", "updated", "deleted"))
_MEMBER = frozenset(f"collab.channel_member.{kind}" for kind in ("joined", "updated", "left"))
_WORKSPACE_MEMBER = frozenset(f"collab.workspace_member.{kind}" for kind in ("joined", "updated", "left"))


def dirty_of(events: Iterable[Event]) -> Dirty:
    """Collect what the events may have changed. Nothing is missed by an event that is parked: what releases it says so.

    Pins, archiving, names and files are in no value.
    """
    dirty = Dirty()
    for event in events:
        if event.topic == "directory":
            _add_directory(dirty, event.type, event.data)
        elif event.topic == "conversations":
            _add_conversation(dirty, event.type, event.data)
    return dirty


def _add_conversation(dirty: Dirty, kind: str, data: Mapping[str, Any]) -> None:
    channel_id = data["channel_id"]
    if kind == "collab.message.posted":
        dirty.lists.add(channel_id)
        dirty.counts.add(channel_id)
    elif kind in _CHANGES_LIST:
        dirty.lists.add(channel_id)
        dirty.about_lists.add(data["message_id"])
    elif kind in _CHANGES_COUNT:
        dirty.lists.add(channel_id)
        dirty.counts.add(channel_id)
        dirty.about_counts.add(data["message_id"])
    elif kind == "collab.channel.read":
        dirty.pairs.add((channel_id, data["user_id"]))
    elif kind in _MEMBER:
        dirty.members.add(channel_id)
        dirty.pairs.add((channel_id, data["user_id"]))
        dirty.joined.add(data["user_id"])
    elif kind in _CHANNEL:
        for channels in (dirty.lists, dirty.counts, dirty.members):
            channels.add(channel_id)


def _add_directory(dirty: Dirty, kind: str, data: Mapping[str, Any]) -> None:
    if kind in _WORKSPACE_MEMBER:
        dirty.memberships.add((data["workspace_id"], data["user_id"]))
        dirty.joined.add(data["user_id"])
    elif kind == "collab.user.erased":
        dirty.erased.add(data["user_id"])
    elif kind == "collab.workspace.deleted":
        dirty.deleted_workspaces.add(data["workspace_id"])


def add_whole_key(dirty: Dirty, event: Event) -> None:
    """Add everything that any event of this one's key may have changed: its channel, user or workspace."""
    if event.topic == "conversations":
        for channels in (dirty.lists, dirty.counts, dirty.members, dirty.whole_channels):
            channels.add(event.data["channel_id"])
    elif event.topic == "directory" and event.type.startswith("collab.user."):
        dirty.erased.add(event.data["user_id"])
    elif event.topic == "directory":
        dirty.deleted_workspaces.add(event.data["workspace_id"])


@dataclass(slots=True)
class Living:
    """A session, connection or presence as its events say it, by Rule R.

    `value` holds what the contract's value takes from the event; `began_at` is the time of the event that holds the
    register, `last_at` the greatest time of all of them; both are None while only the end is known.
    """

    kind: str
    key: str
    user_id: str
    workspace_id: str | None
    sequence: int
    event_id: str
    began_at: datetime | None
    last_at: datetime | None
    value: dict[str, Any] | None
    is_ended: bool
    expires_at: datetime


NO_EVENT: Final = "00000000-0000-0000-0000-000000000000"
_BEGINS = {
    "collab.session.started": ("session", ("device_type", "ip_address", "user_agent", "permissions")),
    "collab.connection.opened": ("connection", ("channels",)),
    "collab.presence.changed": ("presence", ("status", "custom_status", "device_type", "timezone")),
}
_ENDS = {"collab.session.ended": "session", "collab.connection.closed": "connection"}


def fold_living(events: Iterable[Event], now: datetime) -> list[Living]:
    """Fold signals, one row for each key; those of the past beyond doubt are left out (ruling 54).

    What has expired within the last day is kept: it is nothing to show, but a late signal of lower sequence must not
    take its place.
    """
    found: dict[Pair, Living] = {}
    for event in events:
        living = _living(event)
        if living is None or living.expires_at + LIVING_KEPT <= now:
            continue
        held = found.setdefault((living.kind, living.key), living)
        if held is not living:
            found[living.kind, living.key] = _merged(held, living)
    return list(found.values())


def _living(event: Event) -> Living | None:
    data = event.data
    if event.type in _ENDS:
        kind = _ENDS[event.type]
        expires_at = max(event.time, event.appended_at or event.time) + LIVING_TTL[kind]
        key = data[f"{kind}_id"]
        return Living(
            kind, key, data["user_id"], None, -1, NO_EVENT, None, None, None, is_ended=True, expires_at=expires_at
        )
    if event.type not in _BEGINS:
        return None
    kind, fields = _BEGINS[event.type]
    key = f"{data['user_id']}:{data['workspace_id']}" if kind == "presence" else data[f"{kind}_id"]
    return Living(
        kind, key, data["user_id"], data["workspace_id"], event.sequence, event.id, event.time, event.time,
        {name: data[name] for name in fields}, is_ended=False, expires_at=event.time + LIVING_TTL[kind],
    )  # fmt: skip


def _merged(one: Living, other: Living) -> Living:
    holder, stale = (one, other) if (one.sequence, one.event_id) >= (other.sequence, other.event_id) else (other, one)
    holder.is_ended = one.is_ended or other.is_ended
    holder.last_at = max(filter(None, (one.last_at, other.last_at)), default=None)
    # A presence lives as long as the event that holds it; a session as long as its last sign of life.
    if holder.kind != "presence" or holder.began_at is None:
        holder.expires_at = max(holder.expires_at, stale.expires_at)
    return holder


def rfc3339(moment: datetime) -> str:
    """UTC with six digits and `Z`, as all times in values are written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def members_value(members: Sequence[str], read_at: datetime) -> bytes:
    """JSON of `channel_members`; empty for no members, as an empty value has no key (ruling 52)."""
    if not members:
        return b""
    return orjson.dumps(
        {"members": sorted(members), "member_count": len(members), "last_updated": rfc3339(read_at)},
    )


def version_stamp(generation: int, version: int) -> str:
    """Fixed-width text that compares like (generation, version)."""
    return version_stamps(generation, (version,))[0]


def version_stamps(generation: int, versions: Iterable[int]) -> list[str]:
    """The same for many versions of one generation."""
    begin = f"{generation:06d}."
    return [f"{begin}{version:020d}" for version in versions]


def newest_typing(events: Iterable[Event], now: datetime) -> dict[Pair, datetime]:
    """(channel, user) → newest time at which the user was typing there, of those that are not past yet."""
    newest: dict[Pair, datetime] = {}
    for event in events:
        if event.type == "collab.typing.started" and event.time + TYPING_TTL > now:
            pair = event.data["channel_id"], event.data["user_id"]
            newest[pair] = max(newest.get(pair, event.time), event.time)
    return newest


def recent_posts(events: Iterable[Event], now: datetime) -> list[str]:
    """Ids of the messages whose rate key may not be past yet (ruling 54): the minute's newest message keeps it."""
    return [
        event.data["message_id"]
        for event in events
        if event.type == "collab.message.posted" and event.time + MINUTE + RATE_TTL > now
    ]


def minute_of(moment: datetime) -> int:
    """Whole minutes since 1970-01-01 00:00 UTC: `{minute}` of `message_rate` (ruling 54)."""
    return int(moment.timestamp()) // 60


def microseconds(moment: datetime | None) -> str:
    """16 digits of microseconds since 1970, all zeros for None: compares as text like the times."""
    return "0" * 16 if moment is None else f"{(moment - _EPOCH) // timedelta(microseconds=1):016d}"


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def unread_behind(
    members: Sequence[str], places: Iterable[int], authors: Iterable[str], counts: Iterable[int]
) -> list[int]:
    """Unread messages of each member of a channel: those behind its place that are not its own.

    `members` are sorted by place; each bucket of messages is (number of the last member before it, 1 for the first;
    author; messages).
    """
    behind = [0] * (len(members) + 1)
    own = behind.copy()
    number_of = {member: number for number, member in enumerate(members, 1)}
    for place, author, count in zip(places, authors, counts, strict=True):
        behind[place] += count
        number = number_of.get(author)
        if number is not None and number <= place:
            own[number] += count
    unread = 0
    for number in range(len(members), 0, -1):
        unread += behind[number]
        behind[number] = unread - own[number]
    return behind[1:]


def suffix_counts(
    bases: Sequence[datetime], buckets: Iterable[tuple[int, str, int]]
) -> tuple[list[int], dict[str, list[int]]]:
    """Messages after each of the sorted bases: all of them, and those of each author.

    `buckets` are (number of the last base before the message, 1 for the first; author; messages).
    """
    width = len(bases)
    total = [0] * (width + 1)
    by_author: dict[str, list[int]] = {}
    for bucket, author, count in buckets:
        total[bucket - 1] += count
        by_author.setdefault(author, [0] * (width + 1))[bucket - 1] += count
    for counts in (total, *by_author.values()):
        for index in range(width - 1, -1, -1):
            counts[index] += counts[index + 1]
    return total, by_author
