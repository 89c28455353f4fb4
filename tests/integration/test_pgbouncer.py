"""Workers and commands through PgBouncer in transaction mode, where each transaction may be another session's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pgbouncer import SESSIONS, pgbouncer, shown
from worker_process import command, environment

from tailrace.addresses import resolve
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.operations.positions import announce, wait
from tailrace.operations.topics import apply_topics
from tailrace.projections.registry import PROJECTIONS
from tailrace.settings import Settings
from tailrace.verification.verify import verify
from tailrace.workload import generate, named_profile, publish_records

EVENTS = 4_000
WORKERS = ("postgres", "redis", "postgres")
WAIT_S = 90


@pytest.mark.slow
async def test_workers_and_commands_through_pgbouncer_end_without_a_difference(settings, tmp_path):
    with connection(settings) as conn:
        migrate(conn, settings)
    kafka = resolve(settings).kafka
    await apply_topics(settings, kafka)
    profile = named_profile("demo", start=datetime.now(UTC) - timedelta(days=22), events=EVENTS, seed=11)
    with pgbouncer(settings, tmp_path / "pgbouncer") as pooled:
        await announce(pooled, [PROJECTIONS[name] for name in ("postgres", "redis")])
        async with workers(pooled, tmp_path):
            await publish_records(kafka, generate(profile), settings=pooled)
            behind = await wait(pooled, WAIT_S, lambda _left, _total: None)
            (pool,) = [pool for pool in shown(pooled, "POOLS") if pool["database"] != "pgbouncer"]
        found = await asyncio.to_thread(verify, pooled, limit=10)

    assert behind == {}
    assert found.differences == 0, [report.differences for report in found.reports.values()]
    assert found.reports["messages"].checked > EVENTS // 4
    assert found.reports["redis.recent_messages"].checked > 0
    assert pool["pool_mode"] == "transaction"
    assert pool["cl_active"] + pool["cl_waiting"] > SESSIONS >= pool["sv_active"] + pool["sv_idle"] + pool["sv_used"]


@asynccontextmanager
async def workers(settings: Settings, folder: Path) -> AsyncIterator[None]:
    """Workers that run meanwhile, and at its end still do."""
    pooled = {"TAILRACE_POSTGRES__POOLED": "true", "TAILRACE_REDIS__KEY_PREFIX": settings.redis.key_prefix}
    running = []
    for index, name in enumerate(WORKERS):
        with (folder / f"{name}-{index}.log").open("wb") as log:
            running.append(
                await asyncio.create_subprocess_exec(
                    *command("worker", "run", name), env=environment(settings) | pooled, stdout=log, stderr=log
                )
            )
    try:
        yield
        assert [process.returncode for process in running] == [None] * len(WORKERS)
    finally:
        for process in running:
            process.kill()
            await process.wait()
