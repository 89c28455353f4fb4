"""Reactions as facts: one per (message, user, emoji), newest add or remove wins (rules R and E)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tailrace.projections.emoji import canonical_emoji
from tailrace.projections.rollups import newest
from tailrace.schemas.event import Event

REACTION_EVENTS = frozenset({"collab.reaction.added", "collab.reaction.removed"})


@dataclass(slots=True)
class Fact:
    """What the events of one batch say about one (message, user, emoji)."""

    message_id: str
    user_id: str
    emoji: str
    channel_id: str
    added_at: datetime
    is_active: bool
    first_added_at: datetime | None
    sequence: int
    event_id: str
    workspace_id: str
    appended_at: datetime | None


def fold_reaction(facts: dict[tuple[str, str, str], Fact], event: Event, message_id: str) -> None:
    """Fold an add or remove on `message_id` (already the canonical id) into the batch's facts.

    `first_added_at` is the earliest add by event time, stale ones included: rule A counts the triple there.
    """
    data = event.data
    key = (message_id, data["user_id"], canonical_emoji(data["emoji"]))
    is_add = event.type == "collab.reaction.added"
    first = event.time if is_add else None
    appended_at = event.appended_at
    held = facts.get(key)
    if held is not None:
        appended_at = newest(held.appended_at, appended_at)
        if held.first_added_at is not None:
            first = held.first_added_at if first is None else min(first, held.first_added_at)
        if (event.sequence, event.id) <= (held.sequence, held.event_id):
            held.first_added_at, held.appended_at = first, appended_at
            return
    facts[key] = Fact(
        *key,
        channel_id=data["channel_id"],
        added_at=event.time,
        is_active=is_add,
        first_added_at=first,
        sequence=event.sequence,
        event_id=event.id,
        workspace_id=data["workspace_id"],
        appended_at=appended_at,
    )


def reactions_column(facts: list[Fact], erased: dict[str, Any]) -> dict[str, list[str]]:
    """The `reactions` column from all facts of one message: users in the order in which the holding adds rank."""
    column: dict[str, list[str]] = {}
    for fact in sorted(facts, key=lambda fact: (fact.sequence, fact.event_id)):
        if fact.is_active and fact.user_id not in erased:
            column.setdefault(fact.emoji, []).append(fact.user_id)
    return column
