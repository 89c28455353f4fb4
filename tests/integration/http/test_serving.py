"""`tailrace http serve` as it is run: a process before a real broker."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from kafka_topics import read_all
from worker_process import command, environment

from tailrace.addresses import resolve
from tailrace.operations.topics import apply_topics
from tailrace.settings import Settings

BATCH = {"content-type": "application/cloudevents-batch+json"}
START_TIMEOUT_S = 30
CHANNEL = "0199c1d2-0030-7000-8000-000000000001"
DATA = {
    "message_id": "0199c1d2-0040-7000-8000-000000000002",
    "channel_id": CHANNEL,
    "workspace_id": "0199c1d2-0010-7000-8000-000000000001",
    "user_id": "0199c1d2-0020-7000-8000-000000000001",
    "emoji": ":tada:",
}
EVENT: dict[str, Any] = {"specversion": "1.0", "type": "collab.reaction.added", "source": "/test", "data": DATA}


@asynccontextmanager
async def serving(settings: Settings, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        *command("http", "serve", "--port", "0", *arguments),
        env=environment(settings) | {"TAILRACE_HTTP__TOKEN": ""},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            said = (await process.stderr.readline()).decode()
        yield process, said.removeprefix("listening at ").strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_what_was_answered_with_202_is_in_the_log_where_the_answer_says(settings: Settings):
    await apply_topics(settings, resolve(settings).kafka)
    async with serving(settings) as (process, address), httpx.AsyncClient(base_url=address) as client:
        answers = [await client.post("/v1/events", content=json.dumps([EVENT] * 50), headers=BATCH) for _ in range(4)]
        ready = (await client.get("/readyz?verbose")).json()
        under_way = asyncio.create_task(client.post("/v1/events", content=json.dumps([EVENT] * 1_000), headers=BATCH))
        await client.get("/livez")
        process.send_signal(signal.SIGTERM)
        answers.append(await under_way)
        async with asyncio.timeout(START_TIMEOUT_S):
            exit_code = await process.wait()

    assert ready["ready"]
    assert [(it["name"], it["status"]) for it in ready["checks"]] == [("kafka", "ok")]
    assert {it.status_code for it in answers} == {202}
    told = {(it["partition"], it["offset"], it["id"]) for answer in answers for it in answer.json()["events"]}
    records = await read_all(settings, "conversations")
    assert {(it.partition, it.offset, json.loads(it.value)["id"]) for it in records} == told
    assert len(told) == 1_200
    assert {it.key.decode() for it in records} == {CHANNEL}
    assert exit_code == 0


async def test_beyond_loopback_it_starts_only_with_a_token(settings: Settings):
    async with serving(settings, "--host", "0.0.0.0") as (process, said):  # noqa: S104 - what must not work
        assert "without a token" in said
        assert await process.wait() == 2
