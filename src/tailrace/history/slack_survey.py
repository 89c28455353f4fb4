"""A first look through one conversation, at what a day's messages can be understood by only in hindsight.

An export with edit logs holds, beside the messages, items that say what a message was before it was edited or deleted,
at the time of that change, which may be months later. And who was a member from the beginning shows only in who never
joined.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tailrace.history.reading import UnreadableFileError, parse_json
from tailrace.history.slack_export import Conversation, SlackExport
from tailrace.history.values import first_text, micros, object_of, text_of

JOINS: Final = frozenset({"channel_join", "group_join"})
LEAVES: Final = frozenset({"channel_leave", "group_leave"})
TOMBSTONE: Final = "tombstone"
"""What stands in the place of a deleted message that has replies."""
LOGS: Final = frozenset({"message_changed", "message_deleted", "message_replied"})
"""Items about another message. `message_replied` says nothing that the reply does not."""
_MARKS: Final = (b'_join"', b'_leave"', b'"message_changed"', b'"message_deleted"')


@dataclass(frozen=True, slots=True)
class Change:
    """One edit: `us` its time, `editor` a Slack id, `before` and `after` the message as it was and became, if known."""

    us: int
    editor: str | None
    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Removal:
    """A deletion: `us` its time, `before` the message as it was, empty where the export does not say."""

    us: int
    before: Mapping[str, Any]


@dataclass(slots=True)
class Survey:
    """What the log items and the joins of one conversation say; messages are named by their time in microseconds.

    `first_seen` gives, for each (Slack) user, whether the first thing told is that they joined.
    """

    changes: dict[int, list[Change]] = field(default_factory=dict)
    removals: dict[int, Removal] = field(default_factory=dict)
    first_seen: dict[str, bool] = field(default_factory=dict)

    def logged(self) -> list[int]:
        """Times of the messages that log items are about, rising."""
        return sorted({*self.changes, *self.removals})

    def note(self, item: Mapping[str, Any]) -> None:
        """Take in one item of a day."""
        subtype, us = text_of(item.get("subtype")), micros(item.get("ts"))
        if us is None:
            return
        if subtype in JOINS or subtype in LEAVES:
            if user := text_of(item.get("user")):
                self.first_seen.setdefault(user, subtype in JOINS)
        elif subtype in {"message_changed", "message_deleted"}:
            self._note_log(item, us)

    def _note_log(self, item: Mapping[str, Any], us: int) -> None:
        about, after, before = subject_of(item), object_of(item.get("message")), _before(item)
        if about is None:
            return
        if item.get("subtype") == "message_deleted" or after.get("subtype") == TOMBSTONE:
            self.removals.setdefault(about, Removal(us, before))
            return
        edited = object_of(after.get("edited"))
        editor = first_text(edited.get("user"), item.get("editor_id"), item.get("user"))
        change = Change(micros(edited.get("ts")) or us, editor, before, after)
        self.changes.setdefault(about, []).append(change)


def subject_of(item: Mapping[str, Any]) -> int | None:
    """Return the time of the message that a log item is about."""
    before, after = _before(item), object_of(item.get("message"))
    times = (item.get("deleted_ts"), after.get("ts"), before.get("ts"))
    return next((us for time in times if (us := micros(time)) is not None), None)


def survey(export: SlackExport, conversation: Conversation) -> Survey:
    """Look through a conversation's days. Days that cannot be read are passed over here, and reported when imported."""
    found = Survey()
    for day in conversation.days:
        try:
            raw = export.read_raw(day)
            items = parse_json(day, raw) if any(mark in raw for mark in _MARKS) else []
        except UnreadableFileError:
            continue
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                found.note(item)
    for changes in found.changes.values():
        changes.sort(key=lambda change: change.us)
    return found


def _before(item: Mapping[str, Any]) -> dict[str, Any]:
    return object_of(item.get("previous_message")) or object_of(item.get("original"))
