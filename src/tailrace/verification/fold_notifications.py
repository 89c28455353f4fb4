"""Who must have been told of which message (ruling 87), from the whole log.

A message is judged by what its channel's log held before it, and there by event time: a membership that somebody tells
of later is not known yet. The directory and the signals are other topics, and between topics there is no order: where a
record of theirs that came later than the message would change the answer, both answers are right.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from tailrace.schemas.event import Event
from tailrace.verification.fold_log import FreeRow, Key, OneOf, Row, Table, latest, rank
from tailrace.verification.fold_messages import CLIENT_MSG_ID_WINDOW

REPLY, MENTION, DIRECT = 1, 2, 3
KINDS: Final = {REPLY: "thread_reply", MENTION: "mention", DIRECT: "direct_message"}
DIRECT_CHANNELS: Final = ("dm", "group_dm")
PRESENCE_HOLDS: Final = timedelta(minutes=5)
AWAY: Final = ("offline", "away", "idle", "inactive", "invisible")
EVERYBODY: Final = re.compile(r"(?:^|[^\w@.])@(channel|here)(?!\w)", re.IGNORECASE)

Raised = tuple[int, str, datetime]
"""Kind, actor and time of one notification as it was last raised."""
Verdicts = frozenset[bool]
"""What may be found, where more than one answer is right."""

YES: Final[Verdicts] = frozenset({True})
NO: Final[Verdicts] = frozenset({False})
EITHER: Final[Verdicts] = frozenset({True, False})


class Workspaces:
    """What the directory and the signals say of people, at a time and as of a moment of the log."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._members: defaultdict[Key, list[Event]] = defaultdict(list)
        self._ends: defaultdict[str, list[Event]] = defaultdict(list)
        self._presences: defaultdict[Key, list[Event]] = defaultdict(list)
        for event in events:
            name = event.type.removeprefix("collab.")
            if name in {"workspace_member.joined", "workspace_member.updated", "workspace_member.left"}:
                self._members[event.data["workspace_id"], event.data["user_id"]].append(event)
            elif name == "user.erased":
                self._ends[event.data["user_id"]].append(event)
            elif name == "workspace.deleted":
                self._ends[event.data["workspace_id"]].append(event)
            elif name == "presence.changed":
                self._presences[event.data["workspace_id"], event.data["user_id"]].append(event)

    def lets_in(self, workspace_id: str, user_id: str, began: datetime, at: Event) -> Verdicts:
        """Whether a channel membership that began then held at that event (rule D, rulings 6 and 7)."""
        ends = [end for one in (workspace_id, user_id) for end in self._ends.get(one, ()) if end.time <= at.time]
        member = [one for one in self._members.get((workspace_id, user_id), ()) if one.time <= at.time]
        sure = [one for one in member if _is_known(one, at)]
        later = [one for one in member if not _is_known(one, at)]
        held = frozenset(_outlived(began, sure + later[:count]) for count in range(len(later) + 1))
        if any(_is_known(end, at) for end in ends):
            return NO
        return held | NO if ends else held

    def may_be_here(self, workspace_id: str, user_id: str, at: datetime) -> bool:
        """Whether any presence then says so."""
        return any(
            at - PRESENCE_HOLDS <= one.time <= at and one.data["status"].lower() not in AWAY
            for one in self._presences.get((workspace_id, user_id), ())
        )


def _is_known(event: Event, at: Event) -> bool:
    return event.appended_at is not None and at.appended_at is not None and event.appended_at <= at.appended_at


def _outlived(began: datetime, changes: Sequence[Event]) -> bool:
    removal = latest(one for one in changes if one.type.endswith(".left"))
    return removal is None or (latest(changes) is not removal and began > removal.time)


@dataclass(slots=True)
class _Message:
    """A message so far: its newest version, and of each recipient all that may have been raised."""

    author: str
    root: str | None
    version: Event
    raised: dict[str, set[Raised | None]] = field(default_factory=dict)


