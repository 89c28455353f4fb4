"""Finding an event in the log by its id."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer

from tailrace.addresses import resolve
from tailrace.analysis.locating import locate_event
from tailrace.errors import NotFoundError
from tailrace.operations.topics import apply_topics
from tailrace.settings import Settings

TIMEOUT_S = 20


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    await apply_topics(settings, resolve(settings).kafka)
    async with AIOKafkaProducer(bootstrap_servers=resolve(settings).kafka) as started:
        yield started


def uuid7(at_ms: int) -> uuid.UUID:
    return uuid.UUID(int=(at_ms << 80) | (7 << 76) | (2 << 62) | 1)


@pytest.mark.parametrize("event_id", [uuid7(int(time.time() * 1000)), uuid.UUID(int=4 << 76 | 2 << 62)])
async def test_an_event_is_found_where_it_is(event_id: uuid.UUID, settings: Settings, producer: AIOKafkaProducer):
    topic = settings.topic("conversations")
    for document in ({"id": "another", "data": {"about": str(event_id)}}, {"id": str(event_id)}):
        sent = await producer.send_and_wait(topic, json.dumps(document).encode(), partition=1)

    found = await asyncio.to_thread(locate_event, settings, event_id, TIMEOUT_S)

    assert found == (topic, 1, sent.offset)


async def test_an_event_that_is_not_there_is_not_found(settings: Settings, producer: AIOKafkaProducer):
    await producer.send_and_wait(settings.topic("files"), b"no JSON at all", partition=0)

    with pytest.raises(NotFoundError, match="is not in the log"):
        await asyncio.to_thread(locate_event, settings, uuid7(int(time.time() * 1000)), TIMEOUT_S)
