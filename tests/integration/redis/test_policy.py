"""Servers that must not be used are refused at the start, in words; one that is full is waited for."""

import asyncio
from collections.abc import Iterator

import pytest
from cached import Cached
from contract_events import Given, in_world
from late_owners import applied
from read_models import Log, Reader, ReadModels, log_of, partition_of
from redis_servers import Cluster, RedisServer, ask, server
from worker_process import command, environment

from tailrace.addresses import resolve
from tailrace.consumers.redis.sink import RedisSink
from tailrace.errors import PreconditionError
from tailrace.operations.topics import apply_topics
from tailrace.projections.registry import REDIS
from tailrace.settings import Settings

EXIT_TIMEOUT_S = 30


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with server(tmp_path_factory.mktemp("one")) as started:
        yield started


@pytest.fixture
def alone(one: RedisServer, models: ReadModels) -> Iterator[Cached]:
    made = Cached(models, one.settings(models.settings))
    made.clear()
    yield made
    ask(one, "CONFIG", "SET", "maxmemory", "0")
    ask(one, "CONFIG", "SET", "maxmemory-policy", "noeviction")
    made.redis.close()


@pytest.fixture
def log(own_settings: Settings, given: Given) -> Log:
    told = [given.channel("c1"), given.joined("ana"), given.posted("m1")]
    return log_of([in_world(event) for event in told], own_settings)


async def begin(cached: Cached, log: Log) -> tuple[RedisSink, Reader]:
    """A worker's first step."""
    sink = cached.sink()
    reader = Reader(cached.models, sink)
    try:
        await reader.claim({partition_of(record) for record in log})
    except Exception:
        await sink.close()
        raise
    return sink, reader


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
async def test_a_policy_that_evicts_lists_is_refused(alone: Cached, one: RedisServer, log: Log, policy: str):
    ask(one, "CONFIG", "SET", "maxmemory-policy", policy)
    with pytest.raises(PreconditionError, match=rf"evicts keys without a lifetime \({policy}\)"):
        await begin(alone, log)
    assert alone.models.execute("SELECT count(*) AS n FROM runtime.progress") == [{"n": 0}]


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
async def test_other_policies_are_fine(alone: Cached, one: RedisServer, log: Log, policy: str):
    ask(one, "CONFIG", "SET", "maxmemory-policy", policy)
    await alone.apply(log)
    await alone.fill()

    assert alone.differences(log) == {}


async def test_a_single_master_of_a_cluster_with_such_a_policy_is_refused(
    clustered: Cached, redis_cluster: Cluster, log: Log
):
    ask(redis_cluster.masters[2], "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(PreconditionError, match="allkeys-lru"):
            await begin(clustered, log)
    finally:
        ask(redis_cluster.masters[2], "CONFIG", "SET", "maxmemory-policy", "noeviction")


async def test_a_setting_that_does_not_fit_the_server_is_named(
    alone: Cached, clustered: Cached, one: RedisServer, redis_cluster: Cluster, log: Log
):
    for settings, said in (
        (one.settings(alone.settings, cluster=True), "no cluster"),
        (redis_cluster.masters[0].settings(clustered.settings, cluster=False), "is a cluster"),
    ):
        sink = RedisSink(alone.models.dsn, resolve(settings).redis, settings, REDIS)
        with pytest.raises(PreconditionError, match=said):
            await Reader(alone.models, sink).claim({partition_of(record) for record in log})
        await sink.close()


async def test_a_full_server_is_waited_for_and_no_event_is_refused(alone: Cached, one: RedisServer, log: Log):
    await alone.fill()
    await alone.models.apply([log])
    sink, reader = await begin(alone, log)
    batch = reader.batch(log)
    ask(one, "CONFIG", "SET", "maxmemory", "1mb")
    with pytest.raises(Exception, match=r"OOM|maxmemory") as failed:
        await sink.apply(batch)
    assert sink.is_unreachable(failed.value)
    ask(one, "CONFIG", "SET", "maxmemory", "0")
    await applied(sink, batch)
    await sink.close()

    assert alone.models.execute("SELECT count(*) AS n FROM runtime.dead_letters") == [{"n": 0}]
    assert alone.differences(log) == {}


async def test_the_command_ends_with_a_reason_and_what_to_do(alone: Cached, one: RedisServer):
    await apply_topics(alone.settings, resolve(alone.settings).kafka)
    ask(one, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    process = await asyncio.create_subprocess_exec(
        *command("worker", "run", "redis"),
        env=environment(alone.settings) | {"TAILRACE_REDIS__URL": one.url},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(EXIT_TIMEOUT_S):
        _, told = await process.communicate()

    assert process.returncode == 3
    assert b"Redis evicts keys without a lifetime (allkeys-lru)" in told
    assert b"noeviction or one of volatile-*" in told
