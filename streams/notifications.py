"""Notifications: who is to hear of a message, by the rules of ruling 87, from the log of its channel.

A channel's members, their settings, its messages and threads all have the channel's key, so the partition holds all
that is needed, except who was removed from the workspace and who was there (`surroundings`). Deleting is not a matter
of this stream: what withdraws and what has been read is seen by the projection, from the same log.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final
from uuid import UUID, uuid5

import orjson

from tailrace.schemas.catalogue import PREFIX
from tailrace.schemas.decode import decode
from tailrace.schemas.envelope import CONTENT_TYPE
from tailrace.schemas.event import Event
from tailrace.schemas.fields import rfc3339
from tailrace.streams.membership import Change, Membership, change_of
from tailrace.streams.records import Output, Record, append_time
from tailrace.streams.stream import Beside, Folded, Stream
from tailrace.streams.surroundings import TOPICS, Surroundings, may_hold

TOPIC: Final = "notifications"
CLIENT_WINDOW: Final = timedelta(days=7)
"""A repeated `client_msg_id` within this is the same message (rule M)."""
EARLY_MAX: Final = 10_000
"""Edits of messages that have not come are kept for so many messages of a partition; the oldest go first."""
_MARKERS: Final = (
    b"collab.message.posted",
    b"collab.message.edited",
    b"collab.channel_member.",
    b"collab.channel.created",
    b"collab.channel.updated",
)
_GROUPS: Final = re.compile(r"(?<![\w@.])@(channel|here)\b", re.IGNORECASE)
_HEADERS: Final = (("content-type", CONTENT_TYPE.encode()),)


class Kind(IntEnum):
    """Why somebody is to hear of a message; the strongest is the greatest (ruling 87)."""

    THREAD_REPLY = 1
    MENTION = 2
    DIRECT_MESSAGE = 3


@dataclass(slots=True)
class Post:
    """A message as far as later events need it. `order` is of the version whose mentions these are."""

    author: str
    root: str | None
    order: tuple[int, str]
    mentions: frozenset[str]
    groups: frozenset[str]
    raised: dict[str, Kind] = field(default_factory=dict)


@dataclass(slots=True)
class Channel:
    """A channel as its log tells it. `threads` holds, by root, everybody who wrote in it."""

    profile: tuple[tuple[int, str], str] | None = None
    members: dict[str, Membership] = field(default_factory=dict)
    posts: dict[str, Post] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    clients: dict[tuple[str, str], list[tuple[datetime, str]]] = field(default_factory=dict)
    threads: dict[str, set[str]] = field(default_factory=dict)

    @property
    def is_direct(self) -> bool:
        """Every message is for all its members."""
        return self.profile is not None and self.profile[1] in {"dm", "group_dm"}


def notifications(topic: Callable[[str], str]) -> Stream:
    """The stream; all its partitions share what is known from other topics."""
    del topic
    around = Surroundings()
    return Stream(
        "notifications",
        "conversations",
        (TOPIC,),
        memory=True,
        open=lambda _: Notifications(around),
        beside=Beside(TOPICS, around.take),
    )


def notification_id(message_id: str, user_id: str) -> str:
    """One per message and recipient: the UUIDv5 of the user's id in the namespace of the message's (ruling 87)."""
    return str(uuid5(UUID(message_id), user_id))


class Notifications:
    """The work of one partition of the conversations."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._channels: dict[str, Channel] = {}
        self._early: dict[tuple[str, str], list[Event]] = {}

    def fold(self, record: Record) -> Folded:
        """Raise what follows from one record. What is refused is the PostgreSQL worker's dead letter, not ours."""
        value = record.value
        if value is None or not may_hold(value, _MARKERS):
            return ()
        event = decode(record.topic, record.key, value, append_time(record))
        if not isinstance(event, Event):
            return ()
        channel = self._channels.get(event.data["channel_id"])
        if channel is None:
            channel = self._channels[event.data["channel_id"]] = Channel()
        match event.type:
            case "collab.message.posted":
                return self._posted(channel, event)
            case "collab.message.edited":
                return self._edited(channel, event)
            case "collab.channel_member.joined" | "collab.channel_member.updated" | "collab.channel_member.left":
                channel.members.setdefault(event.data["user_id"], Membership()).add(change_of(event))
            case "collab.channel.created" | "collab.channel.updated":
                order = event.sequence, event.id
                if channel.profile is None or order > channel.profile[0]:
                    channel.profile = order, event.data["channel_type"]
        return ()

    def settle(self, now: datetime | None) -> Sequence[Output]:
        """Nothing waits for time to pass."""
        del now
        return ()

    def _posted(self, channel: Channel, event: Event) -> list[Output]:
        data = event.data
        message_id, author = data["message_id"], data["user_id"]
        if message_id in channel.posts or message_id in channel.aliases:
            return []  # the first in the channel's log is the posting (ruling 20)
        primary = _primary(channel, event)
        if primary is not None:
            channel.aliases[message_id] = primary
            _gather(channel, message_id, _root(channel, message_id, primary) or primary)
            return self._early_edits(channel, event)
        root = _root(channel, message_id, data["thread_id"])
        post = Post(
            author=author,
            root=root,
            order=(event.sequence, event.id),
            mentions=frozenset(data["mentions"]),
            groups=_groups(data["content"]),
        )
        channel.posts[message_id] = post
        _gather(channel, message_id, root or message_id)
        wanted: dict[str, Kind] = {}
        if root is not None:
            wanted |= dict.fromkeys(channel.threads.get(root, ()), Kind.THREAD_REPLY)
        wanted |= self._mentioned(channel, event, post.mentions, post.groups)
        if channel.is_direct:
            wanted |= dict.fromkeys(channel.members, Kind.DIRECT_MESSAGE)
        channel.threads.setdefault(root or message_id, set()).add(author)
        outputs = self._raise(channel, event, message_id, wanted, data["created_at"])
        return outputs + self._early_edits(channel, event)

    def _early_edits(self, channel: Channel, event: Event) -> list[Output]:
        """What edits that came before their message raise now (rule P)."""
        early = self._early.pop((event.data["channel_id"], event.data["message_id"]), ())
        outputs: list[Output] = []
        for edit in sorted(early, key=lambda one: (one.sequence, one.id)):
            outputs += self._edited(channel, edit)
        return outputs

    def _edited(self, channel: Channel, event: Event) -> list[Output]:
        data = event.data
        message_id = channel.aliases.get(data["message_id"], data["message_id"])
        post = channel.posts.get(message_id)
        if post is None:
            self._keep(event)
            return []
        order = event.sequence, event.id
        if order <= post.order:
            return []
        mentions, groups = frozenset(data["mentions"]), _groups(data["content"])
        wanted = self._mentioned(channel, event, mentions - post.mentions, groups - post.groups)
        if channel.is_direct:
            wanted = dict.fromkeys(wanted, Kind.DIRECT_MESSAGE)
        post.order, post.mentions, post.groups = order, mentions, groups
        return self._raise(channel, event, message_id, wanted, event.time)

    def _keep(self, event: Event) -> None:
        if len(self._early) >= EARLY_MAX:
            del self._early[next(iter(self._early))]
        self._early.setdefault((event.data["channel_id"], event.data["message_id"]), []).append(event)

    def _mentioned(
        self, channel: Channel, event: Event, mentions: Collection[str], groups: Collection[str]
    ) -> dict[str, Kind]:
        people: set[str] = set(mentions)
        if "channel" in groups:
            people |= channel.members.keys()
        elif "here" in groups:
            workspace_id = event.data["workspace_id"]
            people |= {user for user in channel.members if self._around.is_here(workspace_id, user, event.time)}
        return dict.fromkeys(people, Kind.MENTION)

    def _raise(
        self, channel: Channel, event: Event, message_id: str, wanted: dict[str, Kind], created_at: datetime
    ) -> list[Output]:
        """Raise for those who were members then, wanted to hear of it, and have not heard as strongly before."""
        post = channel.posts[message_id]
        outputs = []
        for user in sorted(wanted):
            kind = wanted[user]
            if user == post.author or kind <= post.raised.get(user, 0):
                continue
            standing = self._standing(channel, event, user)
            if standing is None or standing.silences(kind is Kind.THREAD_REPLY, event.time):
                continue
            post.raised[user] = kind
            outputs.append(_output(event, message_id, user, kind, created_at))
        return outputs

    def _standing(self, channel: Channel, event: Event, user: str) -> Change | None:
        member = channel.members.get(user)
        standing = None if member is None else member.standing(event.time)
        if member is None or standing is None:
            return None
        began = member.began(event.time)
        return standing if self._around.lets_in(event.data["workspace_id"], user, began, event.time) else None


