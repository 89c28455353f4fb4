"""Messages with what hangs on them: edits, deletion, reactions, pins, files.

Slack's time of a message is its `ts`; an edit's is `edited.ts`. For a reaction Slack gives none: it happened right
after the message, in the order listed. For a tombstone, whose text is gone, the deletion happened right after it too.
An ordinary export has only the last text of an edited message: it is posted with that text, and edited to the same text
at the time of the edit, which shows as edited and leaves no false entry in its history (ruling 17). Where an export
holds the earlier text, the message is posted with the first and edited to each next.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tailrace.history.generated import EventWriter, Generated, Moment
from tailrace.history.slack_channels import Room
from tailrace.history.slack_days import Entry
from tailrace.history.slack_files import Files, files_of
from tailrace.history.slack_people import UNKNOWN, People
from tailrace.history.slack_survey import TOMBSTONE
from tailrace.history.slack_text import Readable, TextReader, markup_of
from tailrace.history.slack_values import SlackIds
from tailrace.history.values import first_text, micros, object_of, objects_of, text_of, texts_of

CONTENT_CHARS_MAX: Final = 100_000
FORMATTED_BYTES_MAX: Final = 256 * 2**10
"""Slack's own limits are far below both; together they keep an event under the contract's 1 MiB."""

_WRITTEN: Final = frozenset(
    {None, "", "me_message", "thread_broadcast", "reply_broadcast", "file_share", "file_mention", "file_comment"}
)
_BY_PROGRAMS: Final = frozenset({"bot_message", "slackbot_response", "assistant_app_thread"})
_SYSTEM: Final = frozenset(
    f"{scope}_{what}"
    for scope in ("channel", "group")
    for what in ("join", "leave", "topic", "purpose", "name", "archive", "unarchive", "posting_permissions")
) | {
    "app_conversation_join",
    "app_conversation_leave",
    "bot_add",
    "bot_disable",
    "bot_enable",
    "bot_remove",
    "channel_canvas_updated",
    "channel_convert_to_private",
    "channel_convert_to_public",
    "ekm_access_denied",
    "huddle_thread",
    "joiner_notification",
    "joiner_notification_for_inviter",
    "pinned_item",
    "reminder_add",
    "reminder_delete",
    "sh_room_created",
    "tabbed_canvas_updated",
    TOMBSTONE,
    "unpinned_item",
}
_KEPT: Final = ("blocks", "attachments")


@dataclass(frozen=True, slots=True)
class Version:
    """A message's text at one moment; `editor` is a Slack id."""

    at: Moment
    editor: str
    item: Mapping[str, Any]


