"""One conversation's own events: its profile, who is in it, whether it is archived."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tailrace.history.generated import EventWriter, Generated, Moment
from tailrace.history.slack_export import Conversation, Kind, Raw
from tailrace.history.slack_people import People
from tailrace.history.slack_survey import JOINS, LEAVES, Survey
from tailrace.history.slack_values import SlackIds
from tailrace.history.values import first_text, micros, object_of, objects_of, text_of, texts_of

_TYPES: Final = {Kind.CHANNEL: "public", Kind.GROUP: "private", Kind.DM: "dm", Kind.MPIM: "group_dm"}
_ARCHIVED: Final = {
    "channel_archive": True,
    "group_archive": True,
    "channel_unarchive": False,
    "group_unarchive": False,
}


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin as a channel's list gives it: when it was set, and by whom (a Slack id)."""

    us: int | None
    user: str | None


@dataclass(slots=True)
class Room:
    """One conversation while it is imported.

    `members` says of each (Slack) user met as a member whether they are in now and since when, `spoke` when somebody
    wrote last, `last` is the moment of the newest message so far, `pins` holds the listed pins of messages that did not
    come yet, by their time in microseconds, and `pending` the times, rising, of messages that log items are about and
    whose day has not come yet.
    """

    conversation: Conversation
    channel_id: str
    survey: Survey
    created: Moment
    last: Moment
    members: dict[str, tuple[bool, Moment]] = field(default_factory=dict)
    spoke: dict[str, Moment] = field(default_factory=dict)
    archived: bool = False
    pins: dict[int, Pin] = field(default_factory=dict)
    pending: deque[int] = field(default_factory=deque)

    @property
    def slack_id(self) -> str:
        """Slack's id of the conversation."""
        return self.conversation.slack_id

    @property
    def place(self) -> str:
        """Where in the export the conversation stands."""
        return f"{self.conversation.kind}.json {self.slack_id}"


