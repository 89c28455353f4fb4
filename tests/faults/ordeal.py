"""One seeded ordeal of the PostgreSQL sink: colliding events, two owners who take over from each other, faults.

Connections die in mid-transaction, answers to COMMIT are lost, an owner wakes with a batch of an older claim, some
records are refused by the contract and one by the store. Afterwards everything is compared with the oracle.
"""

import asyncio
import random
from typing import Any

import psycopg
import stamina
from chaos import chaos
from read_models import Log, Reader, ReadModels, log_of, partition_of
from refusing import OVERLONG, refuse_overlong

from tailrace.consumers.applying import Applier
from tailrace.consumers.batch import Batch, Outcome, Record, TopicPartition
from tailrace.consumers.postgres.sink import PostgresSink
from tailrace.schemas.event import Event, Refusal
from tailrace.settings import WorkerSettings
from tailrace.verification.compare_dead_letters import dead_letters, left_out, waiting_events
from tailrace.verification.reading import TOPICS

EVENTS = 160
REPEATED = 0.15
REFUSED = 4
PIECE_MAX = 25
STEPS_MAX = 2_000
CLAIMS_MAX = 5
TAKEN_OVER = 0.12
LOST_ANSWERS = 0.08
KILLED = 0.2
KILLED_WITHIN_S = 0.03


class FlakySink(PostgresSink):
    """Loses answers to COMMIT, and its backend in the middle of transactions, by the dice."""

    rng: random.Random
    other: PostgresSink

    async def apply(self, batch: Batch) -> Outcome:
        fault = self.rng.random()
        if fault < LOST_ANSWERS:
            await super().apply(batch)
            raise ConnectionResetError
        if fault < LOST_ANSWERS + KILLED:
            pid = (await self.progress.connection()).get_server_pid()
            killer = asyncio.create_task(self._kill(pid, self.rng.random() * KILLED_WITHIN_S))
            try:
                return await super().apply(batch)
            finally:
                await killer
        return await super().apply(batch)

    async def _kill(self, pid: int, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await (await self.other.progress.connection()).execute("SELECT pg_terminate_backend($1)", pid)


class Owner:
    """One worker of the ordeal: a sink, its claims and its applier."""

    def __init__(self, models: ReadModels, rng: random.Random, name: str) -> None:
        self.sink = FlakySink(models.dsn, models.settings.postgres, "postgres", 1, models.topics)
        self.sink.rng = rng
        self.sink.other = models.sink()
        self.reader = Reader(models, self.sink, name)
        self.lost: set[TopicPartition] = set()
        self.applier = Applier(self.sink, WorkerSettings(), self.lost.update)

    async def claim(self, partitions: list[TopicPartition]) -> None:
        self.lost.clear()
        for _ in range(CLAIMS_MAX):
            try:
                return await self.reader.claim(partitions)
            except Exception as error:
                if not self.sink.is_retryable(error):
                    raise
                self.sink.discard()  # killed between two batches
        raise AssertionError("no claim went through")

    async def apply(self, batch: Batch) -> None:
        await self.applier.apply(batch, {tp: span.epoch for tp, span in batch.spans.items()})


def published(seed: int, models: ReadModels) -> Log:
    """The log: repeats, any order, a few records that are no JSON, one event that the store refuses."""
    rng = random.Random(seed)
    events = chaos(seed, EVENTS)
    events += [event for event in events if rng.random() < REPEATED]
    rng.shuffle(events)
    posted = {event["data"]["message_id"] for event in events if event["type"] == "collab.message.posted"}
    reactions = [e for e in events if e["type"] == "collab.reaction.added" and e["data"]["message_id"] in posted]
    for event in rng.sample(reactions, min(2, len(reactions))):
        event["data"] = event["data"] | {"emoji": OVERLONG}
    log = log_of(events, models.settings)
    for index in rng.sample(range(len(log)), REFUSED):
        log[index] = log[index]._replace(value=b"\xff is no JSON")
    return log


async def ordeal(models: ReadModels, seed: int) -> dict[str, Any]:
    """What differs after the ordeal with this seed; empty when nothing does."""
    stamina.set_testing(testing=True, attempts=1_000)
    try:
        return await asyncio.wait_for(_ordeal(models, seed), 60)
    finally:
        stamina.set_testing(testing=False)


async def _ordeal(models: ReadModels, seed: int) -> dict[str, Any]:
    log, rng = published(seed, models), random.Random(-seed)
    models.clear()
    refuse_overlong(models)
    owners = [Owner(models, rng, name) for name in ("first", "second")]
    try:
        wrong = await _play(log, owners, rng)
    finally:
        for owner in owners:
            owner.sink.discard()
            owner.sink.other.discard()
    return wrong | _differences(models, log)


async def _play(log: Log, owners: list[Owner], rng: random.Random) -> dict[str, Any]:
    partitions = sorted({partition_of(record) for record in log})
    wrong: dict[str, Any] = {}
    await owners[0].claim(partitions)
    for _ in range(STEPS_MAX):
        current, other = owners
        piece = _next_piece(log, current, rng)
        if not piece:
            break
        batch = current.reader.batch(piece)
        if rng.random() < TAKEN_OVER:
            await other.claim(partitions)  # takes over while the first has its batch in hand
            await current.apply(batch)
            if not set(batch.spans) <= current.lost:
                wrong["fencing"] = "an owner wrote after it was fenced"
            owners.reverse()
        else:
            await current.apply(batch)
            if current.lost:
                await current.claim(partitions)
    return wrong


def _next_piece(log: Log, owner: Owner, rng: random.Random) -> Log:
    positions = owner.reader.positions
    left: dict[TopicPartition, Log] = {}
    for record in log:
        if record.offset >= positions[partition_of(record)]:
            left.setdefault(partition_of(record), []).append(record)
    chosen = rng.sample(sorted(left), rng.randint(1, len(left))) if left else []
    return [record for tp in chosen for record in left[tp][: rng.randint(1, PIECE_MAX)]]


def _differences(models: ReadModels, log: Log) -> dict[str, Any]:
    refused = {_at(record): "E_DECODE" for record in log if isinstance(models.decoded(record), Refusal)}
    overlong = {_at(record) for record in log if record.value is not None and OVERLONG.encode() in record.value}
    with psycopg.connect(models.dsn) as connection:
        letters = dead_letters(connection, models.settings, TOPICS)
        waiting = waiting_events(connection, models.settings, TOPICS)
    events = [event for event in map(models.decoded, log) if isinstance(event, Event)]
    gone = {(models.settings.topic(topic), *at) for topic, *at in left_out(events, letters, waiting)}
    wrong = models.differences(record for record in log if _at(record) not in gone)
    found = {(models.settings.topic(one.position[0]), *one.position[1:]): one.code for one in letters}
    by_store = {at for at, code in found.items() if code == "E_STORE"}
    if {at: code for at, code in found.items() if at not in by_store} != refused or not by_store <= overlong:
        wrong["dead_letters"] = {"found": len(found), "expected": len(refused)}
    return wrong


def _at(record: Record) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset
