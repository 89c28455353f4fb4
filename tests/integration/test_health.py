"""Workers, streams and the lag of all, as something that watches them asks: by HTTP, and by `health check`."""

import asyncio
import json
import re
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from worker_process import command, environment

from tailrace.addresses import resolve
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.operations.topics import apply_topics
from tailrace.settings import Settings
from tailrace.workload import generate, named_profile, publish_records

EVENTS = 400
EVENTUALLY_S = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(settings: Settings, folder: Path, *arguments: str) -> AsyncIterator[dict[str, str]]:
    """The command runs meanwhile; gives the environment in which it is asked."""
    asked = environment(settings) | {"TAILRACE_HEALTH__PORT": str(free_port())}
    with (folder / "-".join(arguments)).open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command(*arguments), env=asked, stdout=log, stderr=log)
    try:
        yield asked
        assert process.returncode is None
    finally:
        process.kill()
        await process.wait()


async def check(asked: dict[str, str], *arguments: str) -> int:
    process = await asyncio.create_subprocess_exec(
        *command("health", "check", *arguments), env=asked,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return await process.wait()


def metrics(asked: dict[str, str]) -> dict[str, float]:
    """Values by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{asked['TAILRACE_HEALTH__PORT']}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(EVENTUALLY_S):
        while True:
            with suppress(OSError):
                if await asyncio.to_thread(holds):
                    return
            await asyncio.sleep(0.2)


@pytest.mark.slow
async def test_what_runs_tells_that_it_lives_what_it_did_and_how_far_it_is(settings: Settings, tmp_path: Path):
    with connection(settings) as conn:
        migrate(conn, settings)
    kafka = resolve(settings).kafka
    await apply_topics(settings, kafka)
    profile = named_profile("demo", start=datetime.now(UTC) - timedelta(days=22), events=EVENTS, seed=3)
    async with (
        running(settings, tmp_path, "worker", "run", "postgres") as worker,
        running(settings, tmp_path, "streams", "run", "notifications", "trends") as streams,
        running(settings, tmp_path, "health", "serve") as lag,
    ):
        published = await publish_records(kafka, generate(profile), settings=settings)
        consumed = 'tailrace_events_consumed_total{projection="postgres"}'
        await eventually(lambda: metrics(worker).get(consumed, 0) >= EVENTS)
        raised = 'tailrace_stream_outputs_total{stream="notifications"}'
        await eventually(lambda: metrics(streams)[raised] > 0)
        seconds = 'tailrace_consumer_lag_seconds{projection="postgres"}'
        # A stream that has committed nothing yet has no lag to tell, and this one may begin after the worker.
        trends = 'tailrace_stream_lag_records{stream="trends"}'
        await eventually(lambda: (found := metrics(lag)).get(seconds) == 0 and _records(found) == 0 and trends in found)
        found = metrics(lag)

        assert [await check(asked) for asked in (worker, streams, lag)] == [0, 0, 0]
        assert [await check(asked, "--ready") for asked in (worker, streams, lag)] == [0, 0, 0]
        assert found['tailrace_position_unknown{projection="postgres"}'] == 0
        assert found['tailrace_partition_ahead_seconds{table="collab.messages"}'] > 0
        own = metrics(worker)
        batches = own['tailrace_batch_size_records_count{projection="postgres"}']
        assert batches == own['tailrace_apply_duration_seconds_count{projection="postgres"}'] > 0
        assert found['tailrace_dlq_records{projection="postgres"}'] > 0
        assert metrics(worker)[consumed] <= published.records + metrics(streams)[raised]
        totals = json.dumps(metrics(worker)) + json.dumps(found)
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", totals)

    assert await check(worker) == 5


def _records(found: dict[str, float]) -> float:
    return sum(value for name, value in found.items() if name.startswith("tailrace_consumer_lag_records{"))
