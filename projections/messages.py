"""One message: its posting, edits, deletion and pin (SEMANTICS M, rulings 16 to 23 and 31)."""

from datetime import datetime
from typing import Any

from tailrace.projections.registers import Row, held_at, moment, stamp, take
from tailrace.schemas.event import Event

POSTED_COLUMNS = (
    "message_id", "created_at", "workspace_id", "channel_id", "user_id", "content", "message_type", "formatted_content",
    "thread_id", "client_msg_id", "updated_at", "posted_at", "posted_length", "posted_sequence", "posted_event",
)  # fmt: skip
"""Columns that every posting writes."""

TOUCHED_COLUMNS = (
    "mentions", "reply_count", "last_reply_at", "is_pinned", "is_deleted", "deleted_at", "reactions", "edited_at",
    "edit_count", "edit_history", "registers",
)  # fmt: skip
"""Columns of a new message that differ from the table's defaults only where `is_plain` does not hold; `has_files`
follows from the files and starts false."""

CHANGED_COLUMNS = (
    "content", "formatted_content", "is_pinned", "is_deleted", "deleted_at", "mentions", "edited_at", "edit_count",
    "edit_history", "updated_at", "thread_id", "registers",
)  # fmt: skip
"""Columns that later events about the message write."""

MESSAGE_EVENTS = frozenset(f"collab.message.{kind}" for kind in ("edited", "deleted", "restored", "pinned", "unpinned"))


def posted_row(event: Event, thread_id: str | None) -> Row:
    """Row of a message as posted; its length in code points stays whatever becomes of the text (ruling 65b)."""
    return vars(_Posted(event, thread_id))


class _Posted:
    """Attributes instead of a dict: rows share their names, take a third of its memory and three quarters of its time.

    What a posting says nothing of has the value that stands for nothing.
    """

    def __init__(self, event: Event, thread_id: str | None) -> None:
        data, mentions = event.data, event.data["mentions"]
        self.message_id = data["message_id"]
        self.created_at = data["created_at"]
        self.workspace_id = data["workspace_id"]
        self.channel_id = data["channel_id"]
        self.user_id = data["user_id"]
        self.content = content = data["content"]
        self.message_type = data["message_type"]
        self.formatted_content = data["formatted_content"]
        self.thread_id = thread_id
        self.reply_count = 0
        self.last_reply_at = None
        self.is_pinned = False
        self.is_deleted = False
        self.deleted_at = None
        self.reactions: Row = {}
        self.mentions = list(dict.fromkeys(mentions)) if len(mentions) > 1 else mentions
        self.edited_at = None
        self.edit_count = 0
        self.edit_history: list[Row] = []
        self.client_msg_id = data["client_msg_id"]
        self.updated_at = self.posted_at = event.time
        self.posted_length = len(content)
        self.posted_sequence = event.sequence
        self.posted_event = event.id
        self.registers = None
        self.appended_at = event.appended_at


def is_plain(row: Row) -> bool:
    """Whether a new row mentions nobody and nothing has touched it: no event, no reply, no reaction, no erasure."""
    return row["registers"] is None and not (
        row["mentions"] or row["reply_count"] or row["reactions"] or row["is_deleted"]
    )


def fold_message(row: Row, event: Event) -> bool:
    """Fold an event about a posted message into its row; returns whether anything changed.

    Call `finish_message` once after the last event: it derives the columns from the registers.
    """
    registers: dict[str, Any] = row["registers"] or {}
    kind = event.type.rpartition(".")[2]
    match kind:
        case "edited":
            changed = _take_edit(row, registers, event)
        case "deleted" | "restored":
            changed = take(registers, "deleted", event, kind == "deleted")
        case _:
            changed = take(registers, "pinned", event, kind == "pinned", event.data["user_id"])
    if changed:
        row["registers"] = registers
    return changed


def _take_edit(row: Row, registers: dict[str, Any], event: Event) -> bool:
    """Put an edit at its place in the chain of versions, which starts with the posting (rulings 17 to 19)."""
    order = (event.sequence, event.id)
    if order <= (row["posted_sequence"], row["posted_event"]):
        return False
    chain = registers.get("chain")
    if chain is None:
        posted = [row["posted_sequence"], row["posted_event"], row["content"], stamp(row["created_at"]), row["user_id"]]
        chain = registers["chain"] = [posted]
    if any((version[0], version[1]) == order for version in chain):
        return False
    data = event.data
    chain.append([event.sequence, event.id, data["content"], stamp(data["edited_at"]), data["editor_id"]])
    chain.sort(key=lambda version: (version[0], version[1]))
    if take(registers, "edit", event):
        row["mentions"] = list(dict.fromkeys(data["mentions"]))
        row["formatted_content"] = data.get("formatted_content")
        row["edited_at"] = data["edited_at"]
    return True


def finish_message(row: Row, erased_at: datetime | None) -> None:
    """Derive the columns that follow from several registers; `erased_at` is when the author was erased, if ever."""
    registers: dict[str, Any] = row["registers"] or {}
    if erased_at is not None:
        registers.pop("chain", None)  # the texts go for good; no later edit can bring them back
        row |= {"content": "", "formatted_content": None, "edit_history": [], "edit_count": 0}
    elif (chain := registers.get("chain")) is not None:
        versions = _collapse(chain)
        row["content"] = versions[-1][2]
        row["edit_history"] = [
            {"content": version[2], "edited_at": version[3], "editor_id": version[4]} for version in versions[:-1]
        ]
        row["edit_count"] = len(versions) - 1
    deleted = registers.get("deleted")
    own_delete = moment(deleted[2]) if deleted is not None and deleted[3] else None
    row["deleted_at"] = own_delete or erased_at
    row["is_deleted"] = row["deleted_at"] is not None
    pinned = registers.get("pinned")
    row["is_pinned"] = pinned is not None and pinned[3] and not row["is_deleted"]
    holders = (held_at(registers, name) for name in ("edit", "deleted", "pinned"))
    row["updated_at"] = max(filter(None, (row["posted_at"], erased_at, *holders)))


def _collapse(chain: list[list[Any]]) -> list[list[Any]]:
    """Neighbours with the same text are one version, that of the event which introduced the text (ruling 17)."""
    versions = chain[:1]
    for version in chain[1:]:
        if version[2] != versions[-1][2]:
            versions.append(version)
    return versions
