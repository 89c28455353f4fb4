"""Random colliding events and signals; workers that wake late, repeat themselves and lose Redis in between.

`TAILRACE_CHAOS_SEEDS` and `TAILRACE_CHAOS_EVENTS` make it longer; a failing seed fails again.
"""

import os
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cached import READ_TOPICS, Cached, appended_now, live_events
from chaos import chaos
from read_models import Log, Queues, Reader, log_of, partition_of

from tailrace.consumers.batch import Batch, Record
from tailrace.consumers.errors import FencedError
from tailrace.consumers.redis.sink import RedisSink
from tailrace.consumers.redis.store import Call, Store
from tailrace.consumers.redis.writing import CacheWriter

SEEDS = int(os.environ.get("TAILRACE_CHAOS_SEEDS", "12"))
EVENTS = int(os.environ.get("TAILRACE_CHAOS_EVENTS", "200"))


class LateStore(Store):
    """Sends some calls once more, long after, as an owner does who stopped in between and was taken for dead."""

    def __init__(self, url: str, rng: random.Random) -> None:
        super().__init__(url)
        self._rng = rng
        self._late: list[list[Call]] = []

    async def call(self, calls: Iterable[Call]) -> list[Any]:
        made = list(calls)
        if self._rng.random() < 0.3:
            self._late.append(made)
        return await super().call(made)

    async def wake(self, share: float) -> None:
        """Send a share of what was held back."""
        for made in self._late:
            if self._rng.random() < share:
                await super().call(made)


class Ahead:
    """The PostgreSQL worker: always applies what the Redis worker is about to, and a random part of what follows."""

    def __init__(self, cached: Cached, log: Log, rng: random.Random) -> None:
        self._rng = rng
        self._sink = cached.models.sink()
        self._reader = Reader(cached.models, self._sink)
        self._left: dict[Any, Log] = {}
        for record in log:
            self._left.setdefault(partition_of(record), []).append(record)

    async def begin(self) -> None:
        await self._reader.claim(self._left)

    async def go_to(self, piece: Sequence[Record]) -> None:
        batch: Log = []
        for partition, left in self._left.items():
            needed = [record.offset for record in piece if partition_of(record) == partition]
            count = sum(record.offset <= max(needed, default=-1) for record in left)
            count += self._rng.choice([0, 0, 1, 5, 40])
            batch += left[:count]
            del left[:count]
        if batch:
            await self._sink.apply(self._reader.batch(batch))

    async def finish(self) -> None:
        rest = [record for left in self._left.values() for record in left]
        if rest:
            await self._sink.apply(self._reader.batch(rest))
        await self._sink.close()


def published(seed: int, cached: Cached) -> Log:
    rng, now = random.Random(seed), datetime.now(UTC)
    events = live_events(chaos(seed, EVENTS), seed, now)
    events += [event for event in events if rng.random() < 0.15]
    rng.shuffle(events)
    return appended_now(log_of(events, cached.settings), now)


def late_sink(cached: Cached, rng: random.Random) -> RedisSink:
    """A worker's side whose calls come again."""
    sink = cached.sink()
    sink.store = LateStore(cached.url, rng)
    sink.writer = CacheWriter(sink.store, sink.writer.keys)
    return sink


@pytest.mark.parametrize("is_emptied", [False, True])
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_late_owners_and_repeats_leave_no_difference(cached: Cached, seed: int, *, is_emptied: bool):
    log, rng = published(seed, cached), random.Random(-seed)
    cached.clear()
    await cached.fill()
    ahead = Ahead(cached, log, rng)
    await ahead.begin()
    queues = Queues(
        [record for record in log if cached.models.short(record.topic) in READ_TOPICS], rng, size=rng.choice([1, 5, 50])
    )
    pieces = list(iter(queues.next, []))
    emptied, filled, taken = (rng.randrange(len(pieces) + 1) for _ in range(3))
    sinks = late_sink(cached, rng), late_sink(cached, rng)
    workers = [Reader(cached.models, sink, str(number)) for number, sink in enumerate(sinks)]
    await workers[0].claim(queues.partitions)
    owner = 0
    for number, piece in enumerate(pieces):
        if is_emptied and number == emptied:
            cached.empty()
        if number == filled:
            await cached.fill()
        if number == taken:
            owner = 1
            await workers[1].claim(queues.partitions)
        await ahead.go_to(piece)
        batch = workers[owner].batch(piece)
        await sinks[owner].apply(batch)
        if rng.random() < 0.2:
            await sinks[owner].apply(batch)  # its answer was lost
        if owner == 1 and rng.random() < 0.2:
            with pytest.raises(FencedError):
                await sinks[0].apply(of_an_older_claim(batch))
        if rng.random() < 0.2:
            await sinks[1 - owner].store.wake(0.3)
    await ahead.finish()
    for sink in sinks:
        await sink.store.wake(1.0)
    await cached.fill()
    for sink in sinks:
        await sink.store.wake(1.0)
        await sink.close()

    assert cached.differences(log) == {}


def of_an_older_claim(batch: Batch) -> Batch:
    """The batch as somebody holds it whose epoch has passed."""
    spans = {partition: replace(span, epoch=span.epoch - 1) for partition, span in batch.spans.items()}
    return replace(batch, spans=spans)
