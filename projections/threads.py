"""Which root a reply belongs to (SEMANTICS M, rulings 25 and 26)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class Posted:
    """A message id that has been posted: the message itself, or another id of it (`canonical_id`).

    `parent_id` is the thread as the event gave it; `posted_at` is the event's time; `log_offset` orders the postings
    of one channel.
    """

    message_id: str
    channel_id: str
    created_at: datetime
    posted_at: datetime
    log_offset: int
    parent_id: str | None = None
    canonical_id: str | None = None
    client_key: str | None = None


def canonical(message_id: str, nodes: Mapping[str, Posted]) -> str:
    """The id under which the message is stored; an unknown id is its own."""
    node = nodes.get(message_id)
    return message_id if node is None or node.canonical_id is None else node.canonical_id


def thread_root(message_id: str, nodes: Mapping[str, Posted]) -> str | None:
    """Follow the parents of a message to its thread's root; None for a message that is no reply.

    The walk stops at an unknown message or at one of another channel, which is then taken as given. A chain that runs
    into a cycle has no root: such a reply keeps the parent that its event named. The result is a function of the set
    of postings, so the order in which they came cannot show.
    """
    channel_id = nodes[message_id].channel_id
    given = _parent(message_id, nodes)
    below, current, seen = message_id, given, {message_id}
    while current is not None:
        if current in seen:
            return given
        seen.add(current)
        node = nodes.get(current)
        if node is None or node.channel_id != channel_id:
            return nodes[below].parent_id
        above = _parent(current, nodes)
        if above is None:
            return current
        below, current = current, above
    return None


def _parent(message_id: str, nodes: Mapping[str, Posted]) -> str | None:
    """Canonical id of the parent; a message that names itself is a root."""
    parent_id = nodes[message_id].parent_id
    if parent_id is None:
        return None
    parent_id = canonical(parent_id, nodes)
    return None if parent_id == message_id else parent_id
