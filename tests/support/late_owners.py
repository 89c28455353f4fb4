"""Two Redis workers of which one is late: it wakes with calls of long ago, and with batches that are not its own."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
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
from tailrace.consumers.redis.store import RETRYABLE, Call, Store
from tailrace.consumers.redis.writing import CacheWriter

PATIENCE_S = 20
Disturb = Callable[[], Awaitable[None]]
"""Something that happens between two batches."""


class LateStore(Store):
    """Sends some calls once more, long after, as an owner does who stopped in between and was taken for dead."""

    def __init__(self, cached: Cached, rng: random.Random) -> None:
        super().__init__(cached.url, cluster=cached.settings.redis.cluster)
        self._rng = rng
        self._late: list[list[Call]] = []

    async def call(self, calls: Iterable[Call]) -> list[Any]:
        made = list(calls)
        if self._rng.random() < 0.3:
            self._late.append(made)
        return await super().call(made)

    async def wake(self, share: float) -> None:
        """Send a share of what was held back; nobody sees to it that it arrives."""
        for made in self._late:
            if self._rng.random() < share:
                with suppress(*RETRYABLE):
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


def published(seed: int, cached: Cached, events_max: int) -> Log:
    """Colliding events and signals of now, some of them twice, in random order."""
    rng, now = random.Random(seed), datetime.now(UTC)
    events = live_events(chaos(seed, events_max), seed, now)
    events += [event for event in events if rng.random() < 0.15]
    rng.shuffle(events)
    return appended_now(log_of(events, cached.settings), now)


def late_sink(cached: Cached, rng: random.Random) -> RedisSink:
    """A worker's side whose calls come again."""
    sink = cached.sink()
    sink.store = LateStore(cached, rng)
    sink.writer = CacheWriter(sink.store, sink.writer.keys)
    return sink


async def applied(sink: RedisSink, batch: Batch) -> None:
    """Apply a batch as a worker does: again, for as long as a server is away."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await sink.apply(batch)
            except Exception as error:
                if not sink.is_retryable(error):
                    raise
                sink.discard()
                await asyncio.sleep(0.05)
            else:
                return


async def live_through(cached: Cached, log: Log, rng: random.Random, disturbances: Sequence[Disturb] = ()) -> None:
    """Apply the log with two owners, repeats and late calls; each disturbance happens at some time on the way.

    In the end a caretaker has filled what it found missing, and everything late has come.
    """
    cached.clear()
    await cached.fill()
    ahead = Ahead(cached, log, rng)
    await ahead.begin()
    queues = Queues(
        [record for record in log if cached.models.short(record.topic) in READ_TOPICS], rng, size=rng.choice([1, 5, 50])
    )
    pieces = list(iter(queues.next, []))
    sinks = late_sink(cached, rng), late_sink(cached, rng)
    workers = [Reader(cached.models, sink, str(number)) for number, sink in enumerate(sinks)]
    await workers[0].claim(queues.partitions)
    taken = rng.randrange(len(pieces) + 1)
    happening = {number: rng.randrange(len(pieces)) for number in range(len(disturbances))}
    owner = 0
    for number, piece in enumerate(pieces):
        for which, at in happening.items():
            if at == number:
                await disturbances[which]()
        if number == taken:
            owner = 1
            await workers[1].claim(queues.partitions)
        await ahead.go_to(piece)
        batch = workers[owner].batch(piece)
        await applied(sinks[owner], batch)
        if rng.random() < 0.2:
            await applied(sinks[owner], batch)  # its answer was lost
        if owner == 1 and rng.random() < 0.2:
            with pytest.raises(FencedError):
                await applied(sinks[0], of_an_older_claim(batch))
        if rng.random() < 0.2:
            await sinks[1 - owner].store.wake(0.3)
    await ahead.finish()
    for sink in sinks:
        await sink.store.wake(1.0)
    await cached.fill()
    for sink in sinks:
        await sink.store.wake(1.0)
        await sink.close()


def of_an_older_claim(batch: Batch) -> Batch:
    """The batch as somebody holds it whose epoch has passed."""
    spans = {partition: replace(span, epoch=span.epoch - 1) for partition, span in batch.spans.items()}
    return replace(batch, spans=spans)
