"""Reactions: one register per (message, user, emoji)."""

from typing import Any

from tailrace.schemas.event import Event
from tailrace.verification.fold_emoji import canonical
from tailrace.verification.fold_log import Log, Subject, Table, rank
from tailrace.verification.fold_membership import Endings
from tailrace.verification.fold_messages import Messages, Postings

Triple = tuple[str, str, str]
"""(message_id, user_id, canonical emoji)."""

Reactions = dict[Triple, Subject]


def reactions_of(log: Log, postings: Postings) -> Reactions:
    """Group the reaction events by what they are about; those of unknown messages are parked and left out."""

    def triple(event: Event) -> Triple | None:
        message_id = postings.message_of(event)
        return (message_id, event.data["user_id"], canonical(event.data["emoji"])) if message_id else None

    return log.subjects("reaction.added", "reaction.removed", by=triple)


def standing(reactions: Reactions, endings: Endings) -> dict[Triple, Event]:
    """Reactions that stand, each with the `added` that holds its register; those of erased users are gone (rule D)."""
    found: dict[Triple, Event] = {}
    for triple, events in reactions.items():
        holder = events.last("reaction.added", "reaction.removed")
        if holder is not None and holder.type.endswith(".added") and endings.erased_at(triple[1]) is None:
            found[triple] = holder
    return found


def message_reactions(added: dict[Triple, Event], messages: Messages) -> Table:
    """Fold the view `collab.reactions`: reactions that stand, on visible messages (45)."""
    return {
        triple: {
            "channel_id": messages.posted[triple[0]].data["channel_id"],
            "message_created_at": messages.posted[triple[0]].data["created_at"],
            "added_at": event.time,
        }
        for triple, event in added.items()
        if messages.is_visible(triple[0])
    }


def reactions_column(added: dict[Triple, Event]) -> dict[str, dict[str, list[Any]]]:
    """message_id → `messages.reactions`: emoji → users by the rank of the add that holds (43), deleted messages too."""
    columns: dict[str, dict[str, list[Any]]] = {}
    for (message_id, user_id, emoji), _ in sorted(added.items(), key=lambda item: rank(item[1])):
        columns.setdefault(message_id, {}).setdefault(emoji, []).append(user_id)
    return columns
