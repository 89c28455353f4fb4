"""How far the projection is, asked several times a second on one connection."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import psycopg

from tailrace.operations.database import connection
from tailrace.operations.positions import ProjectionPosition
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names

DERIVED: Final = ("notifications",)


@dataclass(frozen=True, slots=True)
class Reading:
    """Records applied since the start of the demo, and who holds the partitions (`host:pid`)."""

    moved: int
    owners: frozenset[str]

    def is_held_by(self, pid: int) -> bool:
        """Whether a process of this machine with that pid holds a partition."""
        return any(owner.endswith(f":{pid}") for owner in self.owners)


class Position:
    """Compares a projection's progress with where it stood at `start`. Use it as a context manager.

    Topics that streams derive are left out: nobody knows beforehand how many records they will have.
    Kafka is not asked: what was published since is known, and finding the end of the log takes longer than a look.
    """

    def __init__(self, settings: Settings, start: ProjectionPosition) -> None:
        self._identity = (start.name, start.version)
        derived = {settings.topic(name) for name in DERIVED}
        partitions = [p for p in start.partitions if p.topic not in derived]
        self._start = {
            (p.topic, p.partition): p.beginning if p.next_offset is None else p.next_offset for p in partitions
        }
        self.before = sum(p.end for p in partitions)
        """Records that were ever in the log before the demo."""
        self.backlog = self.before - sum(self._start.values())
        """Records that waited already when the demo began."""
        self._statement = render(queries("positions")["stored_positions"], schema_names(settings.postgres)).encode()
        self._opening = connection(settings)
        self._connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> Self:
        self._connection = self._opening.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opening.__exit__(kind, error, trace)

    def read(self) -> Reading:
        """Look now; blocks for one query."""
        if self._connection is None:
            return Reading(0, frozenset())
        cursor = psycopg.RawCursor(self._connection, row_factory=psycopg.rows.dict_row)
        rows = cursor.execute(self._statement, self._identity).fetchall()
        # Of partitions that are not known from the start, nothing counts.
        moved = sum(r["next_offset"] - self._start.get((r["topic"], r["partition"]), r["next_offset"]) for r in rows)
        return Reading(moved, frozenset(r["owner"] for r in rows if r["owner"] is not None))
