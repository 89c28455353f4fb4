import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tailrace.producer import Producer
from tailrace.producer.lines import CHUNK_BYTES, LINE_BYTES_MAX, LinesReport, check_lines, read_lines
from tailrace.settings import Settings

Data = Callable[..., dict[str, Any]]


async def lines_of(*lines: bytes | None) -> AsyncIterator[bytes | None]:
    for line in lines:
        yield line


async def read(path: Path) -> list[bytes | None]:
    with path.open("rb") as file:
        return [line async for line in read_lines(file.fileno())]


def line(**event: Any) -> bytes:
    return json.dumps(event).encode()


@pytest.fixture
def producer() -> Producer:
    return Producer(Settings(_env_file=None), source="/tests")


@pytest.fixture
def posted(message: Data) -> Callable[..., bytes]:
    """A line in short form with a message, some fields of its data replaced."""
    now = {"created_at": "2020-01-01T00:00:00Z"}
    return lambda **data: line(type="collab.message.posted", data=message(**(now | data)))


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb", b"a\nb\n", b"\n\na\n\n", b"\r\n", "ü\n€".encode()])
async def test_lines_are_split_at_line_feeds_only(content: bytes, tmp_path: Path):
    (tmp_path / "file").write_bytes(content)

    whole = content.split(b"\n")
    assert await read(tmp_path / "file") == (whole if whole[-1] else whole[:-1])


async def test_lines_longer_than_a_chunk_are_whole(tmp_path: Path):
    long = [bytes([65 + number]) * (3 * CHUNK_BYTES + number) for number in range(5)]
    (tmp_path / "file").write_bytes(b"\n".join(long))

    assert await read(tmp_path / "file") == long


async def test_a_line_too_long_to_be_an_event_is_skipped_and_its_neighbours_are_read(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"a\n" + b"x" * (LINE_BYTES_MAX + 2 * CHUNK_BYTES) + b"\nb\n")

    assert await read(tmp_path / "file") == [b"a", None, b"b"]


async def test_lines_of_a_pipe_arrive_before_it_is_closed():
    reading, writing = os.pipe()
    lines = read_lines(reading)
    for number in range(3):
        threading.Thread(target=os.write, args=(writing, b"%d\n" % number)).start()
        assert await asyncio.wait_for(anext(lines), 5) == b"%d" % number
    os.close(writing)

    assert [line async for line in lines] == []
    os.close(reading)


async def test_every_bad_line_is_reported_with_number_code_and_field(producer: Producer, posted: Callable[..., bytes]):
    seen: list[int] = []

    def observe(_: LinesReport, refused: Any) -> None:
        seen.extend([refused.line] if refused else [])

    report = await check_lines(
        lines_of(
            posted(),
            b"",
            b"{not json",
            b'"text"',
            posted(user_id="ana"),
            None,
            line(specversion="1.0", type="collab.typing.started"),
            posted(content="NaN is text"),
            b"{}",
            b'{"type": "collab.typing.started", "data": {"channel_id": NaN}}',
        ),
        producer,
        observe,
    )

    assert [(it.line, it.code, it.path) for it in report.refused] == [
        (3, "E_DECODE", None),
        (4, "E_SCHEMA", None),
        (5, "E_SCHEMA", "data.user_id"),
        (6, "E_SIZE", None),
        (7, "E_SCHEMA", "id"),
        (9, "E_SCHEMA", "type"),
        (10, "E_DECODE", None),
    ]
    assert (report.lines, report.refused_count, seen) == (10, 7, [3, 4, 5, 6, 7, 9, 10])


def publish(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person does: in a process of its own, with what it prints and its exit code."""
    return subprocess.run(
        [sys.executable, "-c", "from tailrace.cli.main import run; run()", "publish", *arguments],
        env={name: value for name, value in os.environ.items() if not name.startswith("TAILRACE_")} | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.slow
def test_a_dry_run_needs_no_server_and_prints_one_document(tmp_path: Path, posted: Callable[..., bytes]):
    (tmp_path / "events.jsonl").write_bytes(posted() + b"\n" + posted(content=5) + b"\n")

    done = publish(str(tmp_path / "events.jsonl"), "--dry-run", "-o", "json")

    assert done.returncode == 6
    document = json.loads(done.stdout)
    assert (document["lines"], document["published"], document["failed"]) == (2, 0, [])
    assert document["refused"] == [
        {"line": 2, "code": "E_SCHEMA", "path": "data.content", "reason": "data.content: expected a string"}
    ]
    assert "line 2: E_SCHEMA data.content: expected a string\n" in done.stderr


@pytest.mark.slow
def test_a_dry_run_of_good_events_prints_nothing_on_stdout(tmp_path: Path, posted: Callable[..., bytes]):
    (tmp_path / "events.jsonl").write_bytes(posted())

    done = publish(str(tmp_path / "events.jsonl"), "--dry-run")

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
def test_a_file_that_is_not_there_is_not_found(tmp_path: Path):
    assert publish(str(tmp_path / "nothing.jsonl")).returncode == 4


@pytest.mark.slow
def test_a_broker_that_is_not_there_is_named(tmp_path: Path, posted: Callable[..., bytes]):
    (tmp_path / "events.jsonl").write_bytes(posted())

    done = publish(str(tmp_path / "events.jsonl"), TAILRACE_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1")

    assert done.returncode == 5
    assert "no Kafka broker answers at 127.0.0.1:1" in done.stderr
    assert "fix  tailrace up" in done.stderr
