"""The log that every run reads: filled once from the generator, into topics of the benchmark's own."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tailrace.operations.topics import apply_topics, topic_partitions
from tailrace.projections.registry import POSTGRES
from tailrace.schemas.catalogue import TOPICS
from tailrace.settings import Settings
from tailrace.workload import Profile, generate, named_profile, publish_records

# Not "until now": the same command must give the same bytes next month.
START = datetime(2026, 9, 7, tzinfo=UTC)


@dataclass(frozen=True)
class EventLog:
    """A filled log. `records` counts what a worker reads; `months` are those its messages fall into."""

    settings: Settings
    bootstrap: str
    profile: Profile
    records: int
    months: tuple[date, ...]


def with_topic_prefix(settings: Settings, prefix: str) -> Settings:
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"topic_prefix": prefix})})


def profile_of(name: str, events: int) -> Profile:
    return named_profile(name, start=START, events=events, workspaces=4, users=200)


async def fill(settings: Settings, bootstrap: str, name: str, events: int) -> EventLog:
    """Make the topics and publish the profile; topics that already hold as many records are taken as they are."""
    run = profile_of(name, events)
    await apply_topics(settings, bootstrap)
    if await _length(settings, bootstrap) != events:
        if await _length(settings, bootstrap):
            await drop(settings, bootstrap)
            await asyncio.sleep(2)  # the broker deletes in the background
            await apply_topics(settings, bootstrap)
        await publish_records(bootstrap, generate(run), settings=settings)
    length = await _length(settings, bootstrap)
    last = START + timedelta(days=run.days + 1)
    months = {
        (START - timedelta(days=1)).date().replace(day=1),
        START.date().replace(day=1),
        last.date().replace(day=1),
    }
    return EventLog(settings, bootstrap, run, length, tuple(sorted(months)))


async def partitions_of(settings: Settings, bootstrap: str) -> list[TopicPartition]:
    """Every partition that the worker reads."""
    return [TopicPartition(*place) for place in await topic_partitions(settings, bootstrap, POSTGRES.topics)]


async def _length(settings: Settings, bootstrap: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        return sum((await consumer.end_offsets(await partitions_of(settings, bootstrap))).values())
    finally:
        await consumer.stop()


async def drop(settings: Settings, bootstrap: str) -> None:
    """Delete the benchmark's topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([settings.topic(topic.name) for topic in TOPICS])
    finally:
        await admin.close()


def sample_posts(run: Profile, count: int) -> list[dict[str, Any]]:
    """Data of the first posts of a run: what rows made by the server are shaped like."""
    posts = (
        orjson.loads(record.value)["data"]
        for record in generate(run)
        if record.type == "collab.message.posted" and record.value is not None
    )
    return list(islice(posts, count))
