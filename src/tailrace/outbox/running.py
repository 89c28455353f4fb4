"""Runs a relay in this process: with the SDK before it, until SIGTERM."""

import asyncio
import signal
import uuid
from dataclasses import dataclass
from typing import Final

from tailrace.outbox.relay import Relay, RelayOptions, RelayReport
from tailrace.outbox.store import Store
from tailrace.producer import Producer, ProducerOptions
from tailrace.settings import Settings

DELIVERY_TIMEOUT_S: Final = 60.0
SOURCE: Final = "/outbox"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an outbox is."""

    dsn: str
    schema: str


async def relay(settings: Settings, place: Place, *, once: bool, options: RelayOptions | None = None) -> RelayReport:
    """Publish what is committed: with `once` what was before this call, else until SIGTERM or SIGINT.

    Raises `UnreachableError` where a server does not answer at the start (with `once`: at any time).
    """
    producer_options = ProducerOptions(delivery_timeout_s=DELIVERY_TIMEOUT_S)
    async with (
        Store(place.dsn, place.schema) as store,
        Producer(settings, source=SOURCE, options=producer_options) as producer,
    ):
        made = Relay(store, producer, uuid.uuid4(), options)
        if once:
            return await made.run_once()
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, stop.set)
        try:
            return await made.run(stop)
        finally:
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(each)
