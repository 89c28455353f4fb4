"""Apply one batch of events to the read models, inside the transaction that its caller opened.

Load, fold, store: a fixed number of statements brings the rows that the batch touches, pure functions of
`tailrace.projections` fold the events into them, and a fixed number of statements writes them back. What depends on
rows of other entities is recounted afterwards from what is stored.
"""

from collections.abc import Sequence
from datetime import datetime

from tailrace.consumers.batch import Outcome
from tailrace.consumers.postgres import files
from tailrace.consumers.postgres.effects import PlainWork, apply_activity, apply_effects, apply_last_seen
from tailrace.consumers.postgres.messages import MessageWork
from tailrace.consumers.postgres.moves import record_moves
from tailrace.consumers.postgres.notifications import refresh_notifications
from tailrace.consumers.postgres.parking import Parking
from tailrace.consumers.postgres.postings import fold_postings, load_ids, resolve_threads, write_postings
from tailrace.consumers.postgres.rollups import write_rollups
from tailrace.consumers.postgres.session import Session
from tailrace.projections.messages import MESSAGE_EVENTS
from tailrace.projections.postings import POSTED, Postings
from tailrace.projections.reactions import REACTION_EVENTS
from tailrace.projections.rollups import Rollups, newest
from tailrace.projections.sessions import SESSIONS
from tailrace.projections.threads import canonical
from tailrace.schemas.event import Event

_ABOUT_MESSAGES = MESSAGE_EVENTS | REACTION_EVENTS
_MAKES_ACTIVE = frozenset({"collab.channel.read", "collab.activity.recorded", "collab.file.uploaded"})
_SHARES = frozenset({"collab.file.shared", "collab.file.unshared"})


async def apply_events(session: Session, events: Sequence[Event], parking: Parking) -> Outcome:
    """Apply the events, in the order of each key; all of them, or an exception and nothing."""
    postings = await fold_postings(session, events)
    released = await parking.release([posted.message_id for posted in postings.ids] + files.uploaded(events))
    rest = [event for event in events if event.type != POSTED] + released
    await load_ids(session, postings.known, {i for e in released if (i := e.data.get("message_id")) is not None})
    about, shares = _split(rest, postings, parking)

    plain = await PlainWork.load(session, rest)
    messages = MessageWork(postings, await resolve_threads(session, postings))
    await messages.load(session, about)
    messages.fold(about)

    await plain.store(session)
    await record_moves(session, rest)
    rollups = Rollups()
    await write_postings(session, postings, rollups)
    await messages.write(session, rollups)
    for event in about:
        if event.type == "collab.reaction.added":  # stale ones too (ruling 57); parked ones not yet (ruling 58)
            rollups.active(event.data["workspace_id"], event.data["user_id"], event.time, event.appended_at)
    changed_files = await files.apply_files(session, rest, parking, rollups)
    changed_messages = await files.apply_shares(session, shares, parking)
    await files.refresh_messages(session, changed_messages, changed_files)
    await apply_effects(session, plain, messages)
    await refresh_notifications(session, plain, messages)
    await apply_activity(session, rest)
    await apply_last_seen(session, rest, plain.changed.get(SESSIONS.table, {}).values())
    await parking.write()
    _count_activity(rollups, rest, plain)
    await write_rollups(session, rollups)
    return Outcome(
        events=len(events),
        posted=len(postings.rows),
        repeats=postings.repeats,
        parked=len(parking.parked),
        released=len(parking.released),
    )


def _count_activity(rollups: Rollups, events: Sequence[Event], plain: PlainWork) -> None:
    """Count who was active by reading, uploading or recorded activity, each event on its own day; and sessions."""
    appended: dict[str, datetime | None] = {}
    for event in events:
        data = event.data
        if event.type in _MAKES_ACTIVE and (user_id := data.get("user_id") or data.get("uploader_id")) is not None:
            rollups.active(data["workspace_id"], user_id, event.time, event.appended_at)
        elif event.type in SESSIONS.types:
            appended[data["session_id"]] = newest(appended.get(data["session_id"]), event.appended_at)
    for key, row in plain.changed.get(SESSIONS.table, {}).items():
        rollups.session(plain.sessions_before.get(key), row, appended.get(key[0]))


def _split(rest: Sequence[Event], postings: Postings, parking: Parking) -> tuple[list[Event], list[Event]]:
    """Events about known messages, and shares into known messages; the others are parked."""
    about: list[Event] = []
    shares: list[Event] = []
    for event in rest:
        if event.type in _ABOUT_MESSAGES:
            target = about
        elif event.type in _SHARES:
            target = shares
        else:
            continue
        message_id = event.data["message_id"]
        if message_id in postings.known:
            event.data["message_id"] = canonical(message_id, postings.known)
            target.append(event)
        else:
            parking.park(event, message_id)
    return about, shares
