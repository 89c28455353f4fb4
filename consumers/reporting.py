"""Tells PostgreSQL once a second how a worker does, and learns there whether it is paused."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import asyncpg
import structlog

from tailrace.projections.registry import Projection
from tailrace.settings import PostgresSettings
from tailrace.sql.catalog import queries, render, schema_names

log = structlog.get_logger()

ROUND_S: Final = 1.0
RATE_OVER_ROUNDS: Final = 10
FORGET_S: Final = 86_400
TIMEOUT_S: Final = 10.0

FAULTS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class State(NamedTuple):
    """How a worker does at this moment. `troubles` counts what went wrong, `last_trouble` says what it was last."""

    is_standing: bool
    in_hand: int
    partitions: int
    applied: int
    troubles: int
    last_trouble: str | None


class Reporter:
    """Runs beside one worker, on a connection of its own; is its `Control`.

    Until it has been told otherwise once, the worker is paused: one that starts beside a paused projection must not
    apply anything. Afterwards, while PostgreSQL does not answer, the last answer holds.
    """

    def __init__(self, dsn: str, settings: PostgresSettings, projection: Projection, owner: str) -> None:
        names = schema_names(settings)
        self._texts = {name: render(text, names) for name, text in queries("controls").items()}
        self._dsn = dsn
        self._identity = (projection.name, projection.version, owner)
        self._connection: asyncpg.Connection | None = None
        self._counts: deque[tuple[float, int]] = deque(maxlen=RATE_OVER_ROUNDS + 1)
        self._troubles = 0
        self.is_paused = True

    async def run(self, finished: asyncio.Event, state: Callable[[], State]) -> None:
        """Report until `finished` is set."""
        while not finished.is_set():
            try:
                await self.once(state())
            except FAULTS as error:
                log.warning("report_failed", error=type(error).__name__)
                self._close()
            try:
                await asyncio.wait_for(finished.wait(), ROUND_S)
            except TimeoutError:
                continue

    async def once(self, state: State) -> None:
        """Report once, and learn what is asked."""
        connection = await self._connect()
        row = (
            *self._identity,
            "paused" if state.is_standing else "running",
            state.in_hand,
            state.partitions,
            state.applied,
            self._rate(state.applied),
            state.last_trouble,
            state.troubles > self._troubles,
        )
        asked = await connection.fetchval(self._texts["report"], *row)
        self._troubles = state.troubles
        is_paused = asked != "running"
        if is_paused != self.is_paused:
            log.info("worker_paused" if is_paused else "worker_goes_on", projection=self._identity[0])
        self.is_paused = is_paused

    async def end(self, error: BaseException | None) -> None:
        """Take the report back; after an error leave word of it."""
        try:
            connection = await self._connect()
            if error is None:
                await connection.execute(self._texts["forget_reports"], *self._identity, FORGET_S)
            else:
                said = f"worker ended: {type(error).__name__}: {error}"
                await connection.execute(self._texts["ended_with"], *self._identity, said)
        except FAULTS as fault:
            log.warning("report_failed", error=type(fault).__name__)
        self._close()

    def _rate(self, applied: int) -> float | None:
        """Events a second since the oldest of the last rounds; None in the first."""
        now = asyncio.get_running_loop().time()
        self._counts.append((now, applied))
        then, before = self._counts[0]
        return (applied - before) / (now - then) if now > then else None

    async def _connect(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=TIMEOUT_S,
                command_timeout=TIMEOUT_S,
                # PgBouncer in transaction mode hands the next statement to another session.
                statement_cache_size=0,
                server_settings={"application_name": f"tailrace worker {self._identity[0]}"},
            )
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
