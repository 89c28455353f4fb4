"""How far the streams are: what their groups have committed, and what waits behind it.

A stream commits an offset when every output of the records before it is acknowledged by the broker.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tailrace.addresses import resolve
from tailrace.errors import UnreachableError
from tailrace.operations.topics import topic_partitions
from tailrace.settings import Settings

log = structlog.get_logger()

SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {"gateway": "inbound", "notifications": "conversations", "trends": "conversations"}
)
"""Topic (without prefix) that each stream reads, in the order in which what they write goes on."""
POLL_S: Final = 0.3
OUTAGE_POLL_S: Final = 2.0
SETTLE_S: Final = 3.0
"""How long a stream that has read everything is given to say what only the passing of time makes final: its ticks are a
second apart, and the first one behind a batch waits for another."""


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """One stream. `is_new` says that its group has never committed anything; `lag` is in offsets."""

    name: str
    source: str
    is_new: bool
    lag: int


async def stream_positions(settings: Settings) -> list[StreamPosition]:
    """Position of every stream; those whose topic does not exist are left out.

    Commits are read before the ends, so that `lag` is never too small. Raises `UnreachableError`, and
    `PreconditionError` where none of the topics exists.
    """
    bootstrap = resolve(settings).kafka
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=settings.kafka.request_timeout_ms)
    reader = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, request_timeout_ms=settings.kafka.request_timeout_ms
    )
    partitions = await topic_partitions(settings, bootstrap, {*SOURCES.values()}, some=True)
    try:
        try:
            await admin.start()
            await reader.start()
            groups = {name: settings.group(f"streams.{name}") for name in SOURCES}
            commits = {name: await admin.list_consumer_group_offsets(group) for name, group in groups.items()}
            beginnings = await reader.beginning_offsets(partitions)
            ends = await reader.end_offsets(partitions)
        finally:
            await reader.stop()
            await admin.close()
    except (KafkaError, OSError, TimeoutError) as error:
        raise UnreachableError(f"no Kafka broker answers at {bootstrap}", fix="tailrace up") from error
    found = []
    for name, source in SOURCES.items():
        if own := [tp for tp in partitions if tp.topic == settings.topic(source)]:
            committed = {tp: at.offset for tp, at in commits[name].items() if at.offset >= 0}
            lag = sum(max(0, ends[tp] - max(committed.get(tp, 0), beginnings[tp])) for tp in own)
            found.append(StreamPosition(name, source, not committed, lag))
    return found


async def wait_for_streams(
    settings: Settings,
    timeout_s: float,
    names: Collection[str] = (),
    on_progress: Callable[[int], None] = lambda _: None,
) -> Mapping[str, int]:
    """Wait until the named streams (none: all that have ever run) have passed what is in their topics, and settled.

    What the gateway writes, the others read: all are asked until all are done in one look. Returns the lag of those
    that are not done in `timeout_s`, by name; empty where all are. `on_progress` is told the sum. Raises
    `UnreachableError`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        wanted = [one for one in await stream_positions(settings) if one.name in names or not (names or one.is_new)]
        behind = {one.name: one.lag for one in wanted if one.lag}
        on_progress(sum(behind.values()))
        if not behind:
            await asyncio.sleep(SETTLE_S)
            return {}
        if time.monotonic() > deadline:
            return behind
        await asyncio.sleep(POLL_S)


async def wait_for_broker(settings: Settings, timeout_s: float) -> None:
    """Wait until the broker tells which topics there are; raises `UnreachableError` where it has not in `timeout_s`."""
    bootstrap = resolve(settings).kafka
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            await topic_partitions(settings, bootstrap, {*SOURCES.values()}, some=True)
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
            log.info("waiting_for_broker", left_s=round(deadline - time.monotonic()))
            await asyncio.sleep(OUTAGE_POLL_S)
        else:
            return
