"""Which postings are new messages, which are repeats and which are other ids of a message (SEMANTICS M)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b

from tailrace.projections.messages import posted_row
from tailrace.projections.registers import Row
from tailrace.projections.threads import Posted, canonical, thread_root
from tailrace.schemas.event import Event

POSTED = "collab.message.posted"
CLIENT_ID_WINDOW = timedelta(days=7)


def client_key(event: Event) -> str | None:
    """128-bit key of (channel, user, client_msg_id), 32 hex digits; None where there is no client id."""
    data = event.data
    client_id = data["client_msg_id"]
    if not client_id:
        return None
    text = f"{data['channel_id']}/{data['user_id']}/{client_id}"
    return blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass
class Postings:
    """The postings of a batch, folded onto what was known before it.

    `known` grows by every posting; `ids` are the new entries, `rows` the new messages by id. `edges` are (parent,
    child) pairs that a later posting can still change, `waiting` those of them that are stored, `unresolved` the ids
    whose thread root needs nodes that are not loaded yet.
    """

    known: dict[str, Posted]
    primaries: dict[str, list[Posted]]
    ids: list[Posted] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)
    edges: set[tuple[str, str]] = field(default_factory=set)
    waiting: list[tuple[str, str]] = field(default_factory=list)
    unresolved: set[str] = field(default_factory=set)
    repeats: int = 0

    def fold(self, posts: Iterable[tuple[Event, str | None]]) -> None:
        """Fold postings with their client keys; they must come in the order of each channel's log."""
        # One loop, and no call for what most postings are not: this is the path of nearly every event.
        known, primaries = self.known, self.primaries
        for event, key in posts:
            data = event.data
            message_id, parent_id, time = data["message_id"], data["thread_id"], event.time
            if message_id in known:
                self.repeats += 1  # the first posting in the log is the posting (ruling 20)
                continue
            if parent_id == message_id:
                parent_id = None
            posted = Posted(
                message_id, data["channel_id"], data["created_at"], time, event.offset, parent_id, None, key
            )
            known[message_id] = posted
            self.ids.append(posted)
            if key is not None:
                if key not in primaries:
                    primaries[key] = [posted]
                elif (primary := self._primary(primaries[key], time)) is None:
                    primaries[key].append(posted)
                else:
                    posted.canonical_id = primary.message_id
                    posted.created_at = primary.created_at
                    posted.parent_id = None
                    continue
            self.rows[message_id] = posted_row(event, None if parent_id is None else self._thread(posted, parent_id))

    @staticmethod
    def _primary(primaries: Sequence[Posted], time: datetime) -> Posted | None:
        """The latest earlier posting in the log with a client id less than seven days away (ruling 24)."""
        for primary in reversed(primaries):
            if abs(time - primary.posted_at) < CLIENT_ID_WINDOW:
                return primary
        return None

    def _thread(self, posted: Posted, given_id: str) -> str:
        """Root of a new reply where that is plain; otherwise what was given, with an edge that says it may change."""
        parent_id = canonical(given_id, self.known)
        parent = self.known.get(parent_id)
        if parent is None:
            self.edges.add((given_id, posted.message_id))
        elif parent.channel_id != posted.channel_id:
            return given_id
        elif parent.parent_id is not None:
            self.edges.add((parent_id, posted.message_id))
            self.unresolved.add(posted.message_id)
        return parent_id

    def seeds(self) -> set[str]:
        """Ids from which roots must be found anew.

        A reply that waits for another id of a message also hangs on the message itself from now on.
        """
        seeds = set(self.unresolved)
        new_ids = {posted.message_id for posted in self.ids}
        for parent_id, child_id in [edge for edge in (*self.waiting, *self.edges) if edge[0] in new_ids]:
            seeds.add(child_id)
            seeds.add(parent_id)
            if (message_id := canonical(parent_id, self.known)) != parent_id:
                self.edges.add((message_id, child_id))
        return seeds

    def above(self, ids: Iterable[str]) -> set[str]:
        """These ids and all that is above them or another id of them, as far as it is known here."""
        found = set(ids)
        waiting = list(found)
        while waiting:
            node = self.known.get(waiting.pop())
            for above in () if node is None else (node.parent_id, node.canonical_id):
                if above is not None and above not in found:
                    found.add(above)
                    waiting.append(above)
        return found


def settle_threads(postings: Postings, members: Iterable[str]) -> dict[str, str | None]:
    """Roots of the messages among `members`, whose whole chains are in `postings.known`."""
    return {
        member: thread_root(member, postings.known)
        for member in members
        if (node := postings.known.get(member)) is not None and node.canonical_id is None
    }
