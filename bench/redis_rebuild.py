"""How long the caches take to be filled from PostgreSQL, and what a reader sees meanwhile.

Usage: .venv/bin/python bench/redis_rebuild.py [--keys 1000000] [--messages 20] [--aof] [--profile]

Makes a database of its own on the servers that the settings name, and keys under a prefix of its own; both go at the
end. The worker's filler then fills everything twice, as a worker does: into a Redis that has none of these keys, and in
place over a full one, whose sampled keys are spoilt first. A process of its own reads a random key every few
milliseconds with plain redis. Keys are those that readers see; each has a guard beside it. Redis writes no append-only
file meanwhile, as docs/caches.md has it for caches; `--aof` leaves it as it is.
"""

import argparse
import asyncio
import cProfile
import multiprocessing
import pstats
import random
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from statistics import quantiles
from typing import Any

import asyncpg
import psycopg
import redis
import uvloop
from cached_company import Company, expected, found, is_same, names_of, shown
from measuring import backend_cpu_s
from own_caches import own_caches

from tailrace.addresses import resolve
from tailrace.consumers.redis.caretaker import Caretaker
from tailrace.settings import LogSettings, Settings
from tailrace.telemetry import configure_logging, tune_garbage_collector

SAMPLE = 300
"""Keys of each family that are compared with what PostgreSQL says."""
READ_EVERY_S = 0.003
IDLE_S = 5.0
WATCH_EVERY_S = 0.25
SPOILT = b"spoilt"


@dataclass
class Filled:
    """One fill: seconds and CPU seconds."""

    name: str
    keys: int
    seconds: float = 0.0
    client_cpu_s: float = 0.0
    postgres_cpu_s: float = 0.0
    redis_cpu_s: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    wrong: int = 0


# ── what a reader sees ──────────────────────────────────────────────────────────────────────────────────────────────


def read(url: str, names: list[str], told: Connection) -> None:
    """Read random keys until told to stop; answers each word it hears with (milliseconds, keys that were missing)."""
    rng = random.Random(1)
    took: list[float] = []
    missing: list[str] = []
    with redis.Redis.from_url(url) as client:
        while True:
            if told.poll(READ_EVERY_S):
                told.recv()
                told.send((took, missing))
                took, missing = [], []
                if told.recv() == "stop":
                    return
            name = rng.choice(names)
            started = time.perf_counter()
            value = _value(client, name)
            took.append((time.perf_counter() - started) * 1000)
            if not value:
                missing.append(name)


def _value(client: Any, name: str) -> Any:
    family = name.split(":")[1]
    if family == "recent_messages":
        return client.lrange(name, 0, -1)
    return client.hgetall(name) if family == "unread_counts" else client.get(name)


