"""Messages, their pins, and which posted ids are one message."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tailrace.schemas.event import Event
from tailrace.verification.fold_log import Log, OneOf, Row, Table, latest, newest_time, rank, time_of
from tailrace.verification.fold_membership import Endings

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

    `posted` maps message_id to the event that made the message: the first in the log with that id (20). `canonical`
    maps every known id, aliases included, to the id of its message; events about other ids are parked.
    """

    def __init__(self, log: Log) -> None:
        self.posted: dict[str, Event] = {}
        self.canonical: dict[str, str] = {}
        same_client_id: dict[tuple[str, str, str], list[Event]] = {}
        for event in log.of("message.posted"):
            message_id, client_msg_id = event.data["message_id"], event.data.get("client_msg_id")
            if message_id in self.canonical:
                continue
            earlier = []
            if client_msg_id:
                key = event.data["channel_id"], event.data["user_id"], client_msg_id
                earlier = same_client_id.setdefault(key, [])
            original = next(
                (e for e in reversed(earlier) if abs(event.time - e.time) < CLIENT_MSG_ID_WINDOW),
                None,
            )
            if original is not None:
                self.canonical[message_id] = original.data["message_id"]
            else:
                self.canonical[message_id] = message_id
                self.posted[message_id] = event
                earlier.append(event)

    def message_of(self, event: Event) -> str | None:
        """Id of the message that an event is about, aliases resolved; None while it is not known."""
        return self.canonical.get(event.data["message_id"])


class Version(NamedTuple):
    """One text of a message: when it was written (`created_at` or `edited_at`, UTC) and by whom."""

    content: str
    edited_at: datetime
    editor_id: str


class Message(NamedTuple):
    """One message with its registers evaluated; `deleted_at` is None while it is visible."""

    posted: Event
    last_edit: Event | None
    versions: tuple[Version, ...]
    deletion: Event | None
    pin: Event | None
    erased_at: datetime | None

    @property
    def deleted_at(self) -> datetime | None:
        """Time of the winning delete, else of the author's erasure (23, 31)."""
        own = self.deletion.time if self.deletion and self.deletion.type.endswith(".deleted") else None
        return own or self.erased_at

    @property
    def is_visible(self) -> bool:
        """Neither deleted nor by an erased author."""
        return self.deleted_at is None

    @property
    def shown_pin(self) -> Event | None:
        """The `pinned` that shows: the pin register says so and the message is visible (22)."""
        return self.pin if self.is_visible and self.pin and self.pin.type.endswith(".pinned") else None


def evaluate(log: Log, postings: Postings, endings: Endings) -> dict[str, Message]:
    """Evaluate every message's registers; message_id → Message."""
    about = log.subjects(*MESSAGE_EVENTS, by=postings.message_of)
    found: dict[str, Message] = {}
    for message_id, posted in postings.posted.items():
        events, erased_at = about.get(message_id), endings.erased_at(posted.data["user_id"])
        if events is None:  # as of most messages
            found[message_id] = Message(posted, None, (_first_version(posted),), None, None, erased_at)
            continue
        # The posting is the first of the chain: edits below it are stale (19). Other registers do not compare with it.
        edits = [edit for edit in events.all("message.edited") if rank(edit) > rank(posted)]
        found[message_id] = Message(
            posted=posted,
            last_edit=latest(edits),
            versions=_versions(posted, edits),
            deletion=events.last("message.deleted", "message.restored"),
            pin=events.last("message.pinned", "message.unpinned"),
            erased_at=erased_at,
        )
    return found


def _first_version(posted: Event) -> Version:
    return Version(posted.data["content"], posted.data["created_at"], posted.data["user_id"])


def _versions(posted: Event, edits: list[Event]) -> tuple[Version, ...]:
    """Texts by rank, the original first; of neighbours with the same text the one that introduced it stays (16, 17)."""
    chain = [_first_version(posted)]
    for edit in sorted(edits, key=rank):
        if edit.data["content"] != chain[-1].content:
            chain.append(Version(edit.data["content"], edit.data["edited_at"], edit.data["editor_id"]))
    return tuple(chain)


def message_row(message: Message) -> Row:
    """Give the columns of `collab.messages` that follow from the message's own events."""
    posted = message.posted.data
    deleted_at, client_msg_id = message.deleted_at, posted.get("client_msg_id")
    row = {
        "workspace_id": posted["workspace_id"],
        "channel_id": posted["channel_id"],
        "user_id": posted["user_id"],
        "message_type": posted["message_type"],
        # An empty id is no id (24): whether it is kept or becomes null is open.
        "client_msg_id": OneOf((None, "")) if client_msg_id == "" else client_msg_id,
        "is_pinned": message.shown_pin is not None,
        "is_deleted": deleted_at is not None,
        "deleted_at": deleted_at,
        "updated_at": _updated_at(message),
    }
    if message.erased_at is not None:
        # edited_at and mentions of an erased author's message are free (31).
        row |= {"content": "", "formatted_content": None, "edit_history": [], "edit_count": 0}
        return row
    newest = (message.last_edit or message.posted).data
    history = message.versions[:-1]
    row |= {
        "content": message.versions[-1].content,
        "formatted_content": newest.get("formatted_content"),
        "mentions": _distinct(newest["mentions"]),
        "edited_at": message.last_edit.data["edited_at"] if message.last_edit else None,
        "edit_history": [
            {"content": old.content, "edited_at": old.edited_at, "editor_id": old.editor_id} for old in history
        ],
        "edit_count": len(history),
    }
    return row


def _updated_at(message: Message) -> datetime:
    newest = newest_time(message.last_edit, message.deletion, message.pin)
    return max(time for time in (message.posted.time, newest, message.erased_at) if time is not None)


def _distinct(ids: list[Any]) -> list[Any]:
    """Keep the first appearance of each (39)."""
    return list(dict.fromkeys(ids))


def channel_pins(messages: dict[str, Message]) -> Table:
    """Fold `collab.channel_pins`: a row for each message that shows as pinned (22)."""
    return {
        (message.posted.data["channel_id"], message_id): {
            "pinned_by": message.shown_pin.data["user_id"],
            "pinned_at": time_of(message.shown_pin),
        }
        for message_id, message in messages.items()
        if message.shown_pin
    }


def last_message_at(messages: dict[str, Message]) -> dict[str, datetime]:
    """channel_id → newest `created_at` of its visible messages of any type, replies included (28)."""
    newest: dict[str, datetime] = {}
    for message in messages.values():
        if message.is_visible:
            channel_id, created_at = message.posted.data["channel_id"], message.posted.data["created_at"]
            newest[channel_id] = max(newest.get(channel_id, created_at), created_at)
    return newest
