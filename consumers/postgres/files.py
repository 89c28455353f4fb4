"""Files, their accesses and their shares into messages."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from tailrace.consumers.postgres import entities
from tailrace.consumers.postgres.parking import Parking
from tailrace.consumers.postgres.session import Session
from tailrace.projections.entity import Key, by_key, fold_all
from tailrace.projections.files import FILES, SHARES
from tailrace.projections.registers import Row
from tailrace.projections.rollups import Rollups, first_upload
from tailrace.schemas.event import Event

_UPLOADED = "collab.file.uploaded"
_ACCESSED = "collab.file.accessed"


def uploaded(events: Iterable[Event]) -> list[str]:
    """Ids of the files that these events bring."""
    return [event.data["file_id"] for event in events if event.type == _UPLOADED]


async def apply_files(session: Session, events: Sequence[Event], parking: Parking, rollups: Rollups) -> set[str]:
    """Fold file events; those about an unknown file are parked. Returns the ids of the files that changed."""
    grouped = by_key(FILES, events)
    accesses = [event for event in events if event.type == _ACCESSED]
    if not grouped and not accesses:
        return set()
    keys = grouped.keys() | {FILES.key_of(event) for event in accesses}
    rows = await entities.load(session, FILES, keys)
    known = rows.keys() | {key for key, group in grouped.items() if any(e.type == _UPLOADED for e in group)}
    for event in [*accesses, *(event for group in grouped.values() for event in group)]:
        if FILES.key_of(event) not in known:
            parking.park(event, event.data["file_id"])
    before = {key: first_upload(row) for key, row in rows.items()}
    changed = fold_all(FILES, rows, {key: group for key, group in grouped.items() if key in known})
    await _end_erased(session, changed)
    await entities.store(session, FILES, changed)
    for key, row in changed.items():
        now = first_upload(row)
        if now is not None and now != before.get(key):
            rollups.uploaded(key[0], before.get(key), now, max(_append_times(grouped[key]), default=None))
    counted = [event for event in accesses if FILES.key_of(event) in known]
    if counted:
        await session.fetch(
            "add_accesses",
            [event.data["workspace_id"] for event in counted],
            [event.data["file_id"] for event in counted],
            [event.id for event in counted],
            [event.time for event in counted],
        )
    return {key[1] for key in changed}


def _append_times(events: Iterable[Event]) -> Iterator[datetime]:
    return (event.appended_at for event in events if event.appended_at is not None)


async def _end_erased(session: Session, changed: dict[Key, Row]) -> None:
    """Files of an erased user are deleted, whenever they come (ruling 34)."""
    uploaders = {str(row["uploader_id"]) for row in changed.values()}
    if not uploaders:
        return
    erased = {str(r["user_id"]): r["erased_at"] for r in await session.fetch("erased_users", list(uploaders))}
    for row in changed.values():
        if row["deleted_at"] is None:
            row["deleted_at"] = erased.get(str(row["uploader_id"]))


async def apply_shares(session: Session, shares: Sequence[Event], parking: Parking) -> set[str]:
    """Fold shares of known messages; those of an unknown file are parked. Returns the messages that changed."""
    if not shares:
        return set()
    files = await entities.load(session, FILES, {FILES.key_of(event) for event in shares})
    known: list[Event] = []
    for event in shares:
        if FILES.key_of(event) in files:
            known.append(event)
        else:
            parking.park(event, event.data["file_id"])
    grouped = by_key(SHARES, known)
    changed = fold_all(SHARES, await entities.load(session, SHARES, grouped), grouped)
    await entities.store(session, SHARES, changed)
    return {key[0] for key in changed}


async def refresh_messages(session: Session, message_ids: Iterable[str], file_ids: Iterable[str]) -> None:
    """Find anew whether these messages, and those that hold these files, have a file to show."""
    messages = set(message_ids)
    if files := list(file_ids):
        messages |= {str(record["message_id"]) for record in await session.fetch("messages_with_files", files)}
    if messages:
        await session.fetch_of_messages("refresh_has_files", sorted(messages))
