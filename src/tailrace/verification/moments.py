"""The log as far as the tables have applied it: what they must contain at one moment, while they go on moving."""

import asyncio
import gc
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from tailrace.addresses import resolve
from tailrace.errors import PreconditionError
from tailrace.operations.database import connection
from tailrace.schemas.event import Event
from tailrace.settings import Settings
from tailrace.verification.compare import begin, prepare
from tailrace.verification.compare_dead_letters import DeadLetter, Waiting, dead_letters, left_out, waiting_events
from tailrace.verification.fold import fold
from tailrace.verification.fold_log import Table
from tailrace.verification.reading import TOPICS, Offsets, Progress, Reading, Source, read_log

LEADER: Final = "postgres"
"""The projection that fills the tables; the others follow it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the tables say of themselves in one snapshot.

    Positions are the offsets before which everything is applied, by (topic without prefix, partition). A partition that
    is not named has no position yet: nothing of it is applied.
    """

    by_projection: Mapping[str, Offsets]
    letters: list[DeadLetter]
    waiting: list[Waiting]

    @property
    def positions(self) -> Offsets:
        """Those of the tables."""
        return self.by_projection.get(LEADER, {})


def moment(conn: psycopg.Connection[Any], settings: Settings) -> Moment:
    """Read it in the open transaction. Raises `PreconditionError` where the tables are not there."""
    query = sql.SQL(
        "SELECT DISTINCT ON (projection, topic, partition) projection, topic, partition, next_offset FROM {}"
        " ORDER BY projection, topic, partition, version DESC"
    ).format(sql.Identifier(settings.postgres.schema_runtime, "progress"))
    names = {settings.topic(topic): topic for topic in TOPICS}
    found: dict[str, Offsets] = {}
    letters, waiting = dead_letters(conn, settings, TOPICS), waiting_events(conn, settings, TOPICS)
    for projection, topic, partition, next_offset in conn.execute(query):
        if topic in names:
            found.setdefault(projection, {})[names[topic], partition] = next_offset
    return Moment(found, letters, waiting)


def moment_now(settings: Settings) -> Moment:
    """The moment of a snapshot of its own."""
    with connection(settings) as conn:
        prepare(conn)
        with conn.transaction():
            begin(conn, settings)
            return moment(conn, settings)


@dataclass(frozen=True, slots=True)
class Known:
    """What the log says of a moment: what was read up to it, the events that are applied, and the tables they make."""

    reading: Reading
    events: list[Event]
    tables: dict[str, Table]


class GrowingLog:
    """The log as it was read so far, and more of it when a later moment asks for it."""

    def __init__(self, settings: Settings, source: Source, progress: Progress = lambda _done, _total: None) -> None:
        self._settings = settings
        self._source = source
        self.reading = asyncio.run(read_log(settings, resolve(settings).kafka, source=source, progress=progress))

    def known(self, at: Moment, channels: Collection[str] | None = None) -> Known:
        """What the tables must contain at that moment; with `channels`, what only these and no others need.

        Raises `PreconditionError` where the log ends before the moment's positions: it is another log than the one
        that was applied.
        """
        self.reach(at.positions)
        reading = self.reading.until(at.positions)
        gone = left_out(reading.events, at.letters, at.waiting)
        events = reading.events
        if gone:
            events = [e for e in events if (e.topic, e.partition, e.offset) not in gone]
        if channels is not None:
            events = _about(events, channels)
        return Known(reading, events, fold(events))

    def reach(self, positions: Offsets) -> None:
        """Read on, at least to these positions. Raises what `known` raises."""
        if not self._behind(positions):
            return
        ends = self.reading.end_offsets
        self.reading.extend(
            asyncio.run(read_log(self._settings, resolve(self._settings).kafka, since=ends, source=self._source))
        )
        if behind := self._behind(positions):
            raise PreconditionError(
                f"{behind}: the tables have applied more than there is; the log was truncated or recreated",
                fix="tailrace status; docs/runbooks/halted-partition.md",
            )

    def _behind(self, positions: Offsets) -> str | None:
        ends = self.reading.end_offsets
        return next((f"{topic}/{n}" for (topic, n), at in positions.items() if ends.get((topic, n), 0) < at), None)


def _about(events: list[Event], channels: Collection[str]) -> list[Event]:
    """Without the conversations of other channels.

    An event belongs to a channel by its own word, and by the message it names: that may have been posted elsewhere.
    """
    messages = {
        e.data["message_id"]
        for e in events
        if e.topic == "conversations" and e.data["channel_id"] in channels and "message_id" in e.data
    }
    return [
        e
        for e in events
        if e.topic != "conversations" or e.data["channel_id"] in channels or e.data.get("message_id") in messages
    ]


@contextmanager
def patient_collector() -> Iterator[None]:
    """Without the collector of cycles: it walks over millions of events again and again and finds nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
