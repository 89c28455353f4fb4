"""Topics of a real broker in a test's hands: publish exactly these records, read them back, take topics away."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from contract_events import CloudEvent, in_world
from worker_process import eventually

from tailrace.addresses import resolve
from tailrace.operations.topics import SMALL, apply_topics
from tailrace.schemas.catalogue import key_of, topic_of
from tailrace.settings import Settings

RECORD_BYTES_MAX = 4 * 2**20
Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Raw:
    """A record to be published as it stands, to a topic named without its prefix."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def record_of(event: CloudEvent) -> Raw:
    """An event of the first world under the contract's key, or as the bytes in its `raw`."""
    event = in_world(event)
    value = event.pop("raw", b"")
    key = key_of(event["type"], event["data"]).encode()
    return Raw(topic_of(event["type"]), key, json.dumps(event).encode() if value == b"" else value)


async def publish(settings: Settings, records: Iterable[CloudEvent | Raw]) -> list[tuple[str, int, int]]:
    """Publish one after the other; returns (full topic, partition, offset) of each."""
    producer = AIOKafkaProducer(bootstrap_servers=resolve(settings).kafka, max_request_size=RECORD_BYTES_MAX)
    await producer.start()
    try:
        sent = []
        for record in records:
            raw = record if isinstance(record, Raw) else record_of(record)
            sent.append(
                await producer.send(settings.topic(raw.topic), key=raw.key, value=raw.value, headers=list(raw.headers))
            )
        places = [await future for future in sent]
    finally:
        await producer.stop()
    return [(place.topic, place.partition, place.offset) for place in places]


async def read_all(settings: Settings, topic: str) -> list[Any]:
    """All records of a topic, named without its prefix, as they are now."""
    name = settings.topic(topic)
    consumer = AIOKafkaConsumer(bootstrap_servers=resolve(settings).kafka, max_partition_fetch_bytes=RECORD_BYTES_MAX)
    await consumer.start()
    try:
        count = settings.kafka.partitions_small if topic in SMALL else settings.kafka.partitions
        partitions = [TopicPartition(name, number) for number in range(count)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        read: list[Any] = []
        while len(read) < sum(ends.values()):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                read += records
        return read
    finally:
        await consumer.stop()


async def recreate(settings: Settings, *topics: str) -> None:
    """Delete topics, named without their prefix, and make them anew under the same names."""
    admin = AIOKafkaAdminClient(bootstrap_servers=resolve(settings).kafka)
    await admin.start()
    names = [settings.topic(topic) for topic in topics]

    async def are_gone() -> bool:
        try:
            return not set(names) & set(await admin.list_topics())
        except UnknownTopicOrPartitionError:
            return False

    async def are_back() -> bool:
        try:
            await apply_topics(settings, resolve(settings).kafka)
        except KafkaError:
            return False
        return True

    try:
        await admin.delete_topics(names)
        await eventually(are_gone, "the topics are deleted")
        await eventually(are_back, "the topics are made anew")
    finally:
        await admin.close()


async def delete_before(settings: Settings, topic: str, partition: int, offset: int) -> None:
    """Let the log of a partition begin at `offset`, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=resolve(settings).kafka)
    await admin.start()
    try:
        place = TopicPartition(settings.topic(topic), partition)
        await admin.delete_records({place: RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()
