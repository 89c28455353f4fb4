"""Messages, their pins, and which posted ids are one message."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tailrace.schemas.event import Event
from tailrace.verification.fold_log import Log, Row, Subject, Table, latest, newest_time, rank
from tailrace.verification.fold_membership import Endings
from tailrace.verification.fold_message_table import MessageTable, distinct

CLIENT_MSG_ID_WINDOW = timedelta(days=7)
"""A posting is the same message as an earlier one of its client_msg_id that is less than this away (rule M, 24)."""

MESSAGE_EVENTS = (
    "message.edited",
    "message.deleted",
    "message.restored",
    "message.pinned",
    "message.unpinned",
)


class Postings:
    """Which `message.posted` made a message, and which ids are only other names of one.

    `posted` maps message_id to the event that made the message: the first in the log with that id (20). `aliases` maps
    the other ids of messages to those; events about ids that are in neither are parked. `threads` maps the ids of
    messages that name a thread to its id as given.
    """

    def __init__(self, log: Log) -> None:
        self.posted: dict[str, Event] = {}
        self.threads: dict[str, str] = {}
        self.aliases: dict[str, str] = {}
        posted, aliases = self.posted, self.aliases
        # By the client's id alone first: whole keys of all postings cost more, and most ids are there once. Clients
        # that number their messages in each channel are why it cannot be all.
        first: dict[str, Event] = {}
        same_client_id: dict[tuple[str, str, str], tuple[Event, ...]] = {}
        for event in log.of("message.posted"):
            data = event.data
            message_id, client_msg_id = data["message_id"], data.get("client_msg_id")
            if message_id in posted or message_id in aliases:
                continue
            if client_msg_id:
                other = first.setdefault(client_msg_id, event)
                if other is not event:
                    key = _client_key(event)
                    earlier = same_client_id.get(key) or ((other,) if _client_key(other) == key else ())
                    if original := _nearest(event, earlier):
                        aliases[message_id] = original.data["message_id"]
                        continue
                    same_client_id[key] = (*earlier, event)
            posted[message_id] = event
            if data["thread_id"]:
                self.threads[message_id] = data["thread_id"]

    def message_of(self, event: Event) -> str | None:
        """Id of the message that an event is about, aliases resolved; None while it is not known."""
        return self.canonical(event.data["message_id"])

    def canonical(self, message_id: str) -> str | None:
        """Id of the message that is known by this one; None for none."""
        return message_id if message_id in self.posted else self.aliases.get(message_id)


def _nearest(event: Event, earlier: Sequence[Event]) -> Event | None:
    return next((e for e in reversed(earlier) if abs(event.time - e.time) < CLIENT_MSG_ID_WINDOW), None)


def _client_key(event: Event) -> tuple[str, str, str]:
    """What a client's id names a message within."""
    data = event.data
    return data["channel_id"], data["user_id"], data["client_msg_id"]


class Version(NamedTuple):
    """One text of a message: when it was written (`created_at` or `edited_at`, UTC) and by whom."""

    content: str
    edited_at: datetime
    editor_id: str


class Message(NamedTuple):
    """One message with its registers evaluated.

    `versions` are its texts, the original first. `pin` is the `pinned` that shows: the pin register says so and the
    message is visible (22). `deleted_at` is the time of the winning delete, else of the author's erasure (23, 31); None
    while the message is visible.
    """

    posted: Event
    versions: tuple[Version, ...]
    last_edit: Event | None
    pin: Event | None
    deleted_at: datetime | None
    erased_at: datetime | None
    updated_at: datetime


