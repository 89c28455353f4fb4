"""Search documents: which ones a batch of events makes dirty, what they are called and where they are kept.

Their content is read from PostgreSQL by `sql/queries/documents.sql`; nothing here knows it. CONTRACT section 4.
"""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from tailrace.schemas.event import Event

SHARED_INDICES: Final = 10

ALIASES: Final = ("messages", "files", "users")
"""What readers search. The word also stands for the kind of document."""


@dataclass
class Dirty:
    """What a batch touched. Documents are named by ids as the events give them; an alias id stands for its message.

    `users` and `channels` may have new names, and `named_by` has the ids of the events that may have given them;
    `erased_*` and `ended_*` are gone with everything that belongs to them. `origin` maps an id to the event that
    touched it last.
    """

    messages: set[str] = field(default_factory=set)
    posted: set[str] = field(default_factory=set)
    shown_or_hidden: set[str] = field(default_factory=set)
    files: set[tuple[str, str]] = field(default_factory=set)
    members: set[tuple[str, str]] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    profiles: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    channels: set[str] = field(default_factory=set)
    named_by: dict[str, set[str]] = field(default_factory=dict)
    erased_users: set[str] = field(default_factory=set)
    ended_channels: set[str] = field(default_factory=set)
    ended_workspaces: set[str] = field(default_factory=set)
    counted_workspaces: set[str] = field(default_factory=set)
    origin: dict[str, Event] = field(default_factory=dict)

    @property
    def reaches_far(self) -> bool:
        """Whether documents become dirty that no event of the batch names."""
        return bool(self.users or self.channels or self.erased_users or self.ended_workspaces)


def _message(dirty: Dirty, event: Event) -> None:
    dirty.messages.add(event.data["message_id"])


def _posted(dirty: Dirty, event: Event) -> None:
    """A posting brings what waited for it: replies below it get another root, parked shares change their files."""
    message_id = event.data["message_id"]
    dirty.messages.add(message_id)
    dirty.posted.add(message_id)
    dirty.shown_or_hidden.add(message_id)


def _shown_or_hidden(dirty: Dirty, event: Event) -> None:
    dirty.messages.add(event.data["message_id"])
    dirty.shown_or_hidden.add(event.data["message_id"])


def _file(dirty: Dirty, event: Event) -> None:
    dirty.files.add((event.data["workspace_id"], event.data["file_id"]))


def _share(dirty: Dirty, event: Event) -> None:
    _file(dirty, event)
    _message(dirty, event)


def _profile(dirty: Dirty, event: Event) -> None:
    dirty.profiles.add(event.data["user_id"])
    dirty.users.add(event.data["user_id"])
    dirty.named_by.setdefault(event.data["user_id"], set()).add(event.id)


def _status(dirty: Dirty, event: Event) -> None:
    dirty.profiles.add(event.data["user_id"])


def _erased(dirty: Dirty, event: Event) -> None:
    _profile(dirty, event)
    dirty.erased_users.add(event.data["user_id"])


def _member(dirty: Dirty, event: Event) -> None:
    dirty.members.add((event.data["workspace_id"], event.data["user_id"]))
    dirty.counted_workspaces.add(event.data["workspace_id"])


def _seen(dirty: Dirty, event: Event) -> None:
    if event.data["user_id"] is not None:
        dirty.members.add((event.data["workspace_id"], event.data["user_id"]))


def _session(dirty: Dirty, event: Event) -> None:
    """The end of a session names no workspace; the session's row does."""
    dirty.sessions.add(event.data["session_id"])


def _channel(dirty: Dirty, event: Event) -> None:
    dirty.channels.add(event.data["channel_id"])
    dirty.named_by.setdefault(event.data["channel_id"], set()).add(event.id)


def _channel_deleted(dirty: Dirty, event: Event) -> None:
    _channel(dirty, event)
    dirty.ended_channels.add(event.data["channel_id"])


def _workspace_deleted(dirty: Dirty, event: Event) -> None:
    dirty.ended_workspaces.add(event.data["workspace_id"])


def _workspace(dirty: Dirty, event: Event) -> None:
    """Members may have come before their workspace was known."""
    dirty.counted_workspaces.add(event.data["workspace_id"])


_TOUCH: Final[dict[str, Callable[[Dirty, Event], None]]] = {
    "collab.message.posted": _posted,
    "collab.message.edited": _message,
    "collab.message.pinned": _message,
    "collab.message.unpinned": _message,
    "collab.message.deleted": _shown_or_hidden,
    "collab.message.restored": _shown_or_hidden,
    "collab.reaction.added": _message,
    "collab.reaction.removed": _message,
    "collab.file.uploaded": _file,
    "collab.file.processed": _file,
    "collab.file.scanned": _file,
    "collab.file.deleted": _file,
    "collab.file.shared": _share,
    "collab.file.unshared": _share,
    "collab.user.registered": _profile,
    "collab.user.updated": _profile,
    "collab.user.status_changed": _status,
    "collab.user.erased": _erased,
    "collab.workspace.created": _workspace,
    "collab.workspace.updated": _workspace,
    "collab.workspace.deleted": _workspace_deleted,
    "collab.workspace_member.joined": _member,
    "collab.workspace_member.updated": _member,
    "collab.workspace_member.left": _member,
    "collab.channel.created": _channel,
    "collab.channel.updated": _channel,
    "collab.channel.deleted": _channel_deleted,
    "collab.session.started": _session,
    "collab.session.ended": _session,
    "collab.activity.recorded": _seen,
}
_NAMED_BY = ("message_id", "file_id", "user_id", "channel_id", "workspace_id")


def dirty_documents(events: Iterable[Event]) -> Dirty:
    """What the events make dirty. Pins count: they move a message's `updated_at`."""
    dirty = Dirty()
    for event in events:
        touch = _TOUCH.get(event.type)
        if touch is None:
            continue
        touch(dirty, event)
        for name in _NAMED_BY:
            if event.data.get(name) is not None:
                dirty.origin[event.data[name]] = event
                break
    return dirty


def shared_number(workspace_id: str) -> int:
    """Which shared index holds a workspace: CRC-32 (IEEE, as in zlib) of the UUID's text, mod 10 (ruling 69)."""
    return zlib.crc32(workspace_id.encode("ascii")) % SHARED_INDICES


def messages_index(route: str, workspace_id: str, created_at: datetime) -> str:
    """Contract's name, without prefix, of the index that holds a message; `created_at` is UTC."""
    if route == "own":
        return f"messages_workspace_{workspace_id}"
    if route == "monthly":
        return f"messages_{workspace_id}_{created_at:%Y_%m}"
    return f"messages_shared_{shared_number(workspace_id)}"


def generation_name(index: str, generation: int) -> str:
    """Name of an index in a generation: the contract's own in the first, with a suffix in later ones.

    What the contract calls `files` and `users` are aliases, so the indices behind them always have a suffix.
    """
    return index if generation == 1 and index not in ALIASES else f"{index}_v{generation}"


def document_version(history_epoch: int, version: int) -> int:
    """External version of a document. Stays below 2^53, which JavaScript consoles can still show exactly."""
    return (history_epoch << 40) + version


def tombstone(alias: str, document_id: str) -> bytes:
    """Document of something that must not be found: its id and nothing else.

    A document, because Elasticsearch forgets the versions of deletes after a minute and at a restart; then a late
    write of the old text would bring it back.
    """
    name, value = {"messages": "message_id", "files": "file_id", "users": "user_id"}[alias], document_id
    if alias == "users":
        value = document_id.partition(":")[2]
    return b'{"%b":"%b"}' % (name.encode(), value.encode())
