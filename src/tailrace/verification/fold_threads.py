"""Threads: which message a reply belongs to, and what its root counts."""

from dataclasses import dataclass
from datetime import datetime

from tailrace.verification.fold_messages import Message, Postings


@dataclass(frozen=True, slots=True)
class Replies:
    """What a root shows of its visible replies (27): their number and the newest `created_at`, None without any."""

    count: int = 0
    last_at: datetime | None = None


class Threads:
    """`thread_ids` maps every message to its `thread_id` as stored: None for a root, else the root of its thread."""

    def __init__(self, postings: Postings) -> None:
        self._channels: dict[str, str] = {
            message_id: event.data["channel_id"] for message_id, event in postings.posted.items()
        }
        self._parents = {message_id: self._parent(postings, message_id) for message_id in postings.posted}
        self._endless: set[str] = set()
        self.thread_ids: dict[str, str | None] = {}
        for message_id in postings.posted:
            self.thread_ids[message_id] = self._thread_id(message_id)

    def _parent(self, postings: Postings, message_id: str) -> str | None:
        """Parent with its alias resolved; as given where it is unknown or in another channel (25, 26)."""
        given = postings.posted[message_id].data.get("thread_id")
        parent = postings.canonical.get(given, given) if given else None
        if parent == message_id:
            return None  # it names itself, perhaps by an alias: a root
        return parent if parent is None or self._share_channel(parent, message_id) else str(given)

    def _share_channel(self, parent: str, message_id: str) -> bool:
        return self._channels.get(parent) == self._channels[message_id]

    def _thread_id(self, message_id: str) -> str | None:
        """Walk up until a root, an unknown message, or one of another channel; a cycle leaves the parent (26)."""
        parent = step = self._parents[message_id]
        seen = {message_id}
        while step is not None and self._share_channel(step, message_id):
            if step in seen or step in self._endless:
                self._endless.add(message_id)
                return parent
            if step in self.thread_ids:
                return self.thread_ids[step] or step
            above = self._parents[step]
            if above is None:
                return step
            seen.add(step)
            step = above
        return step

    def replies(self, messages: dict[str, Message]) -> dict[str, Replies]:
        """Count the visible replies of each message; a reply into another channel counts nowhere (26)."""
        created: dict[str, list[datetime]] = {}
        for message_id, message in messages.items():
            root = self.thread_ids[message_id]
            if root is not None and message.is_visible and self._share_channel(root, message_id):
                created.setdefault(root, []).append(message.posted.data["created_at"])
        return {root: Replies(len(times), max(times)) for root, times in created.items()}
