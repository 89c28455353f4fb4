"""Hundreds of records of forty bad classes, each beside a good one: one dead letter each, and a bounded worker."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from contract_events import Given
from kafka_topics import record_of
from poison_corpus import BOMB_BYTES, Poison, corpus
from read_models import ReadModels
from worker_process import PARTITIONS, WorkerProcess, caught_up, workers

from tailrace.addresses import resolve
from tailrace.operations.topics import apply_topics
from tailrace.settings import Settings
from tailrace.unpacking.batches import RECORD_BYTES_MAX
from tailrace.verification.verify import verify

SEED = 1
RSS_MAX_MIB = 400
"""Of a worker that holds a batch, the next one and a fetch, with records that would expand to 48 MiB each."""

Place = tuple[str, int, int]


@dataclass(frozen=True)
class Aftermath:
    poison: dict[Place, Poison]
    letters: dict[Place, dict[str, Any]]
    good: set[str]
    models: ReadModels
    exit_code: int
    peak_mib: int


@pytest.fixture(scope="module")
async def after(fresh_models: Callable[[str], ReadModels], tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    models, given = fresh_models("poison"), Given()
    settings = models.settings
    settings.kafka.partitions, settings.kafka.partitions_small = PARTITIONS, 1
    await apply_topics(settings, resolve(settings).kafka)
    records = corpus(SEED)
    good = [given.posted(f"n{number}") for number in range(len(records))]
    places = await _publish(settings, records, given.channel("c1"), good)
    async with workers(settings, tmp_path_factory.mktemp("poison")) as start:
        worker = await start()
        await caught_up(settings)
        peak = _peak_mib(worker)
        exit_code = await worker.stop()
    rows = models.execute("SELECT * FROM runtime.dead_letters")
    letters = {(row["topic"], row["partition"], row["offset"]): row for row in rows}
    named = {f"n{number}" for number in range(len(records))}
    return Aftermath(dict(zip(places, records, strict=True)), letters, named, models, exit_code, peak)


async def _publish(settings: Settings, poison: list[Poison], first: Any, good: list[Any]) -> list[Place]:
    """Each bad record with a good one behind it; gives the places of the bad ones."""
    kafka, limit = resolve(settings).kafka, 3 * BOMB_BYTES
    plain = AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=limit)
    squeezing = AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=limit, compression_type="gzip")
    await asyncio.gather(plain.start(), squeezing.start())
    try:
        sent = []
        channel = record_of(first)
        await plain.send_and_wait(settings.topic(channel.topic), channel.value, channel.key)
        for bad, event in zip(poison, good, strict=True):
            raw, neighbour = bad.raw, record_of(event)
            producer = squeezing if bad.is_bomb else plain
            topic, headers = settings.topic(raw.topic), list(raw.headers)
            sent.append(await producer.send(topic, raw.value, raw.key, headers=headers))
            await plain.send(settings.topic(neighbour.topic), neighbour.value, neighbour.key)
        return [(place.topic, place.partition, place.offset) for place in [await one for one in sent]]
    finally:
        await asyncio.gather(plain.stop(), squeezing.stop())


def _peak_mib(worker: WorkerProcess) -> int:
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker.pid}/status").read_text())
    return int(kib) // 1024


async def test_the_corpus_is_worth_the_name(after: Aftermath):
    assert len(after.poison) >= 500
    assert len({poison.name for poison in after.poison.values()}) >= 25


async def test_every_one_is_a_dead_letter_with_its_code_and_nothing_else_is(after: Aftermath):
    wrong = Counter(
        (poison.name, poison.code, after.letters[place]["code"] if place in after.letters else None)
        for place, poison in after.poison.items()
        if place not in after.letters or after.letters[place]["code"] != poison.code
    )
    assert wrong == {}
    assert after.letters.keys() == after.poison.keys()


async def test_a_letter_holds_the_record_as_it_came_and_quotes_nothing(after: Aftermath):
    for place, poison in after.poison.items():
        letter = after.letters[place]
        kept = poison.raw.value and poison.raw.value[:RECORD_BYTES_MAX]
        assert (bytes(letter["raw"]), letter["key"]) == (kept, poison.raw.key)
        assert letter["attempts"] == 1
        assert "hello" not in letter["reason"]
        assert len(letter["reason"]) < 500


async def test_the_neighbours_are_applied_and_the_worker_ends_well(after: Aftermath):
    assert after.good <= after.models.worlds()[0].messages()
    assert after.exit_code == 0
    assert (await asyncio.to_thread(verify, after.models.settings, limit=3)).differences == 0


async def test_the_worker_stayed_small(after: Aftermath, record_property: Callable[[str, object], None]):
    record_property("peak_mib", after.peak_mib)
    print(f"peak of the worker: {after.peak_mib} MiB")  # noqa: T201 - for whoever runs it with -s
    assert after.peak_mib < RSS_MAX_MIB
