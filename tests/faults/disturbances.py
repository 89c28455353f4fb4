"""Does what a schedule says: to processes, connections, servers and what is stored in them."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable

import psycopg
import redis
from bench_servers import BenchServers
from elasticsearch import ApiError, Elasticsearch, TransportError
from fleet import Fleet, Member, Proxies
from recovery import Recoveries
from schedules import Fault
from tcp_proxy import BOTH, Conditions, Link, TcpProxy, Way

from tailrace.addresses import resolve
from tailrace.errors import UnreachableError
from tailrace.settings import Settings

DISTURBED_S = 2.0
UNBLOCK_MAX_S = 120.0
ROWS = ("collab.channels", "collab.messages", "collab.users", "collab.channel_members", "runtime.progress")
"""Locked by the disturbing session in any order; the workers lock them in one."""
CRASHES = {
    "crash_postgres": signal.SIGQUIT,  # SIGKILL of one process leaves its children in the shared memory
    "crash_redis": signal.SIGKILL,
    "crash_elasticsearch": signal.SIGKILL,
}
FOLLOWERS_OF = {"redis": "redis", "elasticsearch": "search"}
"""The projection that a store is written by; PostgreSQL's where none is named."""
PASSING = (psycopg.Error, redis.RedisError, ApiError, TransportError, UnreachableError, OSError, TimeoutError)


class Disturbances:
    """The faults of one schedule, each of which may still go on when the next one begins."""

    def __init__(
        self, settings: Settings, servers: BenchServers, fleet: Fleet, proxies: Proxies, recoveries: Recoveries
    ) -> None:
        self._settings = settings
        self._servers = servers
        self._fleet = fleet
        self._proxies = proxies
        self._recoveries = recoveries
        self._going_on: set[asyncio.Task[None]] = set()
        self._errors: list[BaseException] = []

    def begin(self, fault: Fault, seed: int) -> None:
        """Let a fault happen; returns at once."""
        task = asyncio.create_task(self._happen(fault, random.Random(f"{seed} {fault}")))
        self._going_on.add(task)
        task.add_done_callback(self._ended)

    async def end(self) -> None:
        """Wait until every fault is over, and mend what it left."""
        while self._going_on:
            await asyncio.gather(*self._going_on, return_exceptions=True)
        if self._errors:
            raise self._errors[0]
        self._proxies.heal()
        for member in self._fleet.members:
            member.signal(signal.SIGCONT)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._going_on.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._errors.append(error)

    async def _happen(self, fault: Fault, rng: random.Random) -> None:
        handlers: dict[str, Callable[[Fault, random.Random], Awaitable[None]]] = {
            "kill": self._kill, "crash": self._crash, "stop": self._stop, "join": self._join,
            "restart_kafka": self._restart, "restart_postgres": self._restart, "crash_postgres": self._restart,
            "crash_redis": self._restart, "crash_elasticsearch": self._restart,
            "deadlock": self._in_thread(self._deadlock), "lock": self._in_thread(self._lock),
            "terminate": self._in_thread(self._terminate), "flush_redis": self._in_thread(self._flush),
            "block_indices": self._in_thread(self._block),
        }  # fmt: skip
        await handlers.get(fault.kind, self._spoil)(fault, rng)

    # ── processes ──

    def _victim(self, fault: Fault, rng: random.Random) -> Member | None:
        living = self._fleet.living(fault.target)
        return rng.choice(living) if living else None

    async def _kill(self, fault: Fault, rng: random.Random) -> None:
        member = self._victim(fault, rng)
        if member is None:
            return
        member.not_before_s = asyncio.get_running_loop().time() + fault.for_s
        owner, others = member.owner, len(self._fleet.living(fault.target)) - 1
        member.signal(signal.SIGKILL)
        if others and fault.target == "postgres":
            await self._recoveries.after_kill(owner)

    async def _crash(self, fault: Fault, rng: random.Random) -> None:
        member = self._victim(fault, rng)
        if member is not None:
            await self._fleet.replace(member, fault.detail)

    async def _stop(self, fault: Fault, rng: random.Random) -> None:
        member = self._victim(fault, rng)
        if member is not None:
            member.signal(signal.SIGSTOP)
            await asyncio.sleep(fault.for_s)
            member.signal(signal.SIGCONT)

    async def _join(self, fault: Fault, _: random.Random) -> None:
        member = await self._fleet.add(fault.target)
        await asyncio.sleep(fault.for_s)
        await self._fleet.retire(member)

    # ── connections ──

    async def _spoil(self, fault: Fault, rng: random.Random) -> None:
        proxy = self._proxies.by_name[fault.target]
        link = rng.choice(proxy.links) if proxy.links and fault.detail != "all" and rng.random() < 0.5 else None
        match fault.kind:
            case "cut":
                proxy.cut(link)
            case "half_close":
                proxy.half_close(link)
            case "cut_in_answer":
                proxy.cut_in_answer(int(fault.detail), link)
            case _:
                await self._for_a_while(proxy, _conditions(fault), link, fault.for_s)

    async def _for_a_while(self, proxy: TcpProxy, conditions: Conditions, link: Link | None, for_s: float) -> None:
        proxy.set(conditions, link)
        await asyncio.sleep(for_s)
        if conditions.holes and link is None:
            proxy.cut()  # what a router forgot meanwhile comes back as a reset
        proxy.heal()

    # ── servers ──

    async def _restart(self, fault: Fault, _: random.Random) -> None:
        name = fault.kind.rpartition("_")[2]
        await asyncio.to_thread(self._servers.restart, name, CRASHES.get(fault.kind))
        await self._recoveries.after_restart(fault.kind, FOLLOWERS_OF.get(name, "postgres"))

    def _in_thread(
        self, work: Callable[[Fault, random.Random], None]
    ) -> Callable[[Fault, random.Random], Awaitable[None]]:
        async def run(fault: Fault, rng: random.Random) -> None:
            await asyncio.to_thread(self._tried, work, fault, rng)

        return run

    def _tried(self, work: Callable[[Fault, random.Random], None], fault: Fault, rng: random.Random) -> None:
        try:
            work(fault, rng)
        except PASSING:
            return  # the server is away for another fault's sake

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(resolve(self._settings).postgres, connect_timeout=5, options="-c lock_timeout=1500")

    def _deadlock(self, _: Fault, rng: random.Random) -> None:
        until = time.monotonic() + DISTURBED_S
        with self._connect() as connection:
            while time.monotonic() < until:
                try:
                    for table in rng.sample(ROWS, 3):
                        connection.execute(f"SELECT FROM {table} ORDER BY random() LIMIT 30 FOR UPDATE")
                        time.sleep(0.02)
                except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
                    pass
                connection.rollback()

    def _lock(self, fault: Fault, rng: random.Random) -> None:
        with self._connect() as connection:
            connection.execute(f"LOCK TABLE {rng.choice(ROWS)} IN ACCESS EXCLUSIVE MODE")
            time.sleep(fault.for_s)
            connection.rollback()

    def _terminate(self, _: Fault, __: random.Random) -> None:
        with self._connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def _flush(self, _: Fault, __: random.Random) -> None:
        with redis.Redis.from_url(resolve(self._settings).redis) as client:
            client.flushall()

    def _block(self, fault: Fault, rng: random.Random) -> None:
        with Elasticsearch(resolve(self._settings).elasticsearch) as client:
            names = sorted(client.indices.get(index=f"{self._settings.elasticsearch.index_prefix}*"))
            chosen = ",".join(rng.sample(names, max(1, len(names) // 2))) if names else ""
            if not chosen:
                return
            client.indices.put_settings(index=chosen, settings={"index.blocks.write": True})
            try:
                time.sleep(fault.for_s)
            finally:
                self._unblock(client, chosen)

    def _unblock(self, client: Elasticsearch, names: str) -> None:
        """Sure to happen: a block is stored, and outlives a server that another fault killed meanwhile."""
        until = time.monotonic() + UNBLOCK_MAX_S
        while True:
            try:
                client.indices.put_settings(index=names, settings={"index.blocks.write": None})
            except (ApiError, TransportError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)
            else:
                return


def _conditions(fault: Fault) -> Conditions:
    match fault.kind:
        case "delay":
            return Conditions(delay_s=float(fault.detail))
        case "throttle":
            return Conditions(bytes_per_s=int(fault.detail))
    return Conditions(holes=BOTH if fault.detail == "both" else frozenset({Way(fault.detail)}))
