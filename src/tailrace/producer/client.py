"""The producer that services use."""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self, Unpack

from tailrace.addresses import resolve
from tailrace.errors import TailraceError, UsageError
from tailrace.producer.clock import ClockFile, HybridClock, wall_clock_us
from tailrace.producer.connection import Connection, Record
from tailrace.producer.delivery import Delivery
from tailrace.producer.errors import CloseIncomplete, EventRefused, ProducerClosed
from tailrace.producer.ids import EventIds
from tailrace.producer.options import ProducerOptions
from tailrace.producer.results import Ack, Failed, Refused, Result
from tailrace.producer.stamping import Attributes, Draft, Publishable, Stamper, type_of
from tailrace.schemas.fields import Data
from tailrace.settings import Settings, load_settings

YIELD_EVENTS: Final = 100
"""A stream of events lets others run after this many, though none of them had to wait for anything."""


class Producer:
    """Publishes events of the contract: validated, stamped, in order per key, acknowledged by all in-sync replicas.

    Use it as `async with Producer(settings, source="/billing") as producer`, from one event loop. Entering connects and
    raises `UnreachableError` where no broker answers; leaving flushes and raises `CloseIncomplete` where that failed.
    Later outages are waited out behind the scenes: an event fails only when its own deadline passes.

    `source` is the URI-reference of the producer (CloudEvents 1.0). `now_us` gives microseconds since 1970, UTC;
    `random_bits(n)` gives n random bits. `validate` needs neither a connection nor an event loop.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        source: str,
        bootstrap_servers: str | None = None,
        options: ProducerOptions | None = None,
        now_us: Callable[[], int] = wall_clock_us,
        random_bits: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._settings = settings or load_settings()
        self._bootstrap = bootstrap_servers
        self._options = options or ProducerOptions()
        self._now_us = now_us
        self.clock = HybridClock(now_us=now_us, drift_max_s=self._options.clock_drift_max_s)
        """Stamps `sequence`; let it `observe` what was read from the log, and it goes on above that."""
        ids = EventIds(now_us=now_us, random_bits=random_bits)
        self._stamper = Stamper(source, self._settings.topic, self.clock, ids, now_us)
        self._delivery: Delivery | None = None

    async def start(self) -> None:
        """Connect; raises `UnreachableError`, and `PreconditionError` where another process holds the clock's file."""
        if self._options.clock_state:
            self.clock.attach(ClockFile(self._options.clock_state))
        delivery = Delivery(self._connect, self._options)
        try:
            await delivery.start()
        except BaseException:
            self.clock.close()
            raise
        self._delivery = delivery

    def validate(
        self, event: Publishable | str, data: Mapping[str, Any] | Data | None = None, **attributes: Unpack[Attributes]
    ) -> Record:
        """Return what `publish` would send, without sending it; raises what `publish` raises before it sends."""
        return self._stamper.record(_draft(event, data, attributes))

    async def submit(
        self, event: Publishable | str, data: Mapping[str, Any] | Data | None = None, **attributes: Unpack[Attributes]
    ) -> "asyncio.Future[Ack]":
        """Hand an event over and return the future of its Ack; waits only for room in the buffer (back-pressure).

        Events of one key are in the log in the order of these calls. Raises what `validate` raises, and
        `ProducerClosed`; the future fails with `NotDelivered`, `DeliveryUnknown` or `TopicMissing`. Cancelling the
        future takes the event back if it was not handed to the broker yet, and else only stops waiting.
        """
        return await self.submit_record(self.validate(event, data, **attributes))

    async def submit_record(self, record: Record) -> "asyncio.Future[Ack]":
        """Hand over a record that `validate` returned; see `submit`."""
        if self._delivery is None:
            raise ProducerClosed
        return await self._delivery.submit(record)

    async def publish(
        self, event: Publishable | str, data: Mapping[str, Any] | Data | None = None, **attributes: Unpack[Attributes]
    ) -> Ack:
        """Publish one event and wait until it is acknowledged: `publish("collab.message.posted", {...}, time=...)`.

        `event` is a type with its `data`, a model of the contract that serves one type only, or anything `Publishable`.
        Raises `EventRefused`, `ClockDrift`, `TopicMissing`, `NotDelivered`, or `DeliveryUnknown`, at the latest after
        `delivery_timeout_s`.
        """
        return await (await self.submit(event, data, **attributes))

    async def publish_event(self, cloud_event: Mapping[str, Any]) -> Ack:
        """Publish an event that has its envelope already: id, time and sequence stay, nothing is filled in."""
        return await (await self.submit_record(self._stamper.ready_made(cloud_event)))

    async def publish_stream(self, events: Iterable[Publishable] | AsyncIterable[Publishable]) -> AsyncIterator[Result]:
        """Publish events as they come and yield their results in the same order.

        A single event never raises: its result is `Refused` or `Failed`. At most `in_flight_max_events` results are
        held back; those that are ready are yielded whenever another event was taken in, and at the end.
        """
        window: deque[tuple[str, asyncio.Future[Ack]] | Refused] = deque()
        taken = 0
        async for event in _async(events):
            taken += 1
            try:
                record = self._stamper.record(event)
            except EventRefused as error:
                window.append(Refused(_id_of(event), error))
            else:
                window.append((record.event_id, await self.submit_record(record)))
            while window and (len(window) >= self._options.in_flight_max_events or _ready(window[0])):
                yield await _result(window.popleft())
            if taken % YIELD_EVENTS == 0:
                await asyncio.sleep(0)
        while window:
            yield await _result(window.popleft())

    async def publish_many(self, events: Iterable[Publishable] | AsyncIterable[Publishable]) -> list[Result]:
        """Publish events and return their results in the same order; see `publish_stream`, which needs less memory."""
        return [result async for result in self.publish_stream(events)]

    async def flush(self) -> None:
        """Wait until every event handed over so far is acknowledged or has failed."""
        if self._delivery:
            await self._delivery.flush()

    async def close(self) -> tuple[Failed, ...]:
        """Flush for at most `close_timeout_s`, then let go; returns what was not acknowledged, oldest first."""
        delivery, self._delivery = self._delivery, None
        try:
            return await delivery.close() if delivery else ()
        finally:
            self.clock.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        unacknowledged = await self.close()
        if unacknowledged and error is None:
            raise CloseIncomplete(unacknowledged)

    async def _connect(self) -> Connection:
        # Looked up every time: an embedded broker may come back at another port.
        return await Connection.open(self._bootstrap or resolve(self._settings).kafka, self._options)


