"""How fast the Redis worker is, beside two bare loaders with the same client, and what unread counts cost.

Usage: .venv/bin/python bench/redis_worker.py [--events 40000] [--runs 3]

Makes a database of its own on the servers that the settings name, and keys under a prefix of its own; both go at the
end. PostgreSQL applies each batch first, which is not timed; then the same batch goes into Redis by
  worker   the Redis worker's sink: wait, read what is dirty, write the differences, move the progress
  single   LPUSH + LTRIM for every message (wrong after a repeat, an edit, a deletion, an import)
  grouped  one LPUSH + LTRIM for every channel and batch (as wrong)
Loaders get the same decoded events and encode the same JSON.
"""

import argparse
import asyncio
import json
import random
import resource
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import orjson
import uvloop
from own_caches import own_caches

from tailrace.addresses import resolve
from tailrace.consumers.batch import Batch, Record, TopicPartition
from tailrace.consumers.batches import add_records
from tailrace.consumers.postgres.sink import PostgresSink
from tailrace.consumers.redis.reading import Reader
from tailrace.consumers.redis.sink import RedisSink
from tailrace.projections.caches import rfc3339
from tailrace.projections.registry import POSTGRES, REDIS
from tailrace.schemas.catalogue import key_of, topic_of
from tailrace.settings import Settings
from tailrace.telemetry import tune_garbage_collector

PARTITIONS = 8
BATCHES = (1_000, 5_000)
CHANNELS = 200
MEMBERS = (10, 1_000, 10_000)
START = datetime(2026, 11, 1, tzinfo=UTC)