class Messages:
    """All messages. Most are still as they were posted, and nothing more is said of them.

    `posted` maps message_id to the event that made the message, `touched` to the others evaluated.
    """

    def __init__(self, log: Log, postings: Postings, endings: Endings) -> None:
        self.posted = postings.posted
        about = log.subjects(*MESSAGE_EVENTS, by=postings.message_of)
        of_erased: dict[str, Event] = {}
        if erased := endings.erased:
            of_erased = {m: posted for m, posted in self.posted.items() if posted.data["user_id"] in erased}
        self.touched = {
            message_id: _evaluated(
                posted := self.posted[message_id],
                about.get(message_id) or Subject(),
                endings.erased_at(posted.data["user_id"]),
            )
            for message_id in {**about, **of_erased}
        }

    def is_visible(self, message_id: str) -> bool:
        """Neither deleted nor by an erased author."""
        message = self.touched.get(message_id)
        return message is None or message.deleted_at is None

    def is_erased(self, message_id: str) -> bool:
        """Whether its author was erased."""
        message = self.touched.get(message_id)
        return message is not None and message.erased_at is not None

    def touch(self, table: MessageTable) -> None:
        """Bring the rows of messages from what was posted to what became of it."""
        for message_id, message in self.touched.items():
            _touch(table.row(message_id), message)


def _evaluated(posted: Event, events: Subject, erased_at: datetime | None) -> Message:
    # The posting is the first of the chain: edits below it are stale (19). Other registers do not compare with it.
    edits = [edit for edit in events.all("message.edited") if rank(edit) > rank(posted)]
    last_edit = latest(edits)
    deletion = events.last("message.deleted", "message.restored")
    pin = events.last("message.pinned", "message.unpinned")
    deleted_at = deletion.time if deletion and deletion.type.endswith(".deleted") else erased_at
    newest = newest_time(posted, last_edit, deletion, pin)
    return Message(
        posted=posted,
        versions=_versions(posted, edits),
        last_edit=last_edit,
        pin=pin if deleted_at is None and pin and pin.type.endswith(".pinned") else None,
        deleted_at=deleted_at,
        erased_at=erased_at,
        updated_at=max(time for time in (newest, erased_at) if time is not None),
    )


def _first_version(posted: Event) -> Version:
    return Version(posted.data["content"], posted.data["created_at"], posted.data["user_id"])


def _versions(posted: Event, edits: list[Event]) -> tuple[Version, ...]:
    """Texts by rank, the original first; of neighbours with the same text the one that introduced it stays (16, 17)."""
    chain = [_first_version(posted)]
    for edit in sorted(edits, key=rank):
        if edit.data["content"] != chain[-1].content:
            chain.append(Version(edit.data["content"], edit.data["edited_at"], edit.data["editor_id"]))
    return tuple(chain)


def _touch(row: Row, message: Message) -> None:
    row |= {
        "is_pinned": message.pin is not None,
        "is_deleted": message.deleted_at is not None,
        "deleted_at": message.deleted_at,
        "updated_at": message.updated_at,
    }
    if message.erased_at is not None:
        row |= {"content": "", "formatted_content": None}
        # These columns of an erased author's message are free (31).
        del row["mentions"], row["edited_at"], row["has_files"]
        return
    newest = (message.last_edit or message.posted).data
    history = message.versions[:-1]
    row |= {
        "content": message.versions[-1].content,
        "formatted_content": newest["formatted_content"],
        "mentions": distinct(newest["mentions"]),
        "edited_at": message.last_edit.data["edited_at"] if message.last_edit else None,
        "edit_history": [
            {"content": old.content, "edited_at": old.edited_at, "editor_id": old.editor_id} for old in history
        ],
        "edit_count": len(history),
    }


def channel_pins(messages: Messages) -> Table:
    """Fold `collab.channel_pins`: a row for each message that shows as pinned (22)."""
    return {
        (message.posted.data["channel_id"], message_id): {
            "pinned_by": message.pin.data["user_id"],
            "pinned_at": message.pin.time,
        }
        for message_id, message in messages.touched.items()
        if message.pin
    }


def last_message_at(messages: Messages) -> dict[str, datetime]:
    """channel_id → newest `created_at` of its visible messages of any type, replies included (28)."""
    newest: dict[str, datetime] = {}
    touched = messages.touched
    for message_id, posted in messages.posted.items():
        if message_id not in touched or touched[message_id].deleted_at is None:
            channel_id, created_at = posted.data["channel_id"], posted.data["created_at"]
            if channel_id not in newest or newest[channel_id] < created_at:
                newest[channel_id] = created_at
    return newest