class _Channel:
    """One channel's log, read in its order."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self._profiles: list[Event] = []
        self._members: defaultdict[str, list[Event]] = defaultdict(list)
        self._writers: defaultdict[str, list[str]] = defaultdict(list)
        self._postings: defaultdict[tuple[str, str], list[Event]] = defaultdict(list)
        self._waiting: defaultdict[str, list[Event]] = defaultdict(list)
        self._message_of: dict[str, str] = {}
        self.messages: dict[str, _Message] = {}

    def read(self, event: Event) -> None:
        data = event.data
        match event.type.removeprefix("collab."):
            case "channel.created" | "channel.updated":
                self._profiles.append(event)
            case "channel_member.joined" | "channel_member.updated" | "channel_member.left":
                self._members[data["user_id"]].append(event)
            case "message.posted" if data["message_id"] not in self._message_of:
                self._post(event)
                for edit in sorted(self._waiting.pop(data["message_id"], ()), key=rank):
                    self._edit(edit)
            case "message.edited" if data["message_id"] in self._message_of:
                self._edit(event)
            case "message.edited":
                self._waiting[data["message_id"]].append(event)

    def _post(self, event: Event) -> None:
        data = event.data
        message_id, client = data["message_id"], data["client_msg_id"]
        if client:
            postings = self._postings[data["user_id"], client]
            same = [one for one in postings if abs(one.time - event.time) < CLIENT_MSG_ID_WINDOW]
            if same:
                first = self._message_of[message_id] = same[-1].data["message_id"]
                self._rename(message_id, self._root(message_id, first) or first)
                return
            postings.append(event)
        self._message_of[message_id] = message_id
        root = self._root(message_id, data["thread_id"])
        self.messages[message_id] = _Message(data["user_id"], root, event)
        self._rename(message_id, root or message_id)
        wanted = dict.fromkeys(self._writers[root] if root else (), REPLY)
        wanted |= dict.fromkeys(data["mentions"], MENTION)
        self._writers[root or message_id].append(data["user_id"])
        called, here = self._called(event, _groups(data["content"]))
        wanted |= dict.fromkeys(called, MENTION)
        if self._is_direct():
            wanted |= dict.fromkeys(self._members, DIRECT)
        unsure = {user: MENTION for user in here if wanted.get(user, REPLY) == REPLY}
        self._tell(event, message_id, wanted, unsure, data["created_at"])

    def _edit(self, event: Event) -> None:
        message_id = self._message_of[event.data["message_id"]]
        message = self.messages[message_id]
        if rank(event) <= rank(message.version):
            return
        before, after = message.version.data, event.data
        message.version = event
        called, here = self._called(event, _groups(after["content"]) - _groups(before["content"]))
        new = {*after["mentions"]} - {*before["mentions"]} | called
        kind = DIRECT if self._is_direct() else MENTION
        self._tell(event, message_id, dict.fromkeys(new, kind), dict.fromkeys(here - new, kind), event.time)

    def _root(self, message_id: str, thread_id: str | None) -> str | None:
        if thread_id is None:
            return None
        known = self._message_of.get(thread_id, thread_id)
        if known == message_id:
            return None
        passed = [message_id]
        while known in self.messages and known not in passed:
            passed.append(known)
            above = self.messages[known].root
            if above is None:
                break
            known = self._message_of.get(above, above)
        return known

    def _rename(self, name: str, root: str) -> None:
        """Writers under a name that nobody knew yet are those of the thread that it now proves to be in."""
        if name != root:
            self._writers[root] += self._writers.pop(name, [])

    def _is_direct(self) -> bool:
        profile = latest(self._profiles)
        return profile is not None and profile.data["channel_type"] in DIRECT_CHANNELS

    def _called(self, event: Event, groups: set[str]) -> tuple[set[str], set[str]]:
        """Who is meant by @channel, and who may be meant by @here: whether a presence was known in time is open."""
        if "channel" in groups:
            return {*self._members}, set()
        if "here" not in groups:
            return set(), set()
        at = event.data["workspace_id"], event.time
        return set(), {user for user in self._members if self._workspaces.may_be_here(at[0], user, at[1])}

    def _tell(
        self, event: Event, message_id: str, wanted: dict[str, int], unsure: dict[str, int], created_at: datetime
    ) -> None:
        """Raise where it is wanted, by user and kind; the unsure may have been told or not."""
        data, message = event.data, self.messages[message_id]
        actor = data.get("editor_id") or data["user_id"]
        asked = [(user, kind, False) for user, kind in wanted.items()]
        asked += [(user, kind, True) for user, kind in unsure.items()]
        for user, kind, is_open in asked:
            verdicts = NO if user == message.author else self._listens(event, user, kind)
            verdicts |= NO if is_open else frozenset()
            states = message.raised.setdefault(user, {None})
            new: Raised = kind, actor, created_at
            if True in verdicts:
                after: set[Raised | None] = {new if one is None or kind > one[0] else one for one in states}
                message.raised[user] = after | states if False in verdicts else after

    def _listens(self, event: Event, user: str, kind: int) -> Verdicts:
        known = [change for change in self._members.get(user, ()) if change.time <= event.time]
        newest = latest(known)
        if newest is None or newest.type.endswith(".left"):
            return NO
        data = newest.data
        is_muted = data["muted"] and (data["muted_until"] is None or data["muted_until"] > event.time)
        wants = {"all": (REPLY, MENTION, DIRECT), "mentions": (MENTION, DIRECT), "none": ()}
        if is_muted or kind not in wants[data["notification_level"]]:
            return NO
        joined = latest(change for change in known if change.type.endswith(".joined")) or newest
        return self._workspaces.lets_in(event.data["workspace_id"], user, joined.time, event)


def _groups(content: str) -> set[str]:
    return {word.lower() for word in EVERYBODY.findall(content)}


def notifications(events: Sequence[Event], tables: Mapping[str, Table]) -> Table:
    """Expected rows of `collab.notifications`, from the decoded log and the tables that were folded of it.

    All events count, also those that the tables leave out: the stream hears of a message whether PostgreSQL took it or
    not. A row is a `FreeRow` where it may be there or not. `read_at` is whether it is set, since which position was the
    first to pass the message depends on how the log was cut into batches; it is left out where ruling 3 leaves the
    position open.
    """
    workspaces = Workspaces(events)
    channels: dict[str, _Channel] = {}
    for event in events:
        if event.topic == "conversations":
            channels.setdefault(event.data["channel_id"], _Channel(workspaces)).read(event)
    deleted = {key[0]: row["deleted_at"] for key, row in tables["messages"].items()}
    return {
        (str(uuid5(UUID(message_id), user)),): row
        for channel_id, channel in channels.items()
        for message_id, user, row in _rows(channel_id, channel, deleted, tables["channel_members"])
    }


def _rows(
    channel_id: str, channel: _Channel, deleted: Mapping[str, datetime | None], members: Table
) -> Iterator[tuple[str, str, Row]]:
    for message_id, message in channel.messages.items():
        for user, states in message.raised.items():
            raised = [state for state in states if state is not None]
            if not raised:
                continue
            row: Row = {
                "user_id": user,
                "workspace_id": message.version.data["workspace_id"],
                "channel_id": channel_id,
                "message_id": message_id,
                "kind": _one_of([KINDS[kind] for kind, _, _ in raised]),
                "actor_id": _one_of([actor for _, actor, _ in raised]),
                "created_at": _one_of([at for _, _, at in raised]),
                "withdrawn_at": deleted.get(message_id),
            }
            position = members.get((channel_id, user), {})
            if "last_read_at" in position:
                read = [position["last_read_at"] is not None and at <= position["last_read_at"] for _, _, at in raised]
                row["read_at"] = _one_of(read)
            yield message_id, user, FreeRow(row) if None in states else row


def _one_of(values: Sequence[object]) -> object:
    distinct = list(dict.fromkeys(values))
    return distinct[0] if len(distinct) == 1 else OneOf(tuple(distinct))
