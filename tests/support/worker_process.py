"""A projection worker as an operator runs it: a process of its own, that is killed, or stops with an exit code."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg

from tailrace.addresses import resolve
from tailrace.operations.positions import positions
from tailrace.projections.registry import POSTGRES
from tailrace.settings import Settings

EVENTUALLY_S = 40
POLL_S = 0.05
EXIT_TIMEOUT_S = 30
PARTITIONS = 3
LIVE_PARTITIONS = 5 * PARTITIONS + 1
"""Of one topic, and of all that the worker reads."""
SESSION_TIMEOUT_MS = 6_000
"""The shortest the broker allows: so long a killed worker is missed."""


def environment(settings: Settings) -> dict[str, str]:
    """What a command needs to use the servers and names of `settings`."""
    inherited = {name: v for name, v in os.environ.items() if not name.startswith(("TAILRACE_", "DATABASE_URL"))}
    return inherited | {
        "TAILRACE_DATA_DIR": str(settings.data_dir),
        "TAILRACE_POSTGRES__DSN": resolve(settings).postgres,
        "TAILRACE_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "TAILRACE_KAFKA__GROUP_PREFIX": settings.kafka.group_prefix,
        "TAILRACE_KAFKA__SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS),
        "TAILRACE_WORKER__BATCH_MAX_EVENTS": str(settings.worker.batch_max_events),
        "TAILRACE_WORKER__STALL_TIMEOUT_S": str(settings.worker.stall_timeout_s),
        "TAILRACE_LOG__FORMAT": "json",
    }


def command(*arguments: str) -> list[str]:
    """The command line of the environment that the tests run in."""
    return [str(Path(sys.executable).with_name("tailrace")), *arguments]


async def tailrace(settings: Settings, *arguments: str) -> tuple[int, str]:
    """Run a command to its end: exit code and what it printed on stdout."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        env=environment(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(EXIT_TIMEOUT_S):
        printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


async def eventually(condition: Callable[[], Awaitable[bool] | bool], what: str) -> None:
    """Wait until the condition holds; `what` is said of it when it does not in time."""
    deadline = time.monotonic() + EVENTUALLY_S
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {EVENTUALLY_S} s: {what}")
        await asyncio.sleep(POLL_S)


class WorkerProcess:
    """A running `tailrace worker run postgres`."""

    def __init__(self, settings: Settings, process: asyncio.subprocess.Process, log_file: Path) -> None:
        self._settings = settings
        self._process = process
        self.log_file = log_file

    @property
    def owner(self) -> str:
        """Name under which it claims partitions."""
        return f"{socket.gethostname()}:{self._process.pid}"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.returncode

    def owned(self) -> int:
        """How many partitions it claimed last."""
        query = "SELECT count(*) FROM runtime.progress WHERE projection = 'postgres' AND owner = %s"
        with psycopg.connect(resolve(self._settings).postgres) as connection:
            (count,) = connection.execute(query, [self.owner]).fetchone() or (0,)
        return int(count)

    async def has_joined(self) -> None:
        """Wait until it owns a part of the log."""
        await eventually(lambda: not self.is_alive or self.owned() > 0, "the worker has partitions")
        assert self.is_alive, self.log_file.read_text()

    async def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> int:
        """Ask it to finish; returns its exit code."""
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(EXIT_TIMEOUT_S):
            return await self._process.wait()

    def said(self, event: str) -> bool:
        """Whether it logged this event."""
        return f'"{event}"' in self.log_file.read_text()


Start = Callable[[], Awaitable[WorkerProcess]]
"""Starts one more worker."""


@asynccontextmanager
async def workers(settings: Settings, folder: Path) -> AsyncIterator[Start]:
    """Makes workers; what is still running at the end is killed."""
    started: list[WorkerProcess] = []

    async def start() -> WorkerProcess:
        log_file = folder / f"worker-{len(started)}.log"
        with log_file.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command("worker", "run", "postgres"), env=environment(settings), stdout=output, stderr=output
            )
        started.append(WorkerProcess(settings, process, log_file))
        return started[-1]

    try:
        yield start
    finally:
        for worker in started:
            if worker.is_alive:
                await worker.kill()


async def caught_up(settings: Settings) -> None:
    """Wait until the projection has applied the whole log, or until it cannot because a partition halted."""

    async def has() -> bool:
        (position,) = await positions(settings, [POSTGRES.name])
        return position.lag == 0 or position.state == "halted"

    await eventually(has, "everything in the log is applied")
    (position,) = await positions(settings, [POSTGRES.name])
    assert position.state == "current"


def progress(settings: Settings) -> list[dict[str, Any]]:
    """The rows of runtime.progress."""
    with psycopg.connect(resolve(settings).postgres) as connection:
        cursor = connection.execute("SELECT * FROM runtime.progress WHERE projection = 'postgres'")
        columns = [column.name for column in cursor.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in cursor]


def applied(settings: Settings) -> int:
    """Records applied so far, of logs that begin at 0."""
    return sum(row["next_offset"] for row in progress(settings))
