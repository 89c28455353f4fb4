"""A replica takes over and lacks writes that were acknowledged: that is noticed, and healed from what the log says.

Clients come through a proxy, as through an address that Sentinel, a name or a balancer moves.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cached import READ_TOPICS, Cached
from late_owners import applied, published
from read_models import Log, Reader, ReadModels, partition_of
from redis_servers import RedisServer, ask, info, server
from tcp_proxy import TcpProxy
from worker_process import eventually

from tailrace.consumers.batch import Record
from tailrace.consumers.redis.sink import RedisSink
from tailrace.operations.caches import are_whole

EVENTS = 200
REPLICATION = ("--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    with server(tmp_path, *REPLICATION) as primary, server(tmp_path, *REPLICATION) as replica:
        yield primary, replica


@dataclass
class Pair:
    """A primary with its replica. `address` leads clients to one of them, `link` the replica to its primary."""

    primary: RedisServer
    replica: RedisServer
    address: TcpProxy
    link: TcpProxy
    cached: Cached

    async def cut_off(self) -> None:
        """Let the replica follow this far, and nothing more reach it."""
        await eventually(self.is_level, "the replica follows")
        self.link.refuses = True
        self.link.cut()

    def promote(self, *, is_abrupt: bool = True) -> None:
        """Make the replica the primary; the address leads to it, connections that are there only if `is_abrupt`."""
        ask(self.replica, "REPLICAOF", "NO", "ONE")
        self.address.lead_to(self.replica.port)
        if is_abrupt:
            self.address.cut()

    def demote(self) -> None:
        """Tell the old primary whom it follows now."""
        ask(self.primary, "REPLICAOF", "127.0.0.1", str(self.replica.port))

    async def differences(self, log: Log) -> dict[str, Any]:
        """By the comparison that `verify redis` makes, where the address leads to (its thread is not the proxy's)."""
        return await asyncio.to_thread(self.cached.differences, log)

    async def is_level(self) -> bool:
        """Whether the replica has all that the primary has."""
        ours, theirs = info(self.primary, "replication"), info(self.replica, "replication")
        return theirs.get("master_link_status") == "up" and ours["master_repl_offset"] == theirs["slave_repl_offset"]


@pytest.fixture
async def pair(servers: tuple[RedisServer, RedisServer], models: ReadModels) -> AsyncIterator[Pair]:
    primary, replica = servers
    async with TcpProxy("127.0.0.1", primary.port) as address, TcpProxy("127.0.0.1", primary.port) as link:
        cached = Cached(models, primary.settings(models.settings, port=address.port))
        cached.models.clear()
        ask(replica, "REPLICAOF", "127.0.0.1", str(link.port))
        made = Pair(primary, replica, address, link, cached)
        await eventually(made.is_level, "the replica follows")
        yield made
        cached.redis.close()


class Worker:
    """A worker's side that stays connected; PostgreSQL is told of a record when the worker is about to apply it."""

    def __init__(self, cached: Cached, log: Log) -> None:
        self.sink: RedisSink = cached.sink()
        self._cached = cached
        self._reader = Reader(cached.models, self.sink)
        self._left = log

    async def claim(self) -> None:
        seen = [record for record in self._left if self._is_read(record)]
        await self._reader.claim({partition_of(record) for record in seen})

    def _is_read(self, record: Record) -> bool:
        return self._cached.models.short(record.topic) in READ_TOPICS

    async def goes_on(self, share: float = 1.0) -> None:
        """Apply a share of what is left; its progress moves with the first answer it gets."""
        count = round(share * len(self._left))
        piece, self._left = self._left[:count], self._left[count:]
        await self._cached.models.apply([piece])
        await applied(self.sink, self._reader.batch([record for record in piece if self._is_read(record)]))


@asynccontextmanager
async def worker_of(cached: Cached, log: Log) -> AsyncIterator[Worker]:
    worker = Worker(cached, log)
    await worker.claim()
    yield worker
    await worker.sink.close()


async def test_lost_writes_are_noticed_and_healed_while_the_worker_runs(pair: Pair):
    log = published(1, pair.cached, EVENTS)
    stopping, caretaker = asyncio.Event(), pair.cached.caretaker()
    looking = asyncio.create_task(caretaker.run(stopping))
    await eventually(lambda: are_whole(pair.cached.settings), "the caches are whole")
    async with worker_of(pair.cached, log) as worker:
        await worker.goes_on(0.3)
        await pair.cut_off()
        await worker.goes_on()
        assert await pair.differences(log) == {}
        pair.promote()
        lost = await pair.differences(log)
        await eventually(lambda: are_whole(pair.cached.settings), "the caches are whole")

        assert lost != {}
        assert await pair.differences(log) == {}
    stopping.set()
    await looking


async def test_what_a_deposed_primary_still_took_is_healed(pair: Pair):
    """The new primary is filled while the worker, connected to the old one, goes on writing there."""
    log = published(2, pair.cached, EVENTS)
    await pair.cached.fill()
    async with worker_of(pair.cached, log) as worker:
        await worker.goes_on(0.4)
        await pair.cut_off()
        pair.promote(is_abrupt=False)
        await pair.cached.fill()
        await worker.goes_on(0.9)
        assert await are_whole(pair.cached.settings)
        assert await pair.differences(log) != {}
        pair.demote()
        await worker.goes_on()

    assert not await are_whole(pair.cached.settings)
    await pair.cached.fill()
    assert await pair.differences(log) == {}


async def test_a_worker_that_was_there_before_the_fill_causes_no_second_one(pair: Pair):
    log = published(4, pair.cached, EVENTS)
    await pair.cached.fill()
    async with worker_of(pair.cached, log) as worker:
        await worker.goes_on(0.4)
        pair.promote()
        await pair.cached.fill()
        await worker.goes_on()

    assert await are_whole(pair.cached.settings)
    assert await pair.differences(log) == {}


async def test_a_server_that_became_primary_again_is_not_taken_for_the_same(pair: Pair):
    """There and back while nobody looks: the run id is the one before, the writes are gone."""
    log = published(3, pair.cached, EVENTS)
    await pair.cached.fill()
    async with worker_of(pair.cached, log) as worker:
        await worker.goes_on(0.3)
        await pair.cut_off()
        await worker.goes_on()
    ask(pair.replica, "REPLICAOF", "NO", "ONE")
    pair.demote()
    await eventually(lambda: info(pair.primary, "replication").get("master_link_status") == "up", "it follows")
    ask(pair.primary, "REPLICAOF", "NO", "ONE")

    assert await pair.differences(log) != {}
    assert not await are_whole(pair.cached.settings)
    await pair.cached.fill()
    assert await pair.differences(log) == {}