class Channels:
    """Makes the events about conversations themselves."""

    def __init__(self, ids: SlackIds, people: People, writer: EventWriter, founded: Moment) -> None:
        self._ids = ids
        self._people = people
        self._writer = writer
        self._founded = founded

    def profile(self, conversation: Conversation) -> Iterator[Generated]:
        """Make the conversation, with the profile the export ends with; renames on the way are system messages."""
        self._writer.report.saw(conversation.kind.value)
        place = f"{conversation.kind}.json {conversation.slack_id}"
        if not conversation.listed:
            self._writer.report.odd("folder_of_unlisted_conversation", conversation.folder)
        created = self._created(conversation.raw)
        data = self._data(conversation, place)
        events = [self._writer.write("channel.created", data["channel_id"], created, data)]
        updated = max(_updates(conversation.raw), default=0)
        if updated > created.us:
            events.append(self._writer.write("channel.updated", data["channel_id"], Moment(updated), data))
        yield from self._people.registrations()
        yield from events

    def open(self, conversation: Conversation, survey: Survey) -> Room:
        """Begin to import a conversation's messages."""
        raw, created = conversation.raw, self._created(conversation.raw)
        room = Room(conversation, self._ids.channel(conversation.slack_id), survey, created, created)
        room.pending.extend(survey.logged())
        for pin in objects_of(raw.get("pins")):
            us = micros(pin.get("id"))
            if us is None:
                self._writer.report.odd("pin_of_no_message", room.place)
            else:
                room.pins[us] = Pin(micros(pin.get("created")), text_of(pin.get("user")))
        return room

    def first_members(self, room: Room) -> Iterator[Generated]:
        """Let those be members from the beginning who are listed, or left, without ever having joined."""
        told = room.survey.first_seen
        listed = texts_of(room.conversation.raw.get("members"))
        self._writer.report.saw("members", len(listed))
        begun = [user for user in listed if not told.get(user, False)]
        begun += [user for user, joined in told.items() if not joined and user not in listed]
        for user in begun:
            yield from self._join(room, user, room.created)

    def follow(self, room: Room, item: Mapping[str, Any], at: Moment, place: str) -> Iterator[Generated]:
        """Make what a system message tells about members and archiving."""
        subtype, user = text_of(item.get("subtype")), text_of(item.get("user"))
        if user and subtype not in LEAVES:
            room.spoke[user] = at
        if subtype in JOINS and user:
            self._writer.report.saw("joins")
            yield from self._join(room, user, at, inviter=text_of(item.get("inviter")), place=place)
        elif subtype in LEAVES and user:
            self._writer.report.saw("leaves")
            yield self._leave(room, user, at)
        elif subtype in _ARCHIVED:
            yield self._archive(room, at, archived=_ARCHIVED[subtype])

    def close(self, room: Room) -> Iterator[Generated]:
        """Bring members and archiving to what the export's lists say, where the messages end with something else.

        A listed member who had left is back in right away; who is not listed went after the last thing they wrote.
        """
        raw = room.conversation.raw
        if listed := texts_of(raw.get("members")):
            for user, (inside, since) in list(room.members.items()):
                if inside and user not in listed:
                    yield self._leave(room, user, _next(max(since, room.spoke.get(user, since))))
                elif not inside and user in listed:
                    yield from self._join(room, user, _next(since))
        if room.conversation.listed and (raw.get("is_archived") is True) != room.archived:
            yield self._archive(room, _next(room.last), archived=not room.archived)
        if room.pins:
            self._writer.report.odd("pin_of_message_not_in_export", room.place, len(room.pins))

    def _join(
        self, room: Room, user: str, at: Moment, *, inviter: str | None = None, place: str | None = None
    ) -> Iterator[Generated]:
        where = place or room.place
        user_id = self._people.meet(user, where)
        data = {
            **self._member(room, user_id),
            "role": "member",
            "notification_level": "all",
            "muted": False,
            "invited_by": self._people.meet(inviter, where) if inviter else None,
        }
        room.members[user] = (True, at)
        yield from self._people.registrations()
        yield self._writer.write("channel_member.joined", f"{room.channel_id}/{user_id}", at, data)

    def _leave(self, room: Room, user: str, at: Moment) -> Generated:
        user_id = self._people.uuid(user)
        room.members[user] = (False, at)
        return self._writer.write(
            "channel_member.left", f"{room.channel_id}/{user_id}", at, self._member(room, user_id)
        )

    def _archive(self, room: Room, at: Moment, *, archived: bool) -> Generated:
        room.archived = archived
        name = "channel.archived" if archived else "channel.unarchived"
        data = {"channel_id": room.channel_id, "workspace_id": self._ids.workspace}
        return self._writer.write(name, room.channel_id, at, data)

    def _member(self, room: Room, user_id: str) -> dict[str, Any]:
        return {"channel_id": room.channel_id, "workspace_id": self._ids.workspace, "user_id": user_id}

    def _created(self, raw: Raw) -> Moment:
        us = micros(raw.get("created"))
        return self._founded if us is None else Moment(us)

    def _data(self, conversation: Conversation, place: str) -> dict[str, Any]:
        raw = conversation.raw
        members = texts_of(raw.get("members"))
        creator = text_of(raw.get("creator")) or next(iter(members), self._people.owner())
        name, display = self._names(conversation, members)
        return {
            "channel_id": self._ids.channel(conversation.slack_id),
            "workspace_id": self._ids.workspace,
            "name": name,
            "display_name": display,
            "channel_type": _TYPES[conversation.kind],
            "is_general": raw.get("is_general") is True,
            "topic": text_of(object_of(raw.get("topic")).get("value")),
            "purpose": text_of(object_of(raw.get("purpose")).get("value")),
            "allow_threads": True,
            "allow_file_upload": True,
            "allow_external_sharing": raw.get("is_ext_shared") is True,
            "created_by": self._people.meet(creator, place),
        }

    def _names(self, conversation: Conversation, members: list[str]) -> tuple[str, str | None]:
        given = first_text(conversation.raw.get("name"), conversation.raw.get("name_normalized"))
        if conversation.kind not in {Kind.DM, Kind.MPIM}:
            return given or conversation.slack_id.lower(), None
        people = sorted(self._people.username(user) for user in members)
        display = ", ".join(sorted(self._people.name(user) or user for user in members))
        return given or "-".join(["dm", *people]), display or None


def _next(moment: Moment) -> Moment:
    return moment.then(moment.us)


def _updates(raw: Raw) -> list[int]:
    texts = (object_of(raw.get("topic")), object_of(raw.get("purpose")))
    times = (raw.get("updated"), *(text.get("last_set") for text in texts))
    return [us for time in times if (us := micros(time)) is not None]
