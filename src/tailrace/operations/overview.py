"""How every projection does: what `status`, `lag` and `projection ls` show, whether a worker runs or not.

Whatever is not known is None, never 0.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tailrace.addresses import resolve
from tailrace.operations.controls import Control, WorkerReport, read_controls, read_reports
from tailrace.operations.database import connection
from tailrace.operations.halts import way_out
from tailrace.operations.positions import PartitionPosition, ProjectionPosition, positions
from tailrace.operations.waiting import Place, Waiting, first_waiting
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names

SLOW_S: Final = 30.0
"""Further behind than this while workers run is worth a look."""

RANK: Final = ("new", "current", "behind", "slow", "paused", "drained", "down", "halted")
"""States, the worst last."""


@dataclass(frozen=True, slots=True)
class LastError:
    """What went wrong last, where it was noticed, and why. `at` is aware UTC."""

    source: str
    code: str
    cause: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """One projection at the time `now` (aware UTC)."""

    position: ProjectionPosition
    control: Control | None
    workers: tuple[WorkerReport, ...]
    waiting: dict[Place, Waiting]
    last_error: LastError | None
    now: datetime

    @property
    def name(self) -> str:
        return self.position.name

    @property
    def is_paused(self) -> bool:
        return self.control is not None and self.control.state != "running"

    @property
    def alive(self) -> tuple[WorkerReport, ...]:
        """Processes that were heard of lately."""
        return tuple(one for one in self.workers if not one.is_silent)

    @property
    def state(self) -> str:
        """`new`, `current`, `behind`, `slow`, `paused`, `drained`, `down` (records wait, no worker) or `halted`."""
        if self.position.halted:
            return "halted"
        if self.is_paused and self.control is not None:
            return self.control.state
        if self.position.state == "new":
            return "new"
        if self.position.lag == 0:
            return "current"
        if not self.alive:
            return "down"
        return "slow" if (self.behind_s or 0) > SLOW_S else "behind"

    @property
    def claimed(self) -> int | None:
        """Partitions that a living worker has claimed; None where no worker was ever heard of."""
        return sum(one.partitions for one in self.alive) if self.workers else None

    @property
    def rate(self) -> float | None:
        """Events applied a second by all workers; None where none runs, or none knows yet."""
        rates = [one.rate for one in self.alive if one.rate is not None]
        return sum(rates) if rates else None

    @property
    def behind_s(self) -> float | None:
        """Seconds since the oldest record that waits was appended; 0 where none waits."""
        return self._age([self._since(p) for p in self._lagging()])

    @property
    def behind_event_s(self) -> float | None:
        """The same by event time: how old the oldest event is that waits."""
        times = [self.waiting.get((p.topic, p.partition)) for p in self._lagging()]
        return self._age([None if one is None else one.event_time for one in times])

    def _lagging(self) -> list[PartitionPosition]:
        return [p for p in self.position.partitions if p.lag != 0]

    def _since(self, partition: PartitionPosition) -> datetime | None:
        found = self.waiting.get((partition.topic, partition.partition))
        # Where the record was not read in time: nothing that waits is older than what was applied last.
        return partition.append_time if found is None else found.append_time

    def _age(self, times: list[datetime | None]) -> float | None:
        if not times:
            return 0.0
        if None in times:
            return None
        return max(0.0, (self.now - min(time for time in times if time is not None)).total_seconds())

    def document(self) -> dict[str, Any]:
        """For JSON; times as `datetime`."""
        control = self.control if self.is_paused else None
        return {
            "version": self.position.version,
            "state": self.state,
            "paused": control and {"by": control.actor, "reason": control.reason, "at": control.at},
            "lag": self.position.lag,
            "behind_seconds": self.behind_s,
            "behind_event_seconds": self.behind_event_s,
            "rate": self.rate,
            "dead_letters": self.position.dead_letters,
            "parked": self.position.parked,
            "data_to": self.position.event_time,
            "partitions_claimed": self.claimed,
            "workers": [self._worker(one) for one in self.workers],
            "last_error": self.last_error
            and {name: getattr(self.last_error, name) for name in ("source", "code", "cause", "at")},
            "partitions": [self._partition(p) for p in self.position.partitions],
        }

    @staticmethod
    def _worker(one: WorkerReport) -> dict[str, Any]:
        names = ("owner", "obeys", "in_hand", "partitions", "applied", "rate", "started_at", "seen_at")
        return {**{name: getattr(one, name) for name in names}, "is_silent": one.is_silent}

    def _partition(self, p: PartitionPosition) -> dict[str, Any]:
        waiting = self.waiting.get((p.topic, p.partition))
        return {
            "topic": p.topic,
            "partition": p.partition,
            "next_offset": p.next_offset,
            "end_offset": p.end,
            "lag": p.lag,
            "append_time": p.append_time,
            "event_time": p.event_time,
            "waiting_append_time": waiting and waiting.append_time,
            "waiting_event_time": waiting and waiting.event_time,
            "owner": p.owner,
            "halted": p.halted_code
            and {"code": p.halted_code, "reason": p.halted_reason, "fix": way_out(self.name, p)},
        }


async def overview(settings: Settings, now: datetime, names: Sequence[str] = ()) -> list[ProjectionStatus]:
    """How each named projection does (none: all), at `now` by the caller's clock.

    Raises `UnreachableError` where PostgreSQL or Kafka does not answer, `PreconditionError` where tables or all topics
    are missing.
    """
    found = await positions(settings, names)
    (asked, reports, letters), waiting = await asyncio.gather(
        asyncio.to_thread(_said, settings), asyncio.gather(*(_waiting(settings, one) for one in found))
    )
    return [
        ProjectionStatus(
            position=one,
            control=asked.get((one.name, one.version)),
            workers=(ours := tuple(r for r in reports if (r.projection, r.version) == (one.name, one.version))),
            waiting=first,
            last_error=_last_error(one, ours, letters.get(one.name)),
            now=now,
        )
        for one, first in zip(found, waiting, strict=True)
    ]


async def _waiting(settings: Settings, position: ProjectionPosition) -> dict[Place, Waiting]:
    starts = {(p.topic, p.partition): p.next_offset for p in position.partitions if p.lag and p.next_offset is not None}
    return await first_waiting(resolve(settings).kafka, starts, settings.kafka.request_timeout_ms)


def _said(settings: Settings) -> tuple[dict[tuple[str, int], Control], list[WorkerReport], dict[str, LastError]]:
    """What operators ask, what workers say, and the newest open dead letter of each projection."""
    text = render(queries("positions")["newest_letters"], schema_names(settings.postgres))
    with connection(settings) as conn:
        asked, reports = read_controls(conn, settings), read_reports(conn, settings)
        rows = conn.execute(text.encode()).fetchall()
    letters = {name: LastError("dead letter", code, reason, at) for name, code, reason, at in rows}
    return asked, reports, letters


def _last_error(
    position: ProjectionPosition, reports: Sequence[WorkerReport], letter: LastError | None
) -> LastError | None:
    """A halt, for as long as it lasts; else what happened last."""
    if position.halted:
        halt = position.halted[0]
        where = f"{halt.topic}/{halt.partition}: {halt.halted_reason}"
        return LastError("halt", halt.halted_code or "", where, halt.updated_at)
    found = [LastError("worker", "W_TROUBLE", r.last_error, r.last_error_at) for r in reports if r.last_error]
    found += [letter] if letter is not None else []
    return max((one for one in found if one.at is not None), key=lambda one: str(one.at), default=None)
