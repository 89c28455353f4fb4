"""Messages of a realm, with what hangs on them: edits, reactions, files."""

import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from tailrace.history.generated import Generated, Moment
from tailrace.history.making import FileFacts, Ids, Maker, Place, Post
from tailrace.history.reading import UnreadableFileError, parse_json
from tailrace.history.report import Report
from tailrace.history.values import first_text, micros, objects_of, text_of
from tailrace.history.zulip_export import Raw, ZulipExport
from tailrace.history.zulip_people import People
from tailrace.history.zulip_rooms import Rooms
from tailrace.history.zulip_survey import Survey, id_of, sent_at

_MENTION: Final = re.compile(r"(?<!_)@\*\*([^*|]+)(?:\|(\d{1,18}))?\*\*")
_WRITTEN: Final = 1
"""Type of messages that somebody wrote; others are notes of Zulip's own."""
Reaction = tuple[int, int, str]
"""Id, user, emoji."""


@dataclass(frozen=True, slots=True)
class Change:
    """One edit: the text before it, when, and by whom, if that is known."""

    before: str
    us: int
    editor: int | None


class Messages:
    """Makes the events of messages and files."""

    def __init__(
        self, export: ZulipExport, found: Survey, ids: Ids, maker: Maker, people: People, rooms: Rooms
    ) -> None:
        self._export = export
        self._found = found
        self._ids = ids
        self._maker = maker
        self._people = people
        self._rooms = rooms
        self._reactions = _reactions(export.table("zerver_reaction"), maker.report)
        self._files = _files(export, maker.report)
        self._shared: dict[int, list[Raw]] = {}
        for file in self._files:
            messages = file.get("messages")
            for message in messages if isinstance(messages, list) else ():
                if (key := id_of(message)) is not None:
                    maker.report.saw("file_shares")
                    self._shared.setdefault(key, []).append(file)

    def loose_files(self, workspace_id: str) -> Iterator[Generated]:
        """Make all files, before the messages that they are shared with."""
        for file in self._files:
            owner = id_of(file.get("owner"))
            name = first_text(file.get("file_name")) or f"file {file['id']}"
            kind = first_text(file.get("content_type")) or mimetypes.guess_type(name)[0]
            if id_of(file.get("size")) is None:
                self._maker.report.odd("file_without_size", f"attachment {file['id']}")
            facts = FileFacts(
                self._file(file),
                first_text(file.get("path_id")) or str(file["id"]),
                name,
                id_of(file.get("size")) or 0,
                kind or "application/octet-stream",
                self._people.owner() if owner is None else self._people.user(owner),
            )
            us = micros(file.get("create_time"))
            yield self._maker.file(workspace_id, facts, self._people.founded if us is None else Moment(us))

    def file(self, name: str) -> Iterator[Generated]:
        """Make all messages of one file. Raises `UnreadableFileError`."""
        raw = self._export.read(name)
        for about, found in _reactions(objects_of(raw.get("zerver_reaction")), self._maker.report).items():
            self._reactions.setdefault(about, []).extend(found)
        for message in objects_of(raw.get("zerver_message")):
            self._maker.report.saw("messages")
            key, us = id_of(message.get("id")), sent_at(message)
            if key is None or us is None:
                self._maker.report.odd("message_without_id_or_time", name)
                continue
            place = self._rooms.place(message)
            if place is None:
                self._maker.report.odd("message_of_unknown_recipient", f"{name} message {key}")
                continue
            yield from self._message(message, key, Moment(us), place, f"{name} message {key}")

    def report_unclaimed(self) -> None:
        """Report what belongs to messages that were not made. Call it after the last file."""
        for key, reactions in self._reactions.items():
            self._maker.report.odd("reaction_of_unknown_message", f"message {key}", len(reactions))
        for key, files in self._shared.items():
            self._maker.report.odd("file_of_unknown_message", f"message {key}", len(files))

    def _message(self, raw: Raw, key: int, at: Moment, place: Place, where: str) -> Iterator[Generated]:
        changes = _changes(raw, self._maker.report, where)
        files, content = self._shared.pop(key, []), text_of(raw.get("content")) or ""
        sender, thread = id_of(raw.get("sender")) or 0, self._thread(raw, key)
        if thread:
            self._maker.report.saw("replies")
        post = Post(
            self._ids.make("message", str(key)),
            self._people.user(sender),
            changes[0].before if changes else content,
            self._kind(raw, sender, files),
            at,
            thread,
            # Since 2025 direct messages have a control character for a topic.
            None if self._found.direct(raw) else _formatted(raw),
            self._mentions(content),
            [self._file(file) for file in files],
        )
        yield self._maker.posted(place, post, where)
        last = at
        # What a change led to stands in the next one as what it replaced.
        texts = [*(change.before for change in changes[1:]), content]
        for change, text in zip(changes, texts, strict=bool(changes)):
            last = last.then(change.us)
            editor = sender if change.editor is None else change.editor
            made = replace(post, mentions=self._mentions(text))
            yield self._maker.edited(place, made, self._people.user(editor), text, last)
        for step, file_id in enumerate(post.file_ids, start=1):
            yield self._maker.shared(place, post, file_id, step)
        for step, (user, emoji) in enumerate(self._reactions_of(key, where), start=1):
            yield self._maker.reaction(place, post, self._people.user(user), emoji, Moment(at.us, step))

    def _reactions_of(self, key: int, where: str) -> Iterator[tuple[int, str]]:
        given = set[tuple[int, str]]()
        for _, user, emoji in sorted(self._reactions.pop(key, ())):
            if (user, emoji) in given:
                self._maker.report.odd("reaction_twice", where)
            else:
                given.add((user, emoji))
                yield user, emoji

    def _thread(self, raw: Raw, key: int) -> str | None:
        if self._found.direct(raw):
            return None
        topic = self._found.topic(raw)
        return None if topic is None or topic.first == key else self._ids.make("message", str(topic.first))

    def _kind(self, raw: Raw, sender: int, files: list[Raw]) -> str:
        if self._people.is_system(sender) or raw.get("type", _WRITTEN) != _WRITTEN:
            return "system"
        if self._people.is_bot(sender):
            return "bot"
        return "file" if files else "text"

    def _mentions(self, content: str) -> list[str]:
        found: dict[str, None] = {}
        for match in _MENTION.finditer(content):
            key = int(match[2]) if match[2] else self._people.named(match[1])
            if key is not None and self._people.is_known(key):
                found[self._people.user(key)] = None
        return list(found)

    def _file(self, file: Raw) -> str:
        return self._ids.make("file", str(file["id"]))


