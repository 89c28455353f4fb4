"""Events that wait: for the message or file they are about (rule P), or behind a refused event (rule X)."""

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from tailrace.consumers.batch import Record
from tailrace.consumers.postgres.session import Session, to_json
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event, Refusal

ASK_FIRST_IDS = 10
"""Before more ids than these are sent, it is asked whether anything is parked at all: mostly nothing is."""


class Waiting(NamedTuple):
    """A parked event as it was read, and what it is by the contract of today: upcasters apply to it."""

    event_id: str
    waits_for: str
    record: Record
    decoded: Event | Refusal


async def waiting_for(
    session: Session, projection: str, topics: Mapping[str, str], ids: Iterable[str]
) -> list[Waiting]:
    """What waits for any of these messages, files or refused events; lowest sequence first."""
    wanted = list(ids)
    if not wanted:
        return []
    shorts = {full: short for short, full in topics.items()}
    found: list[Waiting] = []
    for row in await session.fetch("release", projection, wanted):
        topic = shorts.get(row["topic"])
        decoded = None if topic is None else decode(topic, row["key"], row["raw"], row["append_time"])
        if decoded is None or topic is None:
            continue  # a topic that this projection reads no more
        if isinstance(decoded, Event):
            decoded.topic, decoded.partition, decoded.offset = topic, row["partition"], row["offset"]
            decoded.appended_at = row["append_time"]
        place = row["topic"], row["partition"], row["offset"]
        at_ms = _milliseconds(row["append_time"])
        record = Record(*place, at_ms, row["key"], row["raw"], from_json(row["headers"]))
        found.append(Waiting(str(row["event_id"]), str(row["waits_for"]), record, decoded))
    return found


@dataclass
class Parking:
    """The parked events of one projection, as one transaction sees them. `topics` maps short to full names.

    `released` are the records of events that were parked until now, by event id; those that are not parked again are
    forgotten by `write`. `deferred` is None, or takes the ids whose waiting events are left to the caller.
    """

    session: Session
    projection: str
    topics: Mapping[str, str]
    record_of: Callable[[Event], Record]
    released: dict[str, Record] = field(default_factory=dict)
    parked: list[tuple[Event, str]] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    deferred: list[str] | None = None

    async def release(self, ids: Iterable[str]) -> list[Event]:
        """Events that waited for any of these ids, decoded anew, so that upcasters apply; lowest sequence first."""
        if self.deferred is not None:
            self.deferred += ids
            return []
        wanted = list(ids)
        if len(wanted) > ASK_FIRST_IDS and not (await self.session.fetch("has_parked"))[0][0]:
            return []
        events: list[Event] = []
        for found in await waiting_for(self.session, self.projection, self.topics, wanted):
            if isinstance(found.decoded, Event):  # else its contract was tightened; it becomes a dead letter in time
                self.released[found.event_id] = found.record
                events.append(found.decoded)
        return events

    def park(self, event: Event, waits_for: str) -> None:
        """Keep an event until the message or file `waits_for` comes."""
        self.parked.append((event, waits_for))

    def hold(self, event: Event, behind: str) -> None:
        """Keep an event until the refused event `behind` is applied or discarded."""
        self.held[event.id] = behind
        self.parked.append((event, behind))

    async def write(self) -> None:
        """Store what was parked and forget what was applied."""
        kept = {event.id for event, _ in self.parked}
        if done := [event_id for event_id in self.released if event_id not in kept]:
            await self.session.fetch("unpark", self.projection, done)
        if not self.parked:
            return
        # The first record of an event: it says since when the event waits.
        rows = {e.id: (e, waits_for, self._record(e)) for e, waits_for in reversed(self.parked)}.values()
        await self.session.fetch(
            "park",
            self.projection,
            [event.id for event, _, _ in rows],
            [event.subject for event, _, _ in rows],
            [event.type for event, _, _ in rows],
            [event.sequence for event, _, _ in rows],
            [waits_for for _, waits_for, _ in rows],
            [record.topic for _, _, record in rows],
            [record.partition for _, _, record in rows],
            [record.offset for _, _, record in rows],
            [record.key for _, _, record in rows],
            [record.value for _, _, record in rows],
            [event.appended_at for event, _, _ in rows],
            [self.held.get(event.id) == waits_for for event, waits_for, _ in rows],
            [headers_json(record) for _, _, record in rows],
            [event.data.get("workspace_id") for event, _, _ in rows],
        )

    def _record(self, event: Event) -> Record:
        return self.released.get(event.id) or self.record_of(event)


def headers_json(record: Record) -> str:
    """A record's headers for a jsonb column: their values are bytes of any kind."""
    return to_json([[name, base64.b64encode(value).decode()] for name, value in record.headers])


def from_json(headers: str) -> tuple[tuple[str, bytes], ...]:
    """The opposite of `headers_json`."""
    return tuple((name, base64.b64decode(value)) for name, value in orjson.loads(headers))


def _milliseconds(time: datetime | None) -> int:
    return 0 if time is None else int(time.astimezone(UTC).timestamp() * 1000)