class Reading:
    """The process that reads, and what it has seen since it was asked last."""

    def __init__(self, url: str, names: list[str]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._here, there = spawn.Pipe()
        self._process = spawn.Process(target=read, args=(url, names, there), daemon=True)
        self._process.start()
        self.seen()

    def seen(self, then: str = "go on") -> tuple[list[float], list[str]]:
        self._here.send("tell")
        took, missing = self._here.recv()
        self._here.send(then)
        return took, missing

    def stop(self) -> None:
        self.seen("stop")
        self._process.join()

    def show(self, when: str) -> None:
        took, missing = self.seen()
        cuts = quantiles(took, n=1000)
        told = " · ".join(f"{name} {cuts[place]:.2f}" for name, place in (("p50", 499), ("p99", 989), ("p99.9", 998)))
        print(
            f"reader {when}: {len(took):,} reads, ms: {told} · most {max(took):.2f} · missing keys: {len(missing)}",
            flush=True,
        )


# ── fills ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Bench:
    """One database, one prefix."""

    def __init__(self, settings: Settings, company: Company) -> None:
        self.settings = settings
        self.company = company
        self.dsn = resolve(settings).postgres
        self.url = resolve(settings).redis
        self.redis = redis.Redis.from_url(self.url)
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            found(conn, settings, company)
            self.expected = expected(conn, SAMPLE)
        self.keys = {key for key, value in self.expected.items() if value is not None}

    def wrong(self) -> list[tuple[str, ...]]:
        """Sampled keys that do not hold what they must."""
        prefix = self.settings.redis.key_prefix
        keys = list(self.expected)
        return [
            key
            for key, name in zip(keys, names_of(keys, prefix), strict=True)
            if not is_same(shown(key[0], _value(self.redis, name)), self.expected[key])
        ]

    def spoil(self) -> None:
        """Change every sampled key behind the guards' backs, and add one that nobody knows."""
        prefix = self.settings.redis.key_prefix
        for key in self.keys:
            name = f"{prefix}{':'.join(key)}"
            match key[0]:
                case "recent_messages":
                    self.redis.lset(name, 0, b'{"message_id": "spoilt", "content": ""}')
                case "unread_counts":
                    self.redis.hset(name, self.redis.hkeys(name)[0], 99_999)
                case _:
                    self.redis.set(name, b"{}" if key[0] != "channel_members" else b'{"members": []}', keepttl=True)
        self.redis.set(f"{prefix}session:{SPOILT.decode()}", SPOILT)

    def count(self) -> int:
        """Keys that readers see."""
        names = self.redis.scan_iter(match=f"{self.settings.redis.key_prefix}*", count=5_000)
        return sum(not name.split(b":")[1].endswith(b"_v") for name in names)

    async def fill(self, name: str, profiler: cProfile.Profile | None) -> Filled:
        """Fill everything as a worker does that found Redis without its marks."""
        self.redis.delete(f"{self.settings.redis.key_prefix}tailrace:state")
        caretaker = Caretaker(self.dsn, self.url, self.settings, "bench")
        cpu = Cpu(self)
        cpu.now()
        done = Filled(name, 0)
        stages = asyncio.create_task(self._stages(done.stages, cpu))
        started, before = time.perf_counter(), cpu.now()
        with profiled(profiler):
            if not await caretaker.look():
                raise RuntimeError("the caches were not filled")
        done.seconds = time.perf_counter() - started
        after = cpu.now()
        done.client_cpu_s, done.postgres_cpu_s, done.redis_cpu_s = (b - a for a, b in zip(before, after, strict=True))
        stages.cancel()
        await caretaker.close()
        done.keys, done.wrong = self.count(), len(self.wrong())
        return done

    async def _stages(self, seconds: dict[str, float], cpu: "Cpu") -> None:
        """Seconds by stage, as the rebuild's row shows them to whoever asks."""
        names = ("channels", "counts", "living", "posts", "leftovers")
        conn = await asyncpg.connect(self.dsn)
        last = time.perf_counter()
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            row = await conn.fetchrow("SELECT stage FROM runtime.cache_rebuilds WHERE finished_at IS NULL")
            now = time.perf_counter()
            if row is not None and row["stage"] < len(names):
                seconds[names[row["stage"]]] = seconds.get(names[row["stage"]], 0.0) + now - last
            last = now
            cpu.now()

    def close(self) -> None:
        self.redis.close()


class Cpu:
    """CPU seconds of this process, of PostgreSQL's processes for the caretaker, and of Redis."""

    def __init__(self, bench: Bench) -> None:
        self._redis = bench.redis
        self._conn = psycopg.connect(bench.dsn, autocommit=True)
        self._backends: dict[int, float] = {}

    def now(self) -> tuple[float, float, float]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        statement = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'tailrace worker redis%'"
        for (pid,) in self._conn.execute(statement):
            try:
                self._backends[pid] = backend_cpu_s(pid)
            except OSError:
                continue
        told = self._redis.info("cpu")
        redis_s = float(told["used_cpu_user"]) + float(told["used_cpu_sys"])
        return used.ru_utime + used.ru_stime, sum(self._backends.values()), redis_s


@contextmanager
def without_file(url: str) -> Iterator[None]:
    """No append-only file meanwhile."""
    with redis.Redis.from_url(url) as client:
        before = client.config_get("appendonly")["appendonly"]
        client.config_set("appendonly", "no")
        try:
            yield
        finally:
            client.config_set("appendonly", before)


@contextmanager
def profiled(profiler: cProfile.Profile | None) -> Iterator[None]:
    if profiler:
        profiler.enable()
    yield
    if profiler:
        profiler.disable()


def show(filled: Filled) -> None:
    stages = " · ".join(f"{name} {seconds:.1f}" for name, seconds in filled.stages.items())
    print(
        f"\n{filled.name}: {filled.keys:,} keys in {filled.seconds:.1f} s, {filled.keys / filled.seconds:,.0f} keys/s"
        f"\n  seconds by stage: {stages}"
        f"\n  CPU s: client {filled.client_cpu_s:.1f} · PostgreSQL {filled.postgres_cpu_s:.1f}"
        f" · Redis {filled.redis_cpu_s:.1f}"
        f"\n  sampled keys that are wrong: {filled.wrong}",
        flush=True,
    )


async def run(bench: Bench, profiler: cProfile.Profile | None) -> None:
    prefix = bench.settings.redis.key_prefix
    tune_garbage_collector()  # as in a worker's process
    reading = Reading(bench.url, names_of(sorted(bench.keys), prefix))
    try:
        show(await bench.fill("into an empty Redis", profiler))
        reading.show("while it is filled")
        await asyncio.sleep(IDLE_S)
        reading.show("of a full Redis, nothing else going on")
        bench.spoil()
        reading.seen()
        show(await bench.fill("in place, over a full Redis", profiler))
        reading.show("while it is rebuilt in place")
        left = bench.redis.exists(f"{prefix}session:{SPOILT.decode()}")
        print(f"keys that nobody knows and that are left: {left}")
    finally:
        reading.stop()
    if profiler:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--messages", type=int, default=20, help="in each channel")
    parser.add_argument("--aof", action="store_true", help="leave Redis its append-only file, if it writes one")
    parser.add_argument("--profile", action="store_true", help="print the functions that take most time")
    arguments = parser.parse_args()
    configure_logging(LogSettings(level="error"))
    with own_caches("rebuild") as settings:
        started = time.perf_counter()
        bench = Bench(settings, Company.of_keys(arguments.keys, arguments.messages))
        print(
            f"{bench.company.users:,} users, {bench.company.channels:,} channels of {bench.company.messages} messages,"
            f" {bench.company.workspaces} workspaces, made in {time.perf_counter() - started:.0f} s",
            flush=True,
        )
        with (
            nullcontext() if arguments.aof else without_file(resolve(settings).redis),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(run(bench, cProfile.Profile() if arguments.profile else None))
        bench.close()


if __name__ == "__main__":
    main()
