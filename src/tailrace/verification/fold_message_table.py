"""Rows of `collab.messages`, of which most are as they were posted: those are made only when somebody asks for one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from tailrace.schemas.event import Event
from tailrace.verification.fold_log import Chunk, Column, ColumnTable, Key, OneOf, Row

_AS_POSTED: Final = (
    "message_id", "created_at", "workspace_id", "channel_id", "user_id", "content", "message_type",
    "formatted_content", "client_msg_id",
)  # fmt: skip
_as_posted: Final = itemgetter(*_AS_POSTED)
_UNTOUCHED: Final[Mapping[str, Any]] = {
    "reply_count": 0, "last_reply_at": None, "is_pinned": False, "is_deleted": False, "deleted_at": None,
    "reactions": {}, "has_files": False, "edited_at": None, "edit_count": 0, "edit_history": [],
}  # fmt: skip
"""Columns of a message of which nothing is known but its posting."""
_NOTHING: Final[Row] = {}


class MessageTable(ColumnTable):
    """The table. `posted` maps message_id to the event that made the message, `threads` replies to their `thread_id`.

    A row that was asked for stays, so whoever changes it changes the table. What `change` says of the others waits for
    their rows, or for their columns.
    """

    def __init__(self, posted: Mapping[str, Event], threads: Mapping[str, str]) -> None:
        self._posted = posted
        self._threads = threads
        self._rows: dict[str, Row] = {}
        self._changes: dict[str, Row] = {}

    def row(self, message_id: str) -> Row:
        """Row of a message. Raises KeyError for an id that none was posted with."""
        found = self._rows.get(message_id)
        if found is None:
            found = self._rows[message_id] = _row(self._posted[message_id], self._threads.get(message_id))
            found |= self._changes.pop(message_id, _NOTHING)
        return found

    def change(self, message_id: str, values: Row) -> None:
        """Give some columns of a message their values, of those that a posting says nothing of."""
        if (row := self._rows.get(message_id)) is not None:
            row |= values
        elif (changed := self._changes.get(message_id)) is not None:
            changed |= values
        else:
            self._changes[message_id] = values

    def __getitem__(self, key: Key) -> Row:
        message_id, created_at = key
        if message_id not in self._posted or self._posted[message_id].data["created_at"] != created_at:
            raise KeyError(key)
        return self.row(message_id)

    def __iter__(self) -> Iterator[Key]:
        for message_id, posted in self._posted.items():
            yield message_id, posted.data["created_at"]

    def __len__(self) -> int:
        return len(self._posted)

    def rows(self) -> Iterator[tuple[Key, Row]]:
        """Those that are made."""
        for message_id, row in self._rows.items():
            yield (message_id, self._posted[message_id].data["created_at"]), row

    def columns(self, size: int) -> Iterator[Chunk]:
        """All the others."""
        made, changes = self._rows, self._changes
        yield from self._chunks((p for i, p in self._posted.items() if i not in made and i not in changes), size)
        for chunk in self._chunks((self._posted[message_id] for message_id in changes), size):
            of_each = [changes[message_id] for message_id in chunk.keys[0]]
            names = {name for values in of_each for name in values}
            changed = {name: [values.get(name, _UNTOUCHED[name]) for values in of_each] for name in names}
            same = {name: value for name, value in chunk.same.items() if name not in names}
            yield Chunk(chunk.keys, {**chunk.columns, **changed}, same)

    def _chunks(self, events: Iterable[Event], size: int) -> Iterator[Chunk]:
        left = iter(events)
        while some := list(islice(left, size)):
            columns: dict[str, Sequence[Any]] = dict(
                zip(_AS_POSTED, zip(*[_as_posted(event.data) for event in some], strict=True), strict=True)
            )
            ids = columns.pop("message_id")
            columns["client_msg_id"] = _client_ids(columns["client_msg_id"])
            columns["thread_id"] = list(map(self._threads.get, ids))
            columns["mentions"] = [distinct(m) if (m := event.data["mentions"]) else m for event in some]
            created_at, times = columns.pop("created_at"), tuple([event.time for event in some])
            columns["updated_at"] = created_at if times == created_at else times
            yield Chunk((ids, created_at), columns, _UNTOUCHED)


def _row(event: Event, thread_id: str | None) -> Row:
    """Give the columns as they are while nothing else is known of the message."""
    return vars(_Posted(event, thread_id))


class _Posted:
    """Attributes instead of a dict: they share their names, and take a fifth of its memory to wait for."""

    def __init__(self, event: Event, thread_id: str | None) -> None:
        posted = event.data
        self.workspace_id = posted["workspace_id"]
        self.channel_id = posted["channel_id"]
        self.user_id = posted["user_id"]
        self.content = posted["content"]
        self.message_type = posted["message_type"]
        self.formatted_content = posted["formatted_content"]
        self.is_pinned = False
        self.is_deleted = False
        self.deleted_at = None
        self.mentions = distinct(posted["mentions"])
        self.edited_at = None
        self.edit_count = 0
        self.edit_history: list[Row] = []
        (self.client_msg_id,) = _client_ids((posted["client_msg_id"],))
        self.updated_at = event.time
        self.thread_id = thread_id
        self.reply_count = 0
        self.last_reply_at = None
        self.reactions: dict[str, list[str]] = {}
        self.has_files = False


def _client_ids(ids: Column) -> Column:
    """An empty id is no id (24): whether it is kept or becomes null is open."""
    return [OneOf((None, "")) if one == "" else one for one in ids] if "" in ids else ids


def distinct(ids: list[Any]) -> list[Any]:
    """Keep the first appearance of each (39)."""
    return list(dict.fromkeys(ids)) if len(ids) > 1 else ids
