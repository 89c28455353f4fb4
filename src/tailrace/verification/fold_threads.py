"""Threads: which message a reply belongs to, and what its root counts."""

from dataclasses import dataclass
from datetime import datetime

from tailrace.verification.fold_messages import Messages, Postings


@dataclass(frozen=True, slots=True)
class Replies:
    """What a root shows of its visible replies (27): their number and the newest `created_at`, None without any."""

    count: int = 0
    last_at: datetime | None = None


class Threads:
    """`ids` maps every reply to its `thread_id` as stored, the root of its thread; roots are not in it."""

    def __init__(self, postings: Postings) -> None:
        posted, threads, aliases = postings.posted, postings.threads, postings.aliases
        self._posted = posted
        self._parents: dict[str, str] = {}
        self._endless: set[str] = set()
        self.ids: dict[str, str] = {}
        for message_id, given in threads.items():
            root = aliases.get(given, given)
            is_root = root in posted and root not in threads
            if is_root and posted[root].data["channel_id"] == posted[message_id].data["channel_id"]:
                self.ids[message_id] = root  # as nearly all do: there is nothing to walk
            elif parent := self._parent(postings, message_id):
                self._parents[message_id] = parent
        for message_id in self._parents:
            self.ids[message_id] = self._thread_id(message_id)

    def _parent(self, postings: Postings, message_id: str) -> str | None:
        """Parent with its alias resolved; as given where it is unknown or in another channel (25, 26)."""
        given = postings.threads[message_id]
        parent = postings.aliases.get(given, given)
        if parent == message_id:
            return None  # it names itself, perhaps by an alias: a root
        return parent if self._share_channel(parent, message_id) else given

    def _share_channel(self, parent: str, message_id: str) -> bool:
        above = self._posted.get(parent)
        return above is not None and bool(above.data["channel_id"] == self._posted[message_id].data["channel_id"])

    def _thread_id(self, message_id: str) -> str:
        """Walk up until a root, an unknown message, or one of another channel; a cycle leaves the parent (26)."""
        parent = step = self._parents[message_id]
        seen = {message_id}
        while self._share_channel(step, message_id):
            if step in seen or step in self._endless:
                self._endless.add(message_id)
                return parent
            if step in self.ids:
                return self.ids[step]
            above = self._parents.get(step)
            if above is None:
                return step
            seen.add(step)
            step = above
        return step

    def replies(self, messages: Messages) -> dict[str, Replies]:
        """Count the visible replies of each message; a reply into another channel counts nowhere (26)."""
        created: dict[str, list[datetime]] = {}
        posted, touched = self._posted, messages.touched
        for message_id, root in self.ids.items():
            above, own = posted.get(root), posted[message_id].data
            if above is None or above.data["channel_id"] != own["channel_id"]:
                continue
            if message_id not in touched or touched[message_id].deleted_at is None:
                created.setdefault(root, []).append(own["created_at"])
        return {root: Replies(len(times), max(times)) for root, times in created.items()}