class Messages:
    """Makes a message's events, in the order in which they can be published."""

    def __init__(self, ids: SlackIds, people: People, texts: TextReader, files: Files, writer: EventWriter) -> None:
        self._ids = ids
        self._people = people
        self._texts = texts
        self._files = files
        self._writer = writer

    def events(self, room: Room, entry: Entry) -> Iterator[Generated]:
        """Make everything of one message; a tombstone is posted without text and deleted at once."""
        author, item = self._author(entry), entry.item
        files, posted = files_of(item), Moment(entry.us)
        for file in files:
            yield from self._files.uploaded(file, author, posted, entry.place)
        reference = self._reference(room, entry)
        made = [self._posted(room, entry, author, files)]
        last = posted
        for version in self._versions(entry, author):
            made.append(self._edited(reference, version, entry.place))
            last = version.at
        made += self._files.shared(files, reference, posted)
        made += self._reactions(reference, item, posted, entry.place)
        made += self._pinned(room, reference, entry, author)
        if entry.removal or item.get("subtype") == TOMBSTONE:
            self._writer.report.saw("messages_deleted")
            at = last.then(entry.removal.us if entry.removal else entry.us)
            data = {**reference, "actor_id": self._people.uuid(author)}
            made.append(self._writer.write("message.deleted", reference["message_id"], at, data))
        yield from self._people.registrations()
        yield from made

    def _author(self, entry: Entry) -> str:
        """Return the Slack id of who wrote it, met by the name the message gives them."""
        item, profile = entry.item, object_of(entry.item.get("user_profile"))
        bot_profile, comment = object_of(item.get("bot_profile")), object_of(item.get("comment"))
        slack_id = first_text(item.get("user"), comment.get("user"))
        name = first_text(profile.get("display_name"), profile.get("real_name"), profile.get("name"))
        if slack_id is None and (bot := text_of(item.get("bot_id"))):
            slack_id, name = self._people.bot_user(bot), first_text(item.get("username"), bot_profile.get("name"))
        if slack_id is None and (name := text_of(item.get("username"))):
            slack_id = f"B-{name}"
        if slack_id is None:
            self._writer.report.odd("message_without_author", entry.place)
            slack_id = UNKNOWN
        self._people.meet(slack_id, entry.place, name)
        return slack_id

    def _reference(self, room: Room, entry: Entry) -> dict[str, Any]:
        return {
            "message_id": self._ids.message(room.slack_id, entry.us),
            "channel_id": room.channel_id,
            "workspace_id": self._ids.workspace,
            "message_created_at": Moment(entry.us).time,
        }

    def _posted(self, room: Room, entry: Entry, author: str, files: list[dict[str, Any]]) -> Generated:
        item, at = entry.first, Moment(entry.us)
        message_id = self._ids.message(room.slack_id, entry.us)
        kind = self._kind(entry, author, files)
        readable = self._readable(item, entry.place)
        thread = micros(entry.item.get("thread_ts"))
        replies = thread is not None and thread != entry.us
        self._writer.report.saw("messages")
        if replies:
            self._writer.report.saw("replies")
        data = {
            "message_id": message_id,
            "channel_id": room.channel_id,
            "workspace_id": self._ids.workspace,
            "user_id": self._people.uuid(author),
            "content": readable.content,
            "message_type": kind,
            "formatted_content": self._formatted(item, entry.place),
            "thread_id": self._ids.message(room.slack_id, thread) if replies and thread else None,
            "client_msg_id": text_of(entry.item.get("client_msg_id")),
            "mentions": [] if kind == "system" else self._mentions(readable, entry.place),
            "file_ids": [self._files.uuid(file) for file in files],
            "created_at": at.time,
        }
        return self._writer.write("message.posted", message_id, at, data)

    def _kind(self, entry: Entry, author: str, files: list[dict[str, Any]]) -> str:
        subtype = text_of(entry.item.get("subtype"))
        if subtype in _SYSTEM:
            return "system"
        if subtype not in _WRITTEN and subtype not in _BY_PROGRAMS:
            self._writer.report.odd(f"subtype {subtype}", entry.place)
            # Slack's clients give this id to what somebody typed.
            return "text" if entry.item.get("client_msg_id") else "system"
        if subtype in _BY_PROGRAMS or entry.item.get("bot_id") or self._people.is_bot(author):
            return "bot"
        return "file" if files else "text"

    def _readable(self, item: Mapping[str, Any], place: str) -> Readable:
        subtype = text_of(item.get("subtype"))
        if subtype == TOMBSTONE:
            return Readable("")
        comment = text_of(object_of(item.get("comment")).get("comment")) if subtype == "file_comment" else None
        readable = self._texts.read(comment or markup_of(dict(item)))
        if not readable.content and subtype in _SYSTEM:
            readable.content = str(subtype).replace("_", " ")
        if readable.unknown:
            self._writer.report.odd("unknown_reference_in_text", place, readable.unknown)
        if len(readable.content) > CONTENT_CHARS_MAX:
            self._writer.report.odd("text_cut", place)
            readable.content = readable.content[:CONTENT_CHARS_MAX]
        return readable

    def _mentions(self, readable: Readable, place: str) -> list[str]:
        return [self._people.meet(slack_id, place) for slack_id in readable.mentions]

    def _formatted(self, item: Mapping[str, Any], place: str) -> dict[str, Any] | None:
        subtype = text_of(item.get("subtype"))
        if subtype == TOMBSTONE:
            return None
        formatted: dict[str, Any] = {f"slack_{name}": item[name] for name in _KEPT if item.get(name)}
        if formatted and not _fits(formatted):
            self._writer.report.odd("blocks_too_large", place)
            formatted = {}
        if subtype:
            formatted["slack_subtype"] = subtype
        return formatted or None

    def _versions(self, entry: Entry, author: str) -> Iterator[Version]:
        at = Moment(entry.us)
        for change in entry.changes:
            at = at.then(change.us)
            yield Version(at, change.editor or author, change.after or entry.item)
        edited = object_of(entry.item.get("edited"))
        us = micros(edited.get("ts"))
        if us is not None and us > max((change.us for change in entry.changes), default=0):
            # Slack gives the whole second of an edit, so that of a quick one seems to lie before the message.
            yield Version(at.then(us), text_of(edited.get("user")) or author, entry.item)

    def _edited(self, reference: dict[str, Any], version: Version, place: str) -> Generated:
        self._writer.report.saw("edits")
        readable = self._readable(version.item, place)
        data = {
            **reference,
            "editor_id": self._people.meet(version.editor, place),
            "content": readable.content,
            "formatted_content": self._formatted(version.item, place),
            "mentions": self._mentions(readable, place),
            "edited_at": version.at.time,
        }
        return self._writer.write("message.edited", reference["message_id"], version.at, data)

    def _reactions(
        self, reference: dict[str, Any], item: Mapping[str, Any], posted: Moment, place: str
    ) -> Iterator[Generated]:
        step = posted.step
        for reaction in objects_of(item.get("reactions")):
            name, users = text_of(reaction.get("name")), texts_of(reaction.get("users"))
            count = reaction.get("count")
            if name is None:
                self._writer.report.odd("reaction_without_name", place)
                continue
            if isinstance(count, int) and count > len(users):
                self._writer.report.odd("reaction_without_user", place, count - len(users))
            for user in users:
                step += 1
                self._writer.report.saw("reactions")
                data = {**reference, "user_id": self._people.meet(user, place), "emoji": f":{name}:"}
                tag = f"{data['user_id']}:{name}"
                at = Moment(posted.us, step)
                yield self._writer.write("reaction.added", reference["message_id"], at, data, tag=tag)

    def _pinned(self, room: Room, reference: dict[str, Any], entry: Entry, author: str) -> Iterator[Generated]:
        listed = room.pins.pop(entry.us, None)
        info = object_of(entry.item.get("pinned_info"))
        if listed is None and not info and room.slack_id not in texts_of(entry.item.get("pinned_to")):
            return
        self._writer.report.saw("pins")
        us = (listed.us if listed else None) or micros(info.get("pinned_ts"))
        user = (listed.user if listed else None) or text_of(info.get("pinned_by")) or author
        if us is None:
            self._writer.report.odd("pin_without_time", entry.place)
        at = Moment(entry.us).then(us or entry.us)
        data = {**reference, "user_id": self._people.meet(user, entry.place)}
        yield self._writer.write("message.pinned", reference["message_id"], at, data)


def _fits(formatted: dict[str, Any]) -> bool:
    try:
        return len(orjson.dumps(formatted)) <= FORMATTED_BYTES_MAX
    except TypeError:
        # Nested more than 254 deep, which orjson reads and does not write.
        return False