def identity(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def event(rng: random.Random, name: str, sequence: int, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": identity(rng), "type": f"collab.{name}", "source": "/bench", "subject": "s",
        "time": rfc3339(at), "sequence": str(sequence), "data": data,
    }  # fmt: skip


class Traffic:
    """80 % posts, 12 % reactions, 5 % edits, 2 % deletions, 1 % reads, over channels by Zipf's law."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.workspace = identity(self.rng)
        self.users = [identity(self.rng) for _ in range(500)]
        self.channels = [identity(self.rng) for _ in range(CHANNELS)]
        self._weights = [1 / (rank + 1) for rank in range(CHANNELS)]
        self._posted: dict[str, list[str]] = {}

    def make(self, count: int) -> list[dict[str, Any]]:
        return [self._one(number, START + timedelta(seconds=number)) for number in range(count)]

    def _one(self, number: int, at: datetime) -> dict[str, Any]:
        rng = self.rng
        channel = rng.choices(self.channels, self._weights)[0]
        posted, user, kind = self._posted.setdefault(channel, []), rng.choice(self.users), rng.random()
        ids = {"channel_id": channel, "workspace_id": self.workspace}
        if not posted or kind < 0.80:
            posted.append(identity(rng))
            data = ids | {
                "message_id": posted[-1], "user_id": user, "content": "words " * rng.randrange(1, 30),
                "message_type": "text", "mentions": [], "file_ids": [], "created_at": rfc3339(at),
            }  # fmt: skip
            return event(rng, "message.posted", number, at, data)
        about = ids | {"message_id": rng.choice(posted[-50:])}
        if kind < 0.92:
            return event(rng, "reaction.added", number, at, about | {"user_id": user, "emoji": rng.choice("👍🎉👀")})
        if kind < 0.97:
            more = {"editor_id": user, "content": "other words", "mentions": [], "edited_at": rfc3339(at)}
            return event(rng, "message.edited", number, at, about | more)
        if kind < 0.99:
            return event(rng, "message.deleted", number, at, about | {"actor_id": user})
        more = {"user_id": user, "last_read_message_id": posted[-1], "last_read_at": rfc3339(at)}
        return event(rng, "channel.read", number, at, ids | more)


class Bench:
    """Two sinks over one database, fed batch by batch."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.dsn = resolve(settings).postgres
        topics = {short: settings.topic(short) for short in POSTGRES.topics}
        self.postgres = PostgresSink(self.dsn, settings.postgres, POSTGRES.name, POSTGRES.version, topics)
        self.redis = RedisSink(self.dsn, resolve(settings).redis, settings, REDIS)
        self._epochs: dict[tuple[str, TopicPartition], int] = {}
        self._positions: dict[tuple[str, TopicPartition], int] = {}
        self._ends: dict[TopicPartition, int] = {}

    async def claim(self) -> None:
        for name, sink, topics in (("postgres", self.postgres, POSTGRES.topics), ("redis", self.redis, REDIS.topics)):
            wanted = {TopicPartition(self.settings.topic(t), p): 0 for t in topics for p in range(PARTITIONS)}
            for partition, claim in (await sink.progress.claim(wanted, "bench")).items():
                self._epochs[name, partition], self._positions[name, partition] = claim.epoch, claim.next_offset

    def records(self, events: list[dict[str, Any]]) -> list[Record]:
        made = []
        for one in events:
            key = key_of(one["type"], one["data"])
            partition = TopicPartition(self.settings.topic(topic_of(one["type"])), uuid.UUID(key).int % PARTITIONS)
            offset = self._ends.get(partition, 0)
            self._ends[partition] = offset + 1
            at_ms = int(datetime.now(UTC).timestamp() * 1000)
            made.append(Record(*partition, offset, at_ms, key.encode(), json.dumps(one).encode()))
        return made

    def batch(self, name: str, records: list[Record]) -> Batch:
        batch = Batch()
        for partition in sorted({TopicPartition(r.topic, r.partition) for r in records}):
            part = [r for r in records if (r.topic, r.partition) == partition]
            short = partition.topic.removeprefix(self.settings.kafka.topic_prefix)
            epoch, expected = self._epochs[name, partition], self._positions[name, partition]
            add_records(batch, partition, short, part, epoch=epoch, expected=expected)
            self._positions[name, partition] = part[-1].offset + 1
        return batch

    async def close(self) -> None:
        await self.postgres.close()
        await self.redis.close()


def element(data: dict[str, Any]) -> bytes:
    names = ("message_id", "user_id", "content", "message_type", "thread_id")
    return orjson.dumps({n: data[n] for n in names} | {"created_at": rfc3339(data["created_at"]), "reactions": {}})


async def single(bench: Bench, batch: Batch) -> None:
    commands: list[tuple[Any, ...]] = []
    for one in batch.events:
        if one.type == "collab.message.posted":
            key = f"{bench.settings.redis.key_prefix}single:{one.data['channel_id']}"
            commands += (("LPUSH", key, element(one.data)), ("LTRIM", key, 0, 99))
    await bench.redis.store.run(commands, [command[1] for command in commands])


async def grouped(bench: Bench, batch: Batch) -> None:
    by_channel: dict[str, list[bytes]] = {}
    for one in batch.events:
        if one.type == "collab.message.posted":
            by_channel.setdefault(one.data["channel_id"], []).append(element(one.data))
    commands: list[tuple[Any, ...]] = []
    for channel, items in by_channel.items():
        key = f"{bench.settings.redis.key_prefix}grouped:{channel}"
        commands += (("LPUSH", key, *items), ("LTRIM", key, 0, 99))
    await bench.redis.store.run(commands, [command[1] for command in commands])


async def timed(work: Awaitable[Any]) -> tuple[float, float]:
    """Seconds by the clock and of this process."""
    wall, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    await work
    after = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter() - wall, after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime


async def throughput(bench: Bench, events: int, size: int, seed: int) -> dict[str, tuple[float, float]]:
    traffic = Traffic(seed).make(events)
    spent = dict.fromkeys(("worker", "single", "grouped"), (0.0, 0.0))
    for start in range(0, events, size):
        records = bench.records(traffic[start : start + size])
        await bench.postgres.apply(bench.batch("postgres", records))
        batch = bench.batch("redis", records)
        ways: dict[str, Callable[[], Awaitable[Any]]] = {
            "worker": lambda batch=batch: bench.redis.apply(batch),  # type: ignore[misc]  # bound at once
            "single": lambda batch=batch: single(bench, batch),  # type: ignore[misc]
            "grouped": lambda batch=batch: grouped(bench, batch),  # type: ignore[misc]
        }
        for name in random.Random(start).sample(sorted(ways), 3):
            wall, cpu = await timed(ways[name]())
            spent[name] = spent[name][0] + wall, spent[name][1] + cpu
    return spent


async def fan_out(bench: Bench, members: int, share: float, seed: int) -> tuple[float, float, int]:
    """Wall and client milliseconds, and calls, of 20 messages to a channel of so many members, a share of them warm."""
    rng = random.Random(seed)
    channel, workspace = identity(rng), identity(rng)
    users = [identity(rng) for _ in range(members)]
    ids = {"channel_id": channel, "workspace_id": workspace}
    more = {"role": "member", "notification_level": "all", "muted": False}
    story = [
        event(rng, "channel_member.joined", 1, START, ids | more | {"user_id": user}) for user in users
    ]  # fmt: skip
    await both(bench, story)
    warm = users[: max(1, int(members * share))]
    reader = Reader(await bench.redis.progress.connection(), bench.settings.postgres)
    births = await reader.keep({(user, workspace) for user in warm}, datetime.now(UTC))
    if await bench.redis.writer.unread.give_birth(reader, births):
        raise RuntimeError("Redis goes on losing keys")
    spent = []
    for turn in range(7):
        at = START + timedelta(minutes=turn + 1)
        posts = [
            event(rng, "message.posted", turn, at, ids | {
                "message_id": identity(rng), "user_id": users[0], "content": "words", "message_type": "text",
                "mentions": [], "file_ids": [], "created_at": rfc3339(at),
            })
            for _ in range(20)
        ]  # fmt: skip
        records = bench.records(posts)
        await bench.postgres.apply(bench.batch("postgres", records))
        spent.append(await timed(bench.redis.apply(bench.batch("redis", records))))
    return median(wall for wall, _ in spent) * 1000, median(cpu for _, cpu in spent) * 1000, len(warm)


async def both(bench: Bench, events: list[dict[str, Any]]) -> None:
    records = bench.records(events)
    for start in range(0, len(records), 5_000):
        part = records[start : start + 5_000]
        await bench.postgres.apply(bench.batch("postgres", part))
        await bench.redis.apply(bench.batch("redis", part))


async def run(settings: Settings, events: int, runs: int) -> None:
    bench = Bench(settings)
    try:
        await bench.claim()
        tune_garbage_collector()  # as in a worker's process
        print("| batch | way | events/s | of single | of grouped | client CPU s a 100k |\n|---|---|---|---|---|---|")
        for size in BATCHES:
            results = [await throughput(bench, events, size, seed=size + number) for number in range(runs)]
            rates = {name: median(events / found[name][0] for found in results) for name in results[0]}
            for name, rate in rates.items():
                cpu = median(found[name][1] for found in results) / events * 100_000
                of = f"{rate / rates['single']:.2f} | {rate / rates['grouped']:.2f}"
                print(f"| {size:,} | {name} | {rate:,.0f} | {of} | {cpu:.2f} |")
        print("\n| members | warm | a batch of 20 messages, ms | client CPU ms |\n|---|---|---|---|")
        for members in MEMBERS:
            for share in (0.02, 1.0):
                wall, cpu, warm = await fan_out(bench, members, share, seed=members)
                print(f"| {members:,} | {warm:,} | {wall:.1f} | {cpu:.1f} |")
    finally:
        await bench.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with own_caches("caches") as settings, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, arguments.events, arguments.runs))


if __name__ == "__main__":
    main()
