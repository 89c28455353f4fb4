"""What waits in the log: the first record of each partition that is not applied yet, and since when it waits."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError

from tailrace.unpacking import bound_unpacking

Place = tuple[str, int]
"""Topic (full name) and partition."""

TIME_MAX_S: Final = 0.8
"""For all partitions together: those that have not answered by then stay unknown."""
FETCH_WAIT_MS: Final = 50
PARTITION_FETCH_BYTES: Final = 64 * 2**10
"""A partition's first batch of records comes whole if it is smaller; else one such batch comes with each fetch."""


class Waiting(NamedTuple):
    """A record that waits. `event_time` None: it says no time (it is not even an event). Times are aware UTC."""

    offset: int
    append_time: datetime
    event_time: datetime | None


async def first_waiting(bootstrap: str, positions: Mapping[Place, int], timeout_ms: int) -> dict[Place, Waiting]:
    """The record at or behind each position; partitions without one, or that do not answer in time, are missing."""
    if not positions:
        return {}
    bound_unpacking()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        request_timeout_ms=timeout_ms,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
    )
    found: dict[Place, Waiting] = {}
    try:
        async with asyncio.timeout(TIME_MAX_S):
            await consumer.start()
            await _read(consumer, positions, found)
    except (TimeoutError, KafkaError, OSError):
        pass  # what was found is true, the rest is unknown
    finally:
        await consumer.stop()
    return found


async def _read(consumer: AIOKafkaConsumer, positions: Mapping[Place, int], found: dict[Place, Waiting]) -> None:
    partitions = {place: KafkaPartition(*place) for place in positions}
    consumer.assign(list(partitions.values()))
    for place, partition in partitions.items():
        consumer.seek(partition, positions[place])
    while len(found) < len(partitions):
        for partition, records in (await consumer.getmany(timeout_ms=FETCH_WAIT_MS)).items():
            place = (partition.topic, partition.partition)
            if records and place not in found:
                found[place] = _waiting(records[0])
                consumer.pause(partition)


def _waiting(record: Any) -> Waiting:
    return Waiting(record.offset, datetime.fromtimestamp(record.timestamp / 1_000, UTC), event_time_of(record.value))


def event_time_of(value: bytes | None) -> datetime | None:
    """When an event says it happened, aware UTC; None for whatever says no such thing."""
    try:
        time = datetime.fromisoformat(orjson.loads(value or b"")["time"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
    return time.astimezone(UTC) if time.tzinfo else None