def _changes(raw: Raw, report: Report, where: str) -> list[Change]:
    """Return a message's edits of its text, oldest first; the export has them newest first, as JSON in a string."""
    entries: Any = raw.get("edit_history")
    if isinstance(entries, str):
        try:
            entries = parse_json(where, entries.encode(errors="replace"))
        except UnreadableFileError:
            report.odd("edit_history_unreadable", where)
            entries = None
    changes = []
    for entry in reversed(objects_of(entries)):
        us, before = micros(entry.get("timestamp")), entry.get("prev_content")
        if entry.get("prev_topic") is not None or entry.get("prev_subject") is not None:
            report.saw("topic_changes")
        if us is not None and isinstance(before, str):
            changes.append(Change(before, us, id_of(entry.get("user_id"))))
    edited = micros(raw.get("last_edit_time"))
    if edited is not None and not objects_of(entries):
        # The realm keeps no history: the text was changed, and only the last is there.
        changes.append(Change(text_of(raw.get("content")) or "", edited, None))
    return changes


def _formatted(raw: Raw) -> dict[str, Any] | None:
    subject = text_of(raw.get("subject"))
    return {"zulip_topic": subject} if subject else None


def _reactions(rows: list[Raw], report: Report) -> dict[int, list[Reaction]]:
    found: dict[int, list[Reaction]] = {}
    if rows:
        report.saw("reactions", len(rows))
    for row in rows:
        message, user, emoji = id_of(row.get("message")), id_of(row.get("user_profile")), _emoji(row)
        if message is None or user is None or emoji is None:
            report.odd("reaction_incomplete", f"reaction {row.get('id')}")
        else:
            found.setdefault(message, []).append((id_of(row.get("id")) or 0, user, emoji))
    return found


def _emoji(row: Raw) -> str | None:
    """Return the character of a Unicode emoji, whose code names its code points, and `:name:` of any other."""
    code, name = text_of(row.get("emoji_code")), text_of(row.get("emoji_name"))
    if row.get("reaction_type") == "unicode_emoji" and code:
        try:
            emoji = "".join(chr(int(point, 16)) for point in code.split("-"))
            emoji.encode()  # refuses halves of surrogate pairs
        except (ValueError, OverflowError):
            return f":{name}:" if name else None
        return emoji
    return f":{name}:" if name else None


def _files(export: ZulipExport, report: Report) -> list[Raw]:
    try:
        return [row for row in export.attachments() if id_of(row.get("id")) is not None]
    except UnreadableFileError as error:
        report.cannot_read(error.file, error.reason)
        return []
