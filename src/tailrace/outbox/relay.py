"""Publishes what was committed to the outbox: all of it, in the order of its positions, and nothing else.

A transaction may commit long after it drew its position, so the highest committed position says nothing of those below.
Here a position counts as final once every transaction that was running when it was drawn has ended (the horizon of
PostgreSQL's snapshots); what is final and visible then is published, in order. See the decision record on the outbox.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import structlog
from pydantic_core import from_json

from tailrace.errors import PartlyDoneError, TailraceError, UnreachableError
from tailrace.outbox.store import Mark, Row, Store
from tailrace.producer import Ack, EventRefused, Record
from tailrace.schemas.refusals import RefusalCode
from tailrace.schemas.scrub import scrub

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """Every wait and batch of a relay.

    `lease_s` is how long another relay waits before it takes over from one that died. `rescan_s`: so often the relay
    looks at positions that it is done with, for refused events that somebody has freed.
    """

    batch_max_events: int = 1_000
    batch_max_bytes: int = 8 * 2**20
    lease_s: float = 15.0
    poll_s: float = 0.2
    retry_wait_min_s: float = 0.5
    retry_wait_max_s: float = 30.0
    rescan_s: float = 60.0
    once_timeout_s: float = 60.0


@dataclass(slots=True)
class RelayReport:
    """What a relay did: events that are in the log, and events that do not fit the contract."""

    published: int = 0
    refused: int = 0


class Publisher(Protocol):
    """The part of `Producer` that is used here."""

    def validate(self, event: Any) -> Record:
        """Return the record of a whole event; raises `EventRefused`."""

    async def submit_record(self, record: Record) -> "asyncio.Future[Ack]":
        """Hand a record over."""


class Relay:
    """One relay. `owner` is its name in the lease, a new one for every process; `clock` counts seconds."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        owner: UUID,
        options: RelayOptions | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._owner = owner
        self._options = options or RelayOptions()
        self._clock = clock or asyncio.get_running_loop().time
        self._mark: Mark | None = None
        self._final = 0
        self._done = 0
        self._held_at = float("-inf")
        self._scanned_at = self._clock()
        self.report = RelayReport()

    async def run(self, stop: asyncio.Event) -> RelayReport:
        """Publish until `stop` is set; outages of either server are waited out, with growing pauses."""
        wait_s = self._options.retry_wait_min_s
        while not stop.is_set():
            try:
                pause_s = await self._round()
                wait_s = self._options.retry_wait_min_s
            except UnreachableError as error:
                log.warning("outbox_waits", reason=str(error), wait_s=wait_s)
                pause_s, wait_s = wait_s, min(2 * wait_s, self._options.retry_wait_max_s)
            if pause_s:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause_s)
        with contextlib.suppress(UnreachableError):
            await self._store.release(self._owner)
        return self.report

    async def run_once(self) -> RelayReport:
        """Publish what was committed before this call.

        Raises what stands in the way, and `PartlyDoneError` where another relay has the lease, or a transaction that
        began before runs on, for `once_timeout_s`.
        """
        wanted, _ = await self._store.mark()
        try:
            await self._reach(wanted.position)
        finally:
            with contextlib.suppress(UnreachableError):
                await self._store.release(self._owner)
        return self.report

    async def _reach(self, position: int) -> None:
        end = self._clock() + self._options.once_timeout_s
        while True:
            pause_s = await self._round()
            if self._done >= position:
                return
            if self._clock() > end:
                raise PartlyDoneError(
                    f"position {self._done} was reached, {position} was wanted",
                    fix="tailrace outbox status says what holds it up",
                )
            await asyncio.sleep(pause_s)

    async def _round(self) -> float:
        """Do what can be done now; returns how many seconds nothing will be to do. Raises `UnreachableError`."""
        if not await self._hold():
            self._done = 0  # whoever has it may have freed what we passed over
            return self._options.lease_s / 3
        await self._advance()
        if self._clock() - self._scanned_at > self._options.rescan_s:
            self._done, self._scanned_at = 0, self._clock()
        limits = (self._options.batch_max_events, self._options.batch_max_bytes)
        rows = await self._store.due(self._done, self._final, limits)
        if not rows:
            self._done = max(self._done, self._final)
            return self._options.poll_s
        await self._publish(rows)
        return 0.0

    async def _hold(self) -> bool:
        if self._clock() - self._held_at > self._options.lease_s / 3:
            asked_at = self._clock()
            if not await self._store.hold(self._owner, self._options.lease_s):
                self._held_at = float("-inf")
                return False
            self._held_at = asked_at
        return True

    async def _advance(self) -> None:
        """Find out which positions are final by now."""
        if self._mark is None:
            self._mark, ended = await self._store.mark()
        else:
            ended = await self._store.ended_before()
        if ended >= self._mark.before:
            self._final, self._mark = self._mark.position, None

    async def _publish(self, rows: list[Row]) -> None:
        records: list[tuple[int, Record]] = []
        for row in rows:
            try:
                records.append((row.position, self._publisher.validate(_parsed(row.event))))
            except EventRefused as error:
                await self._store.refuse(row.position, str(error.code), error.reason)
                self.report.refused += 1
                log.warning("outbox_event_refused", position=row.position, code=str(error.code), reason=error.reason)
        # Without a pause in between: so they also run out of time together, and none overtakes one that did.
        futures = [await self._publisher.submit_record(record) for _, record in records]
        await self._wait(futures)
        acknowledged = [
            position
            for (position, _), future in zip(records, futures, strict=True)
            if not future.cancelled() and future.exception() is None
        ]
        if acknowledged:
            await self._store.acknowledge(acknowledged)
            self.report.published += len(acknowledged)
        failures = [future.exception() for future in futures if not future.cancelled()]
        for failure in filter(None, failures):
            raise _as_outage(failure)
        if len(acknowledged) == len(futures):
            self._done = rows[-1].position

    async def _wait(self, futures: "list[asyncio.Future[Ack]]") -> None:
        """Wait for the results and keep the lease meanwhile; where it is lost, take back what was not sent yet."""
        pending = set(futures)
        while pending:
            _, pending = await asyncio.wait(pending, timeout=self._options.lease_s / 3)
            if pending and not await self._hold():
                for future in pending:
                    future.cancel()
                return


def _parsed(event: str) -> dict[str, Any]:
    try:
        value = from_json(scrub(event.encode()), allow_inf_nan=False)
    except ValueError:
        raise EventRefused(RefusalCode.E_DECODE, "event: expected JSON") from None
    if not isinstance(value, dict) or "specversion" not in value:
        # Anything else the SDK would complete, with a new id every time it is sent.
        raise EventRefused(RefusalCode.E_SCHEMA, "specversion: missing", path="specversion")
    return value


def _as_outage(error: BaseException) -> BaseException:
    """Whatever keeps a record from the log is waited out: the order must not go on without it."""
    if isinstance(error, TailraceError):
        return UnreachableError(str(error), fix=error.fix)
    return error
