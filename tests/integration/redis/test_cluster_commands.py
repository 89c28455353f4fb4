"""Workers as processes and commands as an operator gives them, on a cluster."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.cluster import RedisCluster
from redis_servers import Cluster, ask
from worker_process import EXIT_TIMEOUT_S, command, environment, eventually

from tailrace.addresses import resolve
from tailrace.months.keeper import ensure_partitions
from tailrace.operations.caches import are_whole
from tailrace.operations.database import connection
from tailrace.operations.positions import wait
from tailrace.operations.topics import apply_topics
from tailrace.settings import Settings
from tailrace.workload import generate, named_profile, publish_records

START = datetime(2026, 10, 1, tzinfo=UTC)
EVENTS = 500
WAIT_S = 60


def with_cluster(settings: Settings) -> dict[str, str]:
    """What a command needs to use the cluster."""
    redis = {"URL": resolve(settings).redis, "KEY_PREFIX": settings.redis.key_prefix, "CLUSTER": "true"}
    return environment(settings) | {f"TAILRACE_REDIS__{name}": value for name, value in redis.items()}


async def told(settings: Settings, *arguments: str) -> tuple[int, Any]:
    """Exit code of a command and the JSON that it printed."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments, "-o", "json"), env=with_cluster(settings),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(EXIT_TIMEOUT_S):
        printed, _ = await process.communicate()
    return process.returncode or 0, json.loads(printed)


@pytest.fixture
async def live(own_settings: Settings, redis_cluster: Cluster, tmp_path: Path) -> AsyncIterator[Settings]:
    """Settings of a cluster that workers keep equal to a log with a few days in it."""
    settings = redis_cluster.settings(own_settings)
    settings.kafka.partitions, settings.kafka.partitions_small = 2, 1
    with connection(settings) as conn:
        ensure_partitions(conn, settings, now=START + timedelta(days=30))
    await apply_topics(settings, resolve(settings).kafka)
    records = list(generate(named_profile("demo", start=START, events=EVENTS)))
    await publish_records(resolve(settings).kafka, records, settings=settings)
    with (tmp_path / "worker.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command("worker", "run", "postgres", "redis"), env=with_cluster(settings), stdout=log, stderr=log
        )
    await eventually(lambda: are_whole(settings), "the redis worker has filled the caches")
    yield settings
    process.terminate()
    async with asyncio.timeout(EXIT_TIMEOUT_S):
        assert await process.wait() == 0, (tmp_path / "worker.log").read_text()


async def test_workers_fill_verify_finds_and_repair_mends(live: Settings, redis_cluster: Cluster):
    assert await wait(live, WAIT_S) == {}
    ask(redis_cluster.masters[1], "FLUSHALL")
    assert await wait(live, WAIT_S) == {}
    code, found = await told(live, "verify", "redis")
    assert (code, found["differences"]) == (0, 0)
    assert found["projections"]["redis.recent_messages"]["checked"] > 10

    with RedisCluster.from_url(resolve(live).redis) as client:
        name = next(client.scan_iter(match=f"{live.redis.key_prefix}recent_messages:*", count=1_000))
        client.lset(name, 0, "{}")
    code, repaired = await told(live, "caches", "repair")
    assert (code, repaired) == (0, {"repaired": 1, "differences": 0})
