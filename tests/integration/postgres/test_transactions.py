"""Transactions of producers: what is not ended is not applied, and nobody takes their markers for unread records."""

import asyncio

from aiokafka import AIOKafkaProducer
from contract_events import CloudEvent, Given
from kafka_topics import publish, record_of
from worker_process import Start, applied, eventually

from tailrace.addresses import resolve
from tailrace.operations.positions import positions, wait
from tailrace.projections.registry import POSTGRES
from tailrace.settings import Settings

STALL_TIMEOUT_S = 2.0


async def test_neither_a_marker_nor_an_open_transaction_is_a_stall(live: Settings, start: Start, given: Given):
    live.worker.stall_timeout_s = STALL_TIMEOUT_S
    producer = AIOKafkaProducer(bootstrap_servers=resolve(live).kafka, transactional_id=live.topic("another-team"))
    await producer.start()

    async def send(event: CloudEvent) -> None:
        raw = record_of(event)
        await producer.send_and_wait(live.topic(raw.topic), key=raw.key, value=raw.value)

    try:
        worker = await start()
        await worker.has_joined()
        async with producer.transaction():
            await send(given.user("bo"))
        await eventually(lambda: applied(live) == 1, "what was committed is applied")
        await asyncio.sleep(2 * STALL_TIMEOUT_S)
        assert worker.is_alive, worker.log_file.read_text()
        assert await _left(live) == 0

        await producer.begin_transaction()
        await send(given.posted("m1"))
        await asyncio.sleep(2 * STALL_TIMEOUT_S)
        assert worker.is_alive, worker.log_file.read_text()
        assert applied(live) == 1
        assert await _left(live) == 0
        await producer.commit_transaction()
        await eventually(lambda: applied(live) == 2, "it is applied as soon as it is committed")
        assert await _left(live) == 0

        await producer.begin_transaction()
        await send(given.posted("m2"))
        await producer.abort_transaction()
        assert await _left(live) == 0
        assert applied(live) == 2
    finally:
        await producer.stop()
    assert await worker.stop() == 0

    await publish(live, [given.posted("m3")])
    assert await _left(live, timeout_s=0)


async def _left(settings: Settings, timeout_s: float = 30) -> int | None:
    """What `wait` and `lag` say is not applied yet: the same."""
    missing = await wait(settings, timeout_s)
    (position,) = await positions(settings, [POSTGRES.name])
    assert position.lag == sum(missing.values())
    return position.lag
