"""Every joining and leaving as a fact of its own: the history that a membership's newest register forgets."""

from collections.abc import Sequence

from tailrace.consumers.postgres.session import Session, to_json
from tailrace.schemas.event import Event

_MOVES = frozenset({"collab.channel_member.joined", "collab.channel_member.left"})
_REMOVED = "collab.workspace_member.left"


async def record_moves(session: Session, events: Sequence[Event]) -> None:
    """Write down the moves of a batch. An event is its own row, so repeats and stale ones change nothing."""
    moves = [_move(event) for event in events if event.type in _MOVES]
    if moves:
        await session.fetch("record_channel_moves", to_json(moves))
    removals = [_removal(event) for event in events if event.type == _REMOVED]
    if removals:
        await session.fetch("record_workspace_removals", to_json(removals))


def _move(event: Event) -> dict[str, object]:
    data = event.data
    return {
        "event_id": event.id, "channel_id": data["channel_id"], "user_id": data["user_id"],
        "workspace_id": data["workspace_id"], "sequence": event.sequence, "moved_at": event.time,
        "is_join": event.type.endswith(".joined"), "role": data.get("role"),
    }  # fmt: skip


def _removal(event: Event) -> dict[str, object]:
    return {
        "event_id": event.id, "workspace_id": event.data["workspace_id"], "user_id": event.data["user_id"],
        "removed_at": event.time,
    }  # fmt: skip
