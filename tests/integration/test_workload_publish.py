"""A generated run in a real broker: nothing lost, the order of every key kept, a stop that leaves nothing behind."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from tailrace.addresses import resolve
from tailrace.errors import PreconditionError, UnreachableError
from tailrace.operations.topics import apply_topics
from tailrace.producer.connection import key_hash
from tailrace.settings import Settings
from tailrace.workload import Generated, Published, generate, named_profile, publish_records

START = datetime(2026, 10, 20, tzinfo=UTC)
TOPICS = ("conversations", "directory", "files", "activity", "signals")
READ_TIMEOUT_S = 20


async def read_all(settings: Settings) -> list[tuple[str, int, bytes | None, bytes | None]]:
    """Topic without prefix, partition, key and value of every record, in order of each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=resolve(settings).kafka, max_partition_fetch_bytes=4 * 2**20)
    await consumer.start()
    try:
        names = {settings.topic(name): name for name in TOPICS}
        partitions = [
            TopicPartition(topic, partition) for topic in names for partition in range(settings.kafka.partitions)
        ]
        ends = {partition: end for partition, end in (await consumer.end_offsets(partitions)).items() if end}
        consumer.assign(list(ends))
        await consumer.seek_to_beginning()
        read: list[tuple[str, int, bytes | None, bytes | None]] = []
        async with asyncio.timeout(READ_TIMEOUT_S):
            while len(read) < sum(ends.values()):
                for place, records in (await consumer.getmany(timeout_ms=500)).items():
                    read += [(names[place.topic], place.partition, record.key, record.value) for record in records]
        return read
    finally:
        await consumer.stop()


def posts() -> Iterator[Generated]:
    return generate(named_profile("messages", start=START, events=1_000_000))


async def test_every_record_arrives_in_the_order_of_its_key_poison_included(settings: Settings):
    await apply_topics(settings, resolve(settings).kafka)
    made = list(generate(named_profile("demo", start=START, events=5_000)))

    published = await publish_records(resolve(settings).kafka, made, settings=settings)
    read = await read_all(settings)

    sent_by_key, read_by_key = defaultdict(list), defaultdict(list)
    for record in made:
        sent_by_key[record.topic, record.key].append(record.value)
    for topic, _, key, value in read:
        read_by_key[topic, key].append(value)
    assert published.records == len(made)
    assert read_by_key == sent_by_key
    assert all(partition == (key_hash(key) % settings.kafka.partitions if key else 0) for _, partition, key, _ in read)


async def test_a_rate_is_kept(settings: Settings):
    await apply_topics(settings, resolve(settings).kafka)

    published = await publish_records(resolve(settings).kafka, [next(posts())] * 1_000, settings=settings, rate=1_000)

    assert published.seconds == pytest.approx(1.0, abs=0.3)


async def test_a_run_that_is_cancelled_delivers_what_it_took_and_takes_no_more(settings: Settings):
    await apply_topics(settings, resolve(settings).kafka)
    taken = count()
    reports: list[Published] = []
    running = asyncio.Event()

    def records() -> Iterator[Generated]:
        for record, number in zip(posts(), taken, strict=False):
            if number == 5_000:
                running.set()
            yield record

    run = asyncio.create_task(
        publish_records(resolve(settings).kafka, records(), settings=settings, on_progress=reports.append)
    )
    await running.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    in_the_log = len(await read_all(settings))
    assert in_the_log == reports[-1].records
    assert 5_000 <= in_the_log <= next(taken)


async def test_a_missing_topic_stops_the_run_and_is_not_created(settings: Settings):
    with pytest.raises(PreconditionError, match="does not exist"):
        await publish_records(resolve(settings).kafka, posts(), settings=settings)


async def test_a_broker_that_does_not_answer_is_named(settings: Settings):
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1 "):
        await publish_records("127.0.0.1:1", posts(), settings=settings)
