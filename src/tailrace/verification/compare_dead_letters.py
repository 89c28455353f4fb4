"""Compare the records that decoding refuses with `runtime.dead_letters`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

from tailrace.errors import PreconditionError
from tailrace.schemas.event import Event
from tailrace.settings import Settings
from tailrace.verification.compare import Difference, TableReport
from tailrace.verification.reading import Reading

ORPHAN: Final = "E_ORPHAN"

Position = tuple[str, int, int]
"""(topic without prefix, partition, offset) of a record."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One row of `runtime.dead_letters`; of one record there may be a row per projection (76)."""

    projection: str
    position: Position
    code: str
    is_resolved: bool


def dead_letters(conn: psycopg.Connection[Any], settings: Settings, topics: Sequence[str]) -> list[DeadLetter]:
    """Read the dead letters of the topics (names without prefix; the table may hold them with or without)."""
    names = {name: topic for topic in topics for name in (topic, settings.topic(topic))}
    query = sql.SQL(
        'SELECT projection, topic, partition, "offset", code, resolved_at IS NOT NULL FROM {} WHERE topic = ANY(%s)'
    ).format(sql.Identifier(settings.postgres.schema_runtime, "dead_letters"))
    try:
        rows = conn.execute(query, [list(names)]).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise PreconditionError(f"dead_letters: {error.diag.message_primary}", fix="tailrace db migrate") from error
    return [
        DeadLetter(projection, (names[topic], partition, offset), code, resolved)
        for projection, topic, partition, offset, code, resolved in rows
    ]


def given_up(letters: Iterable[DeadLetter]) -> frozenset[Position]:
    """Positions of the events that waited too long for their message or file, and were not redriven since (rule P).

    Nothing applies them any more, so they are no part of what the tables must show.
    """
    return frozenset(letter.position for letter in letters if letter.code == ORPHAN and not letter.is_resolved)


def compare_dead_letters(
    reading: Reading, letters: Sequence[DeadLetter], *, parking_limit: timedelta, limit: int
) -> TableReport:
    """Check that each refused record has a dead letter with its code, and that no other record has one.

    Others are right in three cases: the record is not in the part of the log that was read; somebody has resolved it;
    or it is an orphan whose message or file did not come within the parking limit.
    """
    report = TableReport(limit)
    by_position: dict[Position, list[DeadLetter]] = {}
    for letter in letters:
        by_position.setdefault(letter.position, []).append(letter)
    for refused in reading.refused:
        position = refused.topic, refused.partition, refused.offset
        found = sorted({letter.code for letter in by_position.pop(position, [])})
        report.checked += 1
        if found != [refused.code]:
            report.add(Difference(_key(position), {"code": refused.code}, {"code": found} if found else None))
    orphans = _orphans(reading.events, parking_limit)
    for position, rows in by_position.items():
        if not _was_read(reading, position):
            continue
        report.checked += 1
        wrong = {row.code for row in rows if not row.is_resolved and not (row.code == ORPHAN and position in orphans)}
        if wrong:
            report.add(Difference(_key(position), None, {"code": sorted(wrong)}))
    return report


def _key(position: Position) -> dict[str, Any]:
    return dict(zip(("topic", "partition", "offset"), position, strict=True))


def _was_read(reading: Reading, position: Position) -> bool:
    topic, partition, offset = position
    first, end = reading.first_offsets.get((topic, partition), 0), reading.end_offsets.get((topic, partition), 0)
    return first <= offset < end


def _orphans(events: list[Event], parking_limit: timedelta) -> frozenset[Position]:
    """Positions of events that may be given up: what they wait for never came, or longer after them than the limit.

    Waiting is judged by append times. Whether an event whose message never came has waited long enough yet cannot be
    told from the log; it may be given up.
    """
    came: dict[str, datetime] = {}
    for event in events:
        subject = {"collab.message.posted": "message_id", "collab.file.uploaded": "file_id"}.get(event.type)
        if subject and event.appended_at is not None:
            came.setdefault(event.data[subject], event.appended_at)
    found = set()
    for event in events:
        needed = [event.data[name] for name in _waits_for(event.type) if name in event.data]
        if not needed or event.appended_at is None:
            continue
        arrivals = [came.get(subject) for subject in needed]
        if any(at is None or at - event.appended_at >= parking_limit for at in arrivals):
            found.add((event.topic, event.partition, event.offset))
    return frozenset(found)


def _waits_for(type_: str) -> tuple[str, ...]:
    kind = type_.split(".")[1]
    if type_ in {"collab.file.shared", "collab.file.unshared"}:
        return "message_id", "file_id"
    if kind in {"message", "reaction"} and type_ != "collab.message.posted":
        return ("message_id",)
    return ("file_id",) if kind == "file" and type_ != "collab.file.uploaded" else ()
