"""The examples, run as somebody would run them who reads only `docs/producers.md`."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka_topics import read_all
from worker_process import command, environment, eventually

from tailrace.addresses import resolve
from tailrace.operations.topics import apply_topics
from tailrace.settings import Settings

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TIMEOUT_S = 60
INSTALL_TIMEOUT_S = 180
IDS = {
    name: f"0199c1d2-00{number}0-7000-8000-000000000001"
    for number, name in enumerate(("workspace", "user", "channel"), 1)
}


@pytest.fixture
async def log(settings: Settings) -> Settings:
    settings.kafka.partitions = settings.kafka.partitions_small = 1
    await apply_topics(settings, resolve(settings).kafka)
    return settings


async def run(*arguments: str, given: bytes, env: dict[str, str]) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, JSON lines of stdout, and stderr."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=env)
    async with asyncio.timeout(TIMEOUT_S):
        out, err = await process.communicate(given)
    lines = [json.loads(line) for line in out.splitlines()]
    assert process.returncode is not None
    return process.returncode, lines, err.decode()


@asynccontextmanager
async def tailrace(settings: Settings, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command of ours beside the test."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments), env=environment(settings) | {"TAILRACE_HTTP__TOKEN": ""}, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def until_there(settings: Settings, topic: str, count: int) -> list[dict[str, Any]]:
    """Events of a topic, as soon as there are so many."""

    async def there() -> bool:
        return len(await read_all(settings, topic)) >= count

    await eventually(there, f"{count} events in {topic}")
    return [json.loads(record.value) for record in await read_all(settings, topic)]


async def test_the_service_posts_each_line_and_says_where_it_is(log: Settings):
    options = [part for name, id_ in IDS.items() for part in (f"--{name}", id_)]

    code, acks, _ = await run(
        sys.executable, str(EXAMPLES / "service.py"), *options, given=b"one\n\ntwo\n", env=environment(log)
    )

    events = await until_there(log, "conversations", 2)
    assert code == 0
    assert [event["data"]["content"] for event in events] == ["one", "two"]
    assert [(ack["id"], ack["offset"]) for ack in acks] == [(event["id"], place) for place, event in enumerate(events)]


async def test_a_shell_script_with_kcat_gets_through_the_inbound_gateway(log: Settings):
    if not shutil.which("kcat"):
        install = [str(ROOT / ".ci/install"), "kcat"]
        done = await asyncio.to_thread(
            subprocess.run, install, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
        if done.returncode:
            pytest.skip(f"kcat cannot be installed here: {done.stderr.strip()[-200:]}")
    env = environment(log) | {"BROKER": resolve(log).kafka, "TOPIC": log.topic("inbound")}

    async with tailrace(log, "streams", "run", "gateway"):
        code, _, said = await run(
            str(EXAMPLES / "inbound.sh"), given=(EXAMPLES / "inbound.jsonl").read_bytes(), env=env
        )
        assert (code, said) == (0, "")
        posted, added = await until_there(log, "conversations", 2)

    assert (posted["data"]["content"], added["data"]["emoji"]) == ("sent with kcat", "tada")
    assert all(posted[name] and added[name] for name in ("id", "time", "sequence"))
    assert int(posted["sequence"]) < int(added["sequence"])


async def test_http_clients_send_a_file_and_an_event_and_are_told_what_does_not_fit(log: Settings, tmp_path: Path):
    sample = (EXAMPLES / "message.posted.jsonl").read_text().splitlines()[0]
    wrong = json.dumps(json.loads(sample) | {"data": {}})
    events = tmp_path / "events.jsonl"
    events.write_text(f"{sample}\n" * 3)
    client = (sys.executable, str(EXAMPLES / "http_client.py"))

    async with tailrace(log, "http", "serve", "--port", "0") as server:
        assert server.stderr
        url = (await server.stderr.readline()).decode().removeprefix("listening at ").strip()
        shell = environment(log) | {"URL": url}
        batch = await run(*client, url, str(events), given=b"", env=shell)
        single = await run(str(EXAMPLES / "http_client.sh"), given=sample.encode(), env=shell)
        refused = await run(str(EXAMPLES / "http_client.sh"), given=wrong.encode(), env=shell)

    assert (batch[0], len(batch[1]), single[0], refused[0]) == (0, 3, 0, 6)
    assert single[1][0]["events"][0]["offset"] == 3
    assert "data.content" in refused[2]
    assert {event["id"] for event in await until_there(log, "conversations", 4)} == {json.loads(sample)["id"]}


async def test_the_curl_example_says_when_nobody_answers():
    env = {"URL": "http://127.0.0.1:9", "ATTEMPTS_MAX": "2", "WAIT_S": "0", "PATH": "/usr/bin:/bin"}

    code, _, said = await run(
        str(EXAMPLES / "http_client.sh"), given=b'{"id": "x", "time": "x", "sequence": "1"}', env=env
    )

    assert code == 5
    assert "127.0.0.1" in said