def _draft(event: Publishable | str, data: Mapping[str, Any] | Data | None, attributes: Attributes) -> Publishable:
    if isinstance(event, str):
        return Draft(event, {} if data is None else data, attributes)
    if data is not None:
        raise UsageError("data goes with a type: publish(TYPE, data)")
    if isinstance(event, Data):
        return Draft(type_of(event), event, attributes)
    if attributes:
        raise UsageError("a draft or a mapping brings its attributes with it")
    return event


async def _async(events: Iterable[Publishable] | AsyncIterable[Publishable]) -> AsyncIterator[Publishable]:
    if isinstance(events, AsyncIterable):
        async for event in events:
            yield event
    else:
        for event in events:
            yield event


def _id_of(event: Publishable) -> str | None:
    attributes: Any = event.attributes if isinstance(event, Draft) else event
    given = attributes.get("id") if isinstance(attributes, Mapping) else None
    return None if given is None else str(given)


def _ready(entry: tuple[str, asyncio.Future[Ack]] | Refused) -> bool:
    return isinstance(entry, Refused) or entry[1].done()


async def _result(entry: tuple[str, asyncio.Future[Ack]] | Refused) -> Result:
    if isinstance(entry, Refused):
        return entry
    event_id, future = entry
    try:
        return await future
    except TailraceError as error:
        return Failed(event_id, error)
