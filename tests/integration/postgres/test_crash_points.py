"""SEMANTICS, case 67: killed between any two steps, by a worker with work in hand.

`TAILRACE_CRASH_POINTS=all` dies at every place, which takes a worker's start for each; else at those that matter most.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from contract_events import CloudEvent, Given, id_of
from kafka_topics import Raw, publish
from worker_process import Start, caught_up, command, environment, eventually

from tailrace.consumers.crash_points import ENVIRONMENT, POINTS
from tailrace.settings import Settings
from tailrace.verification.verify import verify

OF_ELASTICSEARCH = ("indexed",)
"""Died at by the schedules of `make faults`."""
OF_REDIS = ("cached", "followed")
OF_POSTGRES = tuple(point for point in POINTS if point not in {*OF_ELASTICSEARCH, *OF_REDIS})
EVERYDAY = ("advanced", "committed", "relayed", "cached")
TRIED = POINTS if os.environ.get("TAILRACE_CRASH_POINTS") == "all" else EVERYDAY
DIES_WITHIN_S = 60.0

Armed = Callable[[str, str], Awaitable[asyncio.subprocess.Process]]
"""Starts a worker of a projection that dies at a place."""


@pytest.fixture
async def armed(live: Settings, tmp_path: Path) -> AsyncIterator[Armed]:
    started: list[asyncio.subprocess.Process] = []

    async def start(projection: str, point: str) -> asyncio.subprocess.Process:
        more = {ENVIRONMENT: f"{point}:1", "TAILRACE_REDIS__KEY_PREFIX": live.redis.key_prefix}
        with (tmp_path / f"{point}.log").open("wb") as output:
            started.append(
                await asyncio.create_subprocess_exec(
                    *command("worker", "run", projection), env=environment(live) | more, stdout=output, stderr=output
                )
            )
        return started[-1]

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def died(process: asyncio.subprocess.Process, point: str) -> bool:
    """Whether it was killed; fails where it lives on."""
    try:
        async with asyncio.timeout(DIES_WITHIN_S):
            return await process.wait() == -signal.SIGKILL
    except TimeoutError:
        raise AssertionError(f"never came to: {point}") from None


async def test_67_a_worker_dies_between_two_steps_and_nothing_is_lost_or_doubled(
    live: Settings, start: Start, given: Given, armed: Armed, tmp_path: Path
):
    async def more(number: int) -> None:
        poison = Raw("conversations", id_of("c1").encode(), b"no JSON %d" % number)
        events: list[CloudEvent | Raw] = [
            given.posted(f"m{number}", time="12:00"), given.reacted("👍", f"m{number}", "bo", time="12:01"),
            given.edited("later", f"x{number}", time="12:02"), given.user(f"u{number}", time="12:03"), poison,
        ]  # fmt: skip
        await publish(live, events)

    for number, point in enumerate(point for point in OF_POSTGRES if point in TRIED):
        await more(number)
        process = await armed("postgres", point)
        if point == "drained":  # partitions are taken away when another one joins
            await eventually(lambda: '"partitions_claimed"' in (tmp_path / "drained.log").read_text(), "it has some")
            other = await start()
            assert await died(process, point), point
            assert await other.stop() == 0
            continue
        assert await died(process, point), point
    worker = await start()
    await caught_up(live)
    for number, point in enumerate((point for point in OF_REDIS if point in TRIED), len(POINTS)):
        process = await armed("redis", point)
        await more(number)
        assert await died(process, point), point
    await caught_up(live)
    assert await worker.stop() == 0

    verified = await asyncio.to_thread(verify, live, ["postgres"], limit=3)
    assert verified.differences == 0, json.dumps(verified.document(), indent=1)
