"""Windows from the log, whatever is done to the stream's workers, and the command that shows them."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import groupby
from random import Random

import pytest
from channel_life import WORKSPACE, Life, value_of, windows_of

STEP_S = 2
LATE_S_MAX = 1_000
"""More than the grace, so that some events are too late."""


def life_of(seed: int, count: int, ends: datetime) -> list[dict]:
    life, dice = Life(seed, begins=ends - timedelta(seconds=STEP_S * count), step_s=STEP_S), Random(seed)
    events = [*life.founding(), *life.events(count)]
    for event in events:
        if dice.random() < 0.2:
            time = datetime.fromisoformat(event["time"]) - timedelta(seconds=dice.uniform(0, LATE_S_MAX))
            event["time"] = time.isoformat()
    return events


async def publish(topics, events: list[dict], *, per_second: int) -> None:
    started = asyncio.get_running_loop().time()
    for number, event in enumerate(events):
        await topics.put("conversations", value_of(event), key=event["data"]["channel_id"].encode())
        if number % 20 == 0:
            await asyncio.sleep(max(0.0, started + number / per_second - asyncio.get_running_loop().time()))
    await topics.producer.flush()


async def recounted(topics) -> dict[tuple[str, int, int], tuple[int, int, int]]:
    found = {}
    for _, records in groupby(await topics.read("conversations"), key=lambda record: record.partition):
        found |= windows_of([(record.timestamp / 1000, json.loads(record.value)) for record in records])
    return found


async def final(topics) -> dict[tuple[str, int, int], tuple[int, int, int]]:
    """Of each window the values with the highest sequence; two of the same sequence are the same."""
    held: dict[tuple[str, int, int], dict] = {}
    for record in await topics.read("trends"):
        event = json.loads(record.value)
        data = event["data"]
        start = int(datetime.fromisoformat(data["window_start"]).timestamp())
        key = data["channel_id"], data["window_seconds"], start
        before = held.get(key)
        if before is not None and event["sequence"] == before["sequence"]:
            assert data == before["data"]
        if before is None or int(event["sequence"]) > int(before["sequence"]):
            held[key] = event
    values = {key: event["data"] for key, event in held.items()}
    return {key: (data["messages"], data["reactions"], data["active_users"]) for key, data in values.items()}


@pytest.mark.slow
async def test_killed_and_rebalanced_at_random_every_window_ends_as_a_recount_says(topics, make_workers, eventually):
    events = life_of(seed=2, count=5_000, ends=datetime.now(UTC) - timedelta(hours=2))
    workers = make_workers("trends")
    publishing = asyncio.create_task(publish(topics, events, per_second=300))
    await workers.torment(Random(4), rounds=5)
    await publishing
    expected = await recounted(topics)

    async def are_equal() -> bool:
        return await final(topics) == expected

    await eventually(are_equal)
    assert len(expected) > 3_000


async def test_the_command_shows_the_hottest_channels(topics, make_workers, eventually):
    life = Life(1, begins=datetime.now(UTC) - timedelta(minutes=30), step_s=0.1, channels=3)
    events = [*life.founding()]
    for channel, count in zip(life.channels, (3, 20, 8), strict=True):
        posts = [life.posted(channel) for _ in range(count)]
        events += [post | {"data": post["data"] | {"message_type": "text"}} for post in posts]
    workers = make_workers("trends")
    workers.start()
    await publish(topics, events, per_second=10_000)
    command = [sys.executable, "-c", "from tailrace.cli.main import run; run()", "trends"]
    command += ["--workspace", WORKSPACE, "-o", "json"]

    async def are_shown() -> bool:
        done = await asyncio.to_thread(
            subprocess.run, command, env=workers.environment, capture_output=True, check=True, timeout=30
        )
        return [one["messages"] for one in json.loads(done.stdout)] == [20, 8, 3]

    await eventually(are_shown)
