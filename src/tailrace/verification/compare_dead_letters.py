"""Compare the records that decoding refuses with `runtime.dead_letters`."""

import json
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
OWN_FAULTS: Final = ("E_STORE", "E_PROJECTION")
APPLIES: Final = "postgres"
"""The projection whose tables are compared; what others could not write is missing elsewhere."""
NEVER: Final = 2**63

Position = tuple[str, int, int]
"""(topic without prefix, partition, offset) of a record."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One row of `runtime.dead_letters`; of one record there may be a row per projection (76).

    `void_until` is the first offset from which records of the same event count again, `again` the offsets and codes of
    redriven records that were refused like the first: they have no row of their own.
    """

    projection: str
    position: Position
    code: str
    is_resolved: bool
    event_id: str | None = None
    void_until: int | None = None
    again: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that waits behind a dead letter, at the first of its records that does."""

    event_id: str
    position: Position


def dead_letters(conn: psycopg.Connection[Any], settings: Settings, topics: Sequence[str]) -> list[DeadLetter]:
    """Read the dead letters of the topics (names without prefix; the table may hold them with or without)."""
    query = sql.SQL(
        'SELECT projection, topic, partition, "offset", code, resolved_at IS NOT NULL, event_id, void_until, history'
        " FROM {} WHERE topic = ANY(%s)"
    )
    rows = _rows(conn, settings, "dead_letters", query, names := _names(settings, topics))
    return [
        DeadLetter(projection, (names[topic], partition, offset), code, resolved, event_id, void_until, _again(history))
        for projection, topic, partition, offset, code, resolved, event_id, void_until, history in rows
    ]


def waiting_events(conn: psycopg.Connection[Any], settings: Settings, topics: Sequence[str]) -> list[Waiting]:
    """Read which events wait behind dead letters of the projection `postgres`."""
    query = sql.SQL(
        'SELECT event_id, topic, partition, "offset" FROM {}'
        " WHERE topic = ANY(%s) AND behind AND projection = 'postgres'"
    )
    rows = _rows(conn, settings, "parked_events", query, names := _names(settings, topics))
    return [Waiting(str(event_id), (names[topic], partition, offset)) for event_id, topic, partition, offset in rows]


def _names(settings: Settings, topics: Sequence[str]) -> dict[str, str]:
    return {name: topic for topic in topics for name in (topic, settings.topic(topic))}


def _rows(
    conn: psycopg.Connection[Any], settings: Settings, table: str, query: sql.SQL, names: dict[str, str]
) -> list[tuple[Any, ...]]:
    try:
        return conn.execute(
            query.format(sql.Identifier(settings.postgres.schema_runtime, table)), [list(names)]
        ).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise PreconditionError(f"{table}: {error.diag.message_primary}", fix="tailrace db migrate") from error


def _again(history: Any) -> tuple[tuple[int, str], ...]:
    steps = json.loads(history) if isinstance(history, str) else history
    return tuple((step["offset"], step["code"]) for step in steps if step["what"] == "refused")


def left_out(events: Iterable[Event], letters: Iterable[DeadLetter], waiting: Iterable[Waiting]) -> frozenset[Position]:
    """Positions of the events that are not applied, so they are no part of what the tables must show.

    A record with an open dead letter; where the fault is ours (rule X) every later record of the same event too, and
    the events that wait behind it; an orphan (rule P) until it was given up. Of a letter that is resolved, what came
    before the record that was applied after all, or before it was discarded.
    """
    gone: set[Position] = set()
    void: dict[tuple[str, int, str], list[range]] = {}
    for letter in letters:
        if letter.projection != APPLIES:
            continue
        topic, partition, offset = letter.position
        end = _void_end(letter)
        if offset < end:
            gone.add(letter.position)
        if letter.event_id is not None and letter.code in (ORPHAN, *OWN_FAULTS):
            void.setdefault((topic, partition, letter.event_id), []).append(range(offset, end))
    for one in waiting:
        topic, partition, offset = one.position
        void.setdefault((topic, partition, one.event_id), []).append(range(offset, NEVER))
    for event in events if void else ():
        if any(event.offset in offsets for offsets in void.get((event.topic, event.partition, event.id), ())):
            gone.add((event.topic, event.partition, event.offset))
    return frozenset(gone)


def _void_end(letter: DeadLetter) -> int:
    offset = letter.position[2]
    if letter.is_resolved:
        return offset if letter.void_until is None else letter.void_until
    if letter.code in OWN_FAULTS:
        return NEVER
    return max(offset + 1, letter.void_until or 0)


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
    again = {(*letter.position[:2], offset): code for letter in letters for offset, code in letter.again}
    for refused in reading.refused:
        position = refused.topic, refused.partition, refused.offset
        found = sorted({letter.code for letter in by_position.pop(position, [])})
        if not found and position in again:
            found = [again[position]]
        report.checked += 1
        if found != [refused.code]:
            report.add(Difference(_key(position), {"code": refused.code}, {"code": found} if found else None))
    orphans = _orphans(reading.events, parking_limit) if any(one.code == ORPHAN for one in letters) else frozenset()
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
