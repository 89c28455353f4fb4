"""How fast the streams are, and the gateway beside a bare aiokafka forwarder.

Usage: .venv/bin/python bench/streams.py [--events 60000] [--runs 3]

Makes topics under a prefix of its own on the broker that the settings name, and deletes them. Every program is a
process of its own with an event loop of uvloop; gateway and forwarder take turns. `events/s` is wall time from the
first record on; `per core` is events by CPU seconds of the process with all its threads, its start left out. The
forwarder reads with getmany, sends key and value as they are with the same producer settings, waits for the answers
and commits: it decodes nothing. `catch up` is a restart of a stream that has everything done: what it folds before it
goes on.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from tailrace.addresses import resolve
from tailrace.operations.topics import apply_topics, topic_partitions
from tailrace.settings import Settings, load_settings
from tailrace.streams.sending import BATCH_BYTES, LINGER_MS

CHANNELS, MEMBERS = 200, 20
FETCH_RECORDS = 1_000
POLL_S = 0.05
DEADLINE_S = 300
STOP_S = 30
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SEED = 7


@dataclass(frozen=True)
class Run:
    """What one run took, in seconds; `events` is how many records it read."""

    name: str
    events: int
    wall_s: float
    cpu_s: float


def log_of(events: int) -> list[tuple[bytes, bytes]]:
    """Key and value of a plausible log: members first, then messages, some with mentions, replies and reactions."""
    rng = random.Random(SEED)
    begins = datetime.now(UTC) - timedelta(hours=3)
    channels = [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(CHANNELS)]
    people = [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(500)]
    members = {channel: rng.sample(people, MEMBERS) for channel in channels}
    newest: dict[str, str] = {}
    log: list[tuple[bytes, bytes]] = []

    def add(name: str, channel: str, **data: Any) -> None:
        time_ = (begins + timedelta(hours=3) * (len(log) / events)).isoformat()
        data |= {"channel_id": channel, "workspace_id": people[0]}
        event = {
            "specversion": "1.0", "id": str(uuid.UUID(int=rng.getrandbits(128))), "type": f"collab.{name}",
            "source": "/bench", "subject": channel, "time": time_, "sequence": str(len(log)), "data": data,
        }  # fmt: skip
        if name == "message.posted":
            data["created_at"] = time_
        log.append((channel.encode(), orjson.dumps(event)))

    settings = {"role": "member", "notification_level": "all", "muted": False}
    for channel in channels:
        for person in members[channel]:
            add("channel_member.joined", channel, user_id=person, **settings)
    while len(log) < events:
        channel = rng.choice(channels)
        author = rng.choice(members[channel])
        if rng.random() < 0.2 and channel in newest:
            add("reaction.added", channel, message_id=newest[channel], user_id=author, emoji="👍")
            continue
        message = str(uuid.UUID(int=rng.getrandbits(128)))
        mentions = rng.sample(members[channel], 1) if rng.random() < 0.1 else []
        thread = newest.get(channel) if rng.random() < 0.1 else None
        text = "x" * rng.randrange(20, 300)
        add(
            "message.posted", channel, message_id=message, user_id=author, content=text, message_type="text",
            mentions=mentions, file_ids=[], thread_id=thread,
        )  # fmt: skip
        newest[channel] = message
    return log


async def fill(settings: Settings, topic: str, log: list[tuple[bytes, bytes]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=resolve(settings).kafka, linger_ms=20, compression_type="lz4")
    await producer.start()
    for key, value in log:
        await producer.send(settings.topic(topic), value, key=key)
    await producer.stop()


async def forward(source: str, target: str, group: str) -> None:
    """The bare forwarder; ends on SIGTERM."""
    bootstrap = os.environ["TAILRACE_KAFKA__BOOTSTRAP_SERVERS"]
    consumer = AIOKafkaConsumer(
        source, bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest",
        isolation_level="read_committed",
    )  # fmt: skip
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, compression_type="lz4", linger_ms=LINGER_MS,
        max_batch_size=BATCH_BYTES,
    )  # fmt: skip
    await producer.start()
    await consumer.start()
    print(json.dumps({"event": "started"}), file=sys.stderr, flush=True)
    while True:
        found = await consumer.getmany(timeout_ms=200, max_records=FETCH_RECORDS)
        sent = [
            await producer.send(target, r.value, key=r.key, headers=r.headers) for some in found.values() for r in some
        ]
        for future in sent:
            await future
        if found:
            await consumer.commit()


class Bench:
    def __init__(self, settings: Settings, events: int, folder: Path) -> None:
        self.settings = settings
        self.events = events
        self.folder = folder
        self.environment = os.environ | {
            "TAILRACE_KAFKA__BOOTSTRAP_SERVERS": resolve(settings).kafka,
            "TAILRACE_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
            "TAILRACE_LOG__FORMAT": "json",
        }
        self._runs = 0

    async def run(self, name: str, command: list[str], first: str, done: Callable[[str], Any]) -> Run:
        """Run a program until `done`, which gets the prefix of its groups; time begins when its log says `first`."""
        self._runs += 1
        path, prefix = self.log(self._runs), f"bench{self._runs}."
        with path.open("wb") as log:
            environment = self.environment | {"TAILRACE_KAFKA__GROUP_PREFIX": prefix}
            process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=log, stdout=log)
        try:
            async with asyncio.timeout(DEADLINE_S):
                await until(lambda: f'"{first}"' in path.read_text())
                began, cpu = time.monotonic(), cpu_s(process.pid)
                await done(prefix)
            run = Run(name, self.events, time.monotonic() - began, cpu_s(process.pid) - cpu)
            print(f"{name}: {run.wall_s:.1f} s, {run.cpu_s:.1f} s of CPU", file=sys.stderr, flush=True)
            return run
        finally:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_S):
                await process.wait()

    def log(self, run: int) -> Path:
        return self.folder / f"{run}.log"

    async def forwarding(self, name: str) -> Run:
        # The forwarder has a topic of its own, with as many partitions.
        target = "directory" if name == "forwarder" else "conversations"
        async with reading(self.settings, target) as (consumer, partitions):

            async def ends() -> int:
                return sum((await consumer.end_offsets(partitions)).values())

            wanted = await ends() + self.events

            async def done(_prefix: str) -> None:
                while await ends() < wanted:  # noqa: ASYNC110 - what is waited for is in another process
                    await asyncio.sleep(POLL_S)

            source = self.settings.topic("inbound")
            bare = [
                sys.executable,
                __file__,
                "--forward",
                source,
                self.settings.topic(target),
                f"forwarder{self._runs}",
            ]
            if name == "forwarder":
                return await self.run(name, bare, "started", done)
            return await self.run(name, streams(name), "stream_partition_ready", done)

    async def folding(self, name: str) -> Run:
        async def done(prefix: str) -> None:
            async with reading(self.settings, "conversations", f"{prefix}streams.{name}") as (consumer, partitions):
                ends = await consumer.end_offsets(partitions)
                while any([(await consumer.committed(tp) or 0) < ends[tp] for tp in partitions]):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(POLL_S)

        return await self.run(name, streams(name), "stream_partition_ready", done)

    async def catching_up(self, name: str) -> Run:
        """A restart: commits stand at the end, so everything is folded again and nothing sent."""
        group = f"bench{self._runs + 1}.streams.{name}"
        async with reading(self.settings, "conversations", group) as (consumer, partitions):
            consumer.assign(partitions)
            await consumer.commit(await consumer.end_offsets(partitions))
        path = self.log(self._runs + 1)

        async def done(_prefix: str) -> None:
            await until(lambda: path.read_text().count('"stream_partition_ready"') >= len(partitions))

        return await self.run(f"{name}: catch up", streams(name), "stream_started", done)


@asynccontextmanager
async def reading(settings: Settings, topic: str, group: str | None = None) -> AsyncIterator[tuple[Any, Any]]:
    """A consumer to ask about the partitions of a topic, and these; not assigned, or it would remember the answers."""
    bootstrap = resolve(settings).kafka
    partitions = await topic_partitions(settings, bootstrap, [topic])
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        yield consumer, partitions
    finally:
        await consumer.stop()


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - what is waited for is in another process
        await asyncio.sleep(POLL_S)


def streams(name: str) -> list[str]:
    return [str(Path(sys.executable).with_name("tailrace")), "streams", "run", name]


def cpu_s(pid: int) -> float:
    """CPU seconds of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def report(runs: list[Run]) -> None:
    print(f"{'program':<28}{'runs':>6}{'events/s':>12}{'per core':>12}")
    for name in dict.fromkeys(run.name for run in runs):
        same = [run for run in runs if run.name == name]
        wall, core = (median(run.events / getattr(run, what) for run in same) for what in ("wall_s", "cpu_s"))
        print(f"{name:<28}{len(same):>6}{wall:>12,.0f}{core:>12,.0f}")


async def main(events: int, runs: int) -> None:
    task = asyncio.current_task()
    if task is not None:  # so that what it started and made goes with it
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    settings = load_settings()
    settings.kafka.topic_prefix = f"bench-streams-{uuid.uuid4().hex[:6]}."
    bootstrap = resolve(settings).kafka
    log = log_of(events)
    results: list[Run] = []
    try:
        await apply_topics(settings, bootstrap)
        await fill(settings, "inbound", log)
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(settings, events, Path(folder))
            results.append(await bench.forwarding("gateway"))
            for name in ("notifications", "trends"):  # over what the gateway has just put into conversations
                results += [await bench.folding(name) for _ in range(runs)]
                results.append(await bench.catching_up(name))
            for _ in range(runs - 1):
                results += [await bench.forwarding("forwarder"), await bench.forwarding("gateway")]
            results.append(await bench.forwarding("forwarder"))
    finally:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        await admin.delete_topics(
            [one for one in await admin.list_topics() if one.startswith(settings.kafka.topic_prefix)]
        )
        await admin.close()
    report(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--forward", nargs=3, metavar=("SOURCE", "TARGET", "GROUP"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    work = forward(*given.forward) if given.forward else main(given.events, given.runs)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)
