"""Where one event is: in the log, among dead letters and parked events, in every store, applied by whom."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import structlog
from psycopg.rows import dict_row

from tailrace.errors import PreconditionError, UsageError
from tailrace.operations.database import connection
from tailrace.operations.glimpses import Seen, documents_seen, keys_seen
from tailrace.operations.positions import positions
from tailrace.operations.scanning import Bound, Found, Scanned, ranges, scan, short_of
from tailrace.operations.touching import Bucket, RowKey, Touched, touched_by
from tailrace.projections.caches import Keys
from tailrace.projections.registry import PROJECTIONS
from tailrace.schemas.catalogue import TOPICS
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event, Refusal
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, quoted, render, schema_names

log = structlog.get_logger(__name__)

SLACK: Final = timedelta(minutes=10)
"""An id may be so much younger than its record's append time: clocks differ."""
SCAN_MAX: Final = 200_000
FACTS: Final = tuple(spec.name for spec in TOPICS if spec.name != "dead-letters")
TYPES: Final = {"emoji": "text", "date": "date", "hour": "timestamptz"}
"""Of key columns that are no UUIDs."""
_V7: Final = 7


@dataclass(frozen=True, slots=True)
class Applied:
    """One projection and the event. `state`: applied, refused, discarded, parked, halted, not yet, or not read.

    `at` (aware UTC) is when it was refused, resolved or parked; positions do not keep the time of each event.
    """

    projection: str
    state: str
    detail: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row that the event touches. `held`: registers that this event holds; `others`: by later or greater ones."""

    row: RowKey
    exists: bool
    doc_version: int | None = None
    held: tuple[str, ...] = ()
    others: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trace:
    """All that is known of an event. `record` None: it was not found in what was `scanned`."""

    event_id: str
    scanned: Scanned
    since: datetime | None
    record: Found | None = None
    event: Event | None = None
    refusal: Refusal | None = None
    applied: tuple[Applied, ...] = ()
    touched: Touched = field(default_factory=Touched)
    rows: tuple[StoredRow, ...] = ()
    buckets: tuple[tuple[Bucket, dict[str, Any] | None], ...] = ()
    keys: Seen = field(default_factory=dict)
    documents: Seen = field(default_factory=dict)
    letters: tuple[dict[str, Any], ...] = ()
    parked: tuple[dict[str, Any], ...] = ()


def time_of_id(event_id: str) -> datetime | None:
    """When a UUIDv7 was made, aware UTC to the millisecond (RFC 9562, 5.7); None for other ids.

    Raises `UsageError` for what is no UUID in canonical lower case.
    """
    try:
        parsed = uuid.UUID(event_id)
    except ValueError as error:
        raise UsageError(f"{event_id!r} is no event's id", fix="a UUID") from error
    if str(parsed) != event_id:
        raise UsageError(f"{event_id!r} is not in canonical lower case", fix=str(parsed))
    return datetime.fromtimestamp((parsed.int >> 80) / 1_000, UTC) if parsed.version == _V7 else None


async def trace(settings: Settings, event_id: str, *, since: datetime | None = None, scan_max: int = SCAN_MAX) -> Trace:
    """Find an event and tell where it is. `since` (aware UTC) is where the search of the log begins.

    Without it the search begins some minutes before a UUIDv7 was made, or for other ids at the beginning of the log.
    A dead letter or parked event says itself where it stands in the log. Raises `UnreachableError` for Kafka and
    PostgreSQL, `UsageError` for an id that is none.
    """
    made = time_of_id(event_id)
    begin = since or (made - SLACK if made else None)
    letters, parked = await asyncio.to_thread(_set_aside, settings, event_id)
    record, scanned = await _find(settings, event_id, [*letters, *parked], begin, scan_max)
    found = Trace(event_id, scanned, begin, record, letters=tuple(letters), parked=tuple(parked))
    if record is None:
        return found
    short = short_of(settings, record.topic)
    decoded = decode(short, record.key, record.value, record.append_time)
    if isinstance(decoded, Event):
        decoded.topic, decoded.partition, decoded.offset = short, record.partition, record.offset
        redis = settings.redis
        found = replace(found, event=decoded, touched=touched_by(decoded, Keys(redis.key_prefix, redis.cluster)))
    elif decoded is not None:
        found = replace(found, refusal=decoded)
    (rows, buckets), keys, documents, applied = await asyncio.gather(
        asyncio.to_thread(_stored, settings, event_id, found.touched),
        keys_seen(settings, found.touched.keys),
        documents_seen(settings, found.touched.documents),
        _applied(settings, found, short),
    )
    return replace(found, applied=applied, rows=rows, buckets=buckets, keys=keys, documents=documents)


async def _find(
    settings: Settings, event_id: str, known: Sequence[dict[str, Any]], begin: datetime | None, scan_max: int
) -> tuple[Found | None, Scanned]:
    hits: list[Found] = []

    def visit(record: Found) -> bool:
        if record.value is not None and event_id.encode() in record.value and _id_of(record.value) == event_id:
            hits.append(record)
        return bool(hits)

    places = {(row["topic"], row["partition"]): (row["offset"], row["offset"] + 1) for row in known}
    if places:
        scanned = await scan(settings, places, len(places), visit)
        if hits:
            return hits[0], scanned
    stretch = await ranges(settings, FACTS, Bound(time=begin), Bound())
    scanned = await scan(settings, stretch, scan_max, visit)
    return (hits[0] if hits else None), scanned


def _id_of(value: bytes) -> str | None:
    import orjson

    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return document.get("id") if isinstance(document, dict) else None


def _set_aside(settings: Settings, event_id: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    with connection(settings) as conn:
        try:
            return _run(conn, settings, "letters_of", event_id), _run(conn, settings, "parked_of", event_id)
        except psycopg.errors.UndefinedTable as error:
            raise PreconditionError("the database has no tables yet", fix="tailrace db migrate") from error


async def _applied(settings: Settings, found: Trace, short: str) -> tuple[Applied, ...]:
    """By each projection that reads the topic: what its position and what it set aside say."""
    assert found.record is not None  # noqa: S101 - the caller has found it
    at = found.record
    states = []
    for one in await positions(settings):
        if short not in PROJECTIONS[one.name].topics:
            states.append(Applied(one.name, "not read", f"{one.name} does not read {short}"))
            continue
        (place,) = [p for p in one.partitions if (p.topic, p.partition) == (at.topic, at.partition)]
        mine = [row for row in found.letters if row["projection"] == one.name and row["offset"] == at.offset]
        parked = [row for row in found.parked if row["projection"] == one.name]
        if place.next_offset is None or place.next_offset <= at.offset:
            behind = "no position yet" if place.next_offset is None else f"position {place.next_offset:,}"
            state = "halted" if place.halted_code else "not yet"
            states.append(Applied(one.name, state, f"{behind}{f', {place.halted_code}' if place.halted_code else ''}"))
        elif mine:
            states.append(_refused(one.name, mine[0]))
        elif parked:
            detail = f"waits for {parked[0]['waits_for']}"
            states.append(Applied(one.name, "parked", detail, parked[0]["parked_at"]))
        else:
            states.append(Applied(one.name, "applied", f"position {place.next_offset:,}", None))
    return tuple(states)


def _refused(projection: str, row: dict[str, Any]) -> Applied:
    if row["resolved_at"] is None:
        return Applied(projection, "refused", f"{row['code']} {row['reason']}", row["last_failed_at"])
    return Applied(projection, row["resolution"] or "resolved", f"after {row['code']}", row["resolved_at"])


def _stored(
    settings: Settings, event_id: str, touched: Touched
) -> tuple[tuple[StoredRow, ...], tuple[tuple[Bucket, dict[str, Any] | None], ...]]:
    with connection(settings) as conn:
        rows = tuple(_row(_by_key(conn, settings, one.table, one.key), one, event_id) for one in touched.rows)
        buckets = tuple((one, _by_key(conn, settings, one.table, one.key)) for one in touched.buckets)
    return rows, buckets


def _by_key(
    conn: psycopg.Connection[Any], settings: Settings, table: str, key: dict[str, str]
) -> dict[str, Any] | None:
    places = " AND ".join(
        f"t.{quoted(name)} = ${place}::{TYPES.get(name, 'uuid')}" for place, name in enumerate(key, 1)
    )
    # Names come from the projections, values are parameters.
    text = render(f"SELECT to_jsonb(t) AS row FROM {table} t WHERE {places} LIMIT 1", schema_names(settings.postgres))  # noqa: S608
    found = psycopg.RawCursor(conn, row_factory=dict_row).execute(text.encode(), tuple(key.values())).fetchone()
    return None if found is None else found["row"]


def _row(stored: dict[str, Any] | None, row: RowKey, event_id: str) -> StoredRow:
    """Which registers of a row this event holds. A register is [sequence, event id, time, …]."""
    if stored is None:
        return StoredRow(row, exists=False)
    holders = {name: str(value[1]) for name, value in (stored.get("registers") or {}).items() if _is_register(value)}
    for column, name in (("posted_event", "posted"), ("event_id", "event")):
        if stored.get(column):
            holders[name] = str(stored[column])
    held = tuple(name for name, holder in holders.items() if holder == event_id)
    others = {name: holder for name, holder in holders.items() if holder != event_id}
    return StoredRow(row, exists=True, doc_version=stored.get("doc_version"), held=held, others=others)


def _is_register(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and isinstance(value[1], str)


def _run(conn: psycopg.Connection[Any], settings: Settings, query: str, *parameters: Any) -> list[dict[str, Any]]:
    text = render(queries("tracing")[query], schema_names(settings.postgres))
    return psycopg.RawCursor(conn, row_factory=dict_row).execute(text.encode(), parameters).fetchall()
