"""Small batches that expand to hundreds of MiB, read by a worker that has no room for them."""

import re
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from contract_events import Given
from kafka_topics import record_of
from worker_process import Start, WorkerProcess, caught_up

from tailrace.addresses import resolve
from tailrace.settings import Settings
from tailrace.unpacking.batches import RECORD_BYTES_MAX

MIB = 2**20
RSS_MAX_MIB = 400
BATCH_BYTES_MAX = 700 * MIB
SIZES = (300 * MIB, 20 * MIB, 3 * MIB)
"""Of the records that are too large; behind each stands one that is not."""
HARDLY_TOO_LARGE = 100

Letters = dict[tuple[int, int], tuple[str, int]]


async def publish_batch(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[bytes], key: bytes
) -> int:
    """All records in one batch, whatever they compress to; gives the first one's offset."""
    batch = producer.create_batch()
    for value in records:
        assert batch.append(key=key, value=value, timestamp=None) is not None
    return (await (await producer.send_batch(batch, topic, partition=partition))).offset


def peak_mib(worker: WorkerProcess) -> int:
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker.pid}/status").read_text())
    return int(kib) // 1024


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
async def test_neighbours_of_a_bomb_are_applied_and_the_worker_stays_small(
    live: Settings, start: Start, given: Given, codec: str
):
    channel, first = record_of(given.channel("c1")), record_of(given.posted("first"))
    bombs = [*map(bytes, SIZES), *[b"x" * (MIB + 1)] * HARDLY_TOO_LARGE]
    values: list[bytes] = []
    for number, bomb in enumerate(bombs):
        values += [bomb, record_of(given.posted(f"n{number}")).value or b""]
    producer = AIOKafkaProducer(
        bootstrap_servers=resolve(live).kafka,
        compression_type=codec,
        max_batch_size=BATCH_BYTES_MAX,
        max_request_size=BATCH_BYTES_MAX,
    )
    async with producer:
        await producer.send_and_wait(live.topic(channel.topic), channel.value, channel.key)
        place = await producer.send_and_wait(live.topic(first.topic), first.value, first.key)
        base = await publish_batch(producer, place.topic, place.partition, values, first.key or b"")

    worker = await start()
    await caught_up(live)
    peak = peak_mib(worker)
    exit_code = await worker.stop()

    with psycopg.connect(resolve(live).postgres) as conn:
        found = conn.execute('SELECT partition, "offset", code, length(raw) FROM runtime.dead_letters').fetchall()
        applied = conn.execute("SELECT count(*) FROM collab.messages").fetchone()
    expected = {
        (place.partition, base + 2 * number): ("E_SIZE", min(len(bomb), RECORD_BYTES_MAX))
        for number, bomb in enumerate(bombs)
    }
    letters: Letters = {(partition, offset): (code, size) for partition, offset, code, size in found}
    assert letters == expected
    assert len(found) == len(letters)
    assert applied == (1 + len(bombs),)
    assert exit_code == 0
    print(f"peak of the worker: {peak} MiB")  # noqa: T201 - for whoever runs it with -s
    assert peak < RSS_MAX_MIB
