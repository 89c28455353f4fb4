"""Finds an event in the log by its id, so that a reader need not know where publishing put it.

An id made by the SDK is a UUIDv7 and holds its time (RFC 9562, 5.7): the search begins ten minutes before it. For any
other id the newest records of each partition are searched.
"""

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from tailrace.addresses import resolve
from tailrace.errors import NotFoundError, UnreachableError
from tailrace.operations.topics import topic_partitions
from tailrace.projections.registry import POSTGRES
from tailrace.settings import Settings
from tailrace.unpacking import bound_unpacking

if TYPE_CHECKING:
    from aiokafka import TopicPartition

CLOCK_SLACK_MS: Final = 600_000
"""How far clocks of producers and brokers may differ (rule T)."""
NEWEST_MAX: Final = 10_000
"""Records of each partition that are searched for an id without a time."""
RECORDS_MAX: Final = 500_000
VERSION_WITH_TIME: Final = 7

Found = tuple[str, int, int]
"""(topic, partition, offset)."""


def locate_event(settings: Settings, event_id: uuid.UUID, timeout_s: float) -> Found:
    """Where the event is. Raises `NotFoundError` if it is not in what was searched, `UnreachableError` for Kafka."""
    try:
        found = asyncio.run(asyncio.wait_for(_locate(settings, event_id), max(timeout_s, 0.1)))
    except TimeoutError as error:
        raise NotFoundError(
            f"event {event_id} was not found within {timeout_s:g} s", fix="--wait S, or its place"
        ) from error
    except KafkaError as error:
        raise UnreachableError(
            f"Kafka: {error}", fix="give the event's place: --after TOPIC/PARTITION@OFFSET"
        ) from error
    if found is None:
        raise NotFoundError(
            f"event {event_id} is not in the log", fix="--after TOPIC/PARTITION@OFFSET, as publishing said"
        )
    return found


async def _locate(settings: Settings, event_id: uuid.UUID) -> Found | None:
    kafka = resolve(settings).kafka
    partitions = await topic_partitions(settings, kafka, set(POSTGRES.topics))
    bound_unpacking()
    reader = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        request_timeout_ms=settings.kafka.request_timeout_ms,
    )
    await reader.start()
    try:
        reader.assign(partitions)
        ends = await reader.end_offsets(partitions)
        left = await _begin(reader, partitions, ends, event_id)
        return await _search(reader, left, ends, event_id)
    finally:
        await reader.stop()


async def _begin(
    reader: Any, partitions: list["TopicPartition"], ends: Any, event_id: uuid.UUID
) -> set["TopicPartition"]:
    """Seek each partition to where the search begins; returns those that have anything behind it."""
    beginnings = await reader.beginning_offsets(partitions)
    if event_id.version == VERSION_WITH_TIME:
        since = max(0, (event_id.int >> 80) - CLOCK_SLACK_MS)
        found = await reader.offsets_for_times(dict.fromkeys(partitions, since))
        starts = {tp: found[tp].offset if found.get(tp) else ends[tp] for tp in partitions}
    else:
        starts = {tp: max(beginnings[tp], ends[tp] - NEWEST_MAX) for tp in partitions}
    for tp, start in starts.items():
        reader.seek(tp, start)
    return {tp for tp in partitions if starts[tp] < ends[tp]}


async def _search(reader: Any, left: set["TopicPartition"], ends: Any, event_id: uuid.UUID) -> Found | None:
    wanted, searched = str(event_id).encode(), 0
    while left and searched < RECORDS_MAX:
        for tp, records in (await reader.getmany(*left, timeout_ms=500)).items():
            searched += len(records)
            for record in records:
                if record.value and wanted in record.value and _id_of(record.value) == str(event_id):
                    return tp.topic, tp.partition, record.offset
            if records[-1].offset + 1 >= ends[tp]:
                left.discard(tp)
    return None


def _id_of(value: bytes) -> str | None:
    """The event's own id; the bytes may as well stand in its data."""
    try:
        document = json.loads(value)
    except ValueError:
        return None
    return document.get("id") if isinstance(document, dict) else None