def _primary(channel: Channel, event: Event) -> str | None:
    """The message that this one repeats under another id (ruling 24); a first one is noted."""
    client_msg_id = event.data["client_msg_id"]
    if not client_msg_id:
        return None
    known = channel.clients.setdefault((event.data["user_id"], client_msg_id), [])
    for time, message_id in reversed(known):
        if abs(event.time - time) < CLIENT_WINDOW:
            return message_id
    known.append((event.time, event.data["message_id"]))
    return None


def _root(channel: Channel, message_id: str, thread_id: str | None) -> str | None:
    """The top of the thread as far as it is known by now: what was above a parent may have come after it."""
    if thread_id is None:
        return None
    top = channel.aliases.get(thread_id, thread_id)
    if top == message_id:
        return None
    seen = {message_id}
    while (parent := channel.posts.get(top)) is not None and parent.root is not None:
        if top in seen:
            break  # a cycle has no top
        seen.add(top)
        top = channel.aliases.get(parent.root, parent.root)
    return top


def _gather(channel: Channel, message_id: str, root: str) -> None:
    """Who answered a message before it came, answered in the thread that it turns out to belong to."""
    if message_id != root and (early := channel.threads.pop(message_id, None)):
        channel.threads.setdefault(root, set()).update(early)


def _groups(content: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _GROUPS.findall(content)) if "@" in content else frozenset()


def _output(event: Event, message_id: str, user: str, kind: Kind, created_at: datetime) -> Output:
    data, identity = event.data, notification_id(message_id, user)
    raised = {
        "specversion": "1.0",
        # Of the notification and what raised it: an edit may raise the same one again, as a stronger kind.
        "id": str(uuid5(UUID(identity), event.id)),
        "type": f"{PREFIX}notification.raised",
        "source": "/tailrace/streams/notifications",
        "subject": identity,
        "time": rfc3339(event.time),
        "sequence": str(event.sequence),
        "workspaceid": data["workspace_id"],
        "causationid": event.id,
        "data": {
            "notification_id": identity,
            "user_id": user,
            "workspace_id": data["workspace_id"],
            "kind": kind.name.lower(),
            "channel_id": data["channel_id"],
            "message_id": message_id,
            "actor_id": data.get("editor_id") or data["user_id"],
            "created_at": rfc3339(created_at),
        },
    }
    return Output(TOPIC, user.encode(), orjson.dumps(raised), _HEADERS)
