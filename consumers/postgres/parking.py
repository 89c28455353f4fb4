"""Events that came before the message or file they are about: parked, and released by what brings it (rule P)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tailrace.consumers.batch import Record
from tailrace.consumers.postgres.session import Session
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event


@dataclass
class Parking:
    """The parked events of one projection, as one transaction sees them. `topics` maps short to full names."""

    session: Session
    projection: str
    topics: Mapping[str, str]
    record_of: Callable[[Event], Record]
    released: dict[str, Record] = field(default_factory=dict)
    parked: list[tuple[Event, str]] = field(default_factory=list)

    async def release(self, ids: Iterable[str]) -> list[Event]:
        """Events that waited for any of these ids, decoded anew, so that upcasters apply; lowest sequence first."""
        wanted = list(ids)
        if not wanted:
            return []
        shorts = {full: short for short, full in self.topics.items()}
        events: list[Event] = []
        for row in await self.session.fetch("release", self.projection, wanted):
            topic = shorts.get(row["topic"])
            decoded = None if topic is None else decode(topic, row["key"], row["raw"], row["append_time"])
            if not isinstance(decoded, Event) or topic is None:
                continue  # its contract was tightened meanwhile; it stays parked and becomes a dead letter in time
            decoded.topic, decoded.partition, decoded.offset = topic, row["partition"], row["offset"]
            decoded.appended_at = row["append_time"]
            self.released[decoded.id] = Record(
                row["topic"], row["partition"], row["offset"], _milliseconds(row["append_time"]), row["key"], row["raw"]
            )
            events.append(decoded)
        return events

    def park(self, event: Event, waits_for: str) -> None:
        """Keep an event until `waits_for` comes."""
        self.parked.append((event, waits_for))

    async def write(self) -> None:
        """Store what was parked and forget what was applied."""
        kept = {event.id for event, _ in self.parked}
        if done := [event_id for event_id in self.released if event_id not in kept]:
            await self.session.fetch("unpark", self.projection, done)
        if not self.parked:
            return
        rows = {event.id: (event, waits_for, self._record(event)) for event, waits_for in self.parked}.values()
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
        )

    def _record(self, event: Event) -> Record:
        return self.released.get(event.id) or self.record_of(event)


def _milliseconds(time: datetime | None) -> int:
    return 0 if time is None else int(time.astimezone(UTC).timestamp() * 1000)
