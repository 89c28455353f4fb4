"""Worker processes behind proxies, kept alive by a supervisor: whatever ends by itself or is killed starts again."""

import asyncio
import itertools
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from tcp_proxy import TcpProxy
from worker_process import command, environment

from tailrace.addresses import resolve
from tailrace.consumers.crash_points import ENVIRONMENT
from tailrace.settings import Settings

SUPERVISE_EVERY_S = 0.1
STOP_TIMEOUT_S = 40.0
KILLED = -signal.SIGKILL
IMPATIENT = {
    # Bounds of the outside world that are short enough for a schedule of seconds; the broker allows no shorter session.
    "TAILRACE_KAFKA__REBALANCE_TIMEOUT_MS": "10000",
    "TAILRACE_KAFKA__REQUEST_TIMEOUT_MS": "5000",
    "TAILRACE_POSTGRES__CONNECT_TIMEOUT_S": "3",
    "TAILRACE_POSTGRES__STATEMENT_TIMEOUT_MS": "8000",
    "TAILRACE_POSTGRES__LOCK_TIMEOUT_MS": "2000",
    "TAILRACE_ELASTICSEARCH__REQUEST_TIMEOUT_S": "5",
    "TAILRACE_WORKER__DRAIN_TIMEOUT_S": "5",
    "TAILRACE_WORKER__RETRY_WAIT_MAX_S": "1",
    "TAILRACE_WORKER__STALL_TIMEOUT_S": "30",
}


class Proxies:
    """One proxy for each server, by the server's name; closed when the context ends."""

    def __init__(self, settings: Settings, servers: tuple[str, ...]) -> None:
        self.by_name = {name: _proxy(_address(settings, name), is_kafka=name == "kafka") for name in servers}

    async def __aenter__(self) -> Self:
        for proxy in self.by_name.values():
            await proxy.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        for proxy in self.by_name.values():
            await proxy.__aexit__()

    def heal(self) -> None:
        """Let everything pass everywhere."""
        for proxy in self.by_name.values():
            proxy.heal()

    def environment(self, settings: Settings) -> dict[str, str]:
        """Addresses of the proxies in the place of the servers'."""
        names = {
            "kafka": "TAILRACE_KAFKA__BOOTSTRAP_SERVERS",
            "postgres": "TAILRACE_POSTGRES__DSN",
            "redis": "TAILRACE_REDIS__URL",
            "elasticsearch": "TAILRACE_ELASTICSEARCH__URL",
        }
        return {names[name]: _through(_address(settings, name), proxy.port) for name, proxy in self.by_name.items()}


def _address(settings: Settings, name: str) -> str:
    return str(getattr(resolve(settings), name))


def _proxy(address: str, *, is_kafka: bool) -> TcpProxy:
    parts = urlsplit(address if "://" in address else f"kafka://{address}")
    assert parts.hostname is not None
    assert parts.port is not None
    return TcpProxy(parts.hostname, parts.port, is_kafka=is_kafka)


def _through(address: str, port: int) -> str:
    if "://" not in address:
        return f"127.0.0.1:{port}"
    parts = urlsplit(address)
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{port}"))


class Member:
    """One place in the fleet: the process that fills it changes, what it is for does not."""

    def __init__(self, projection: str, log_file: Path) -> None:
        self.projection = projection
        self.log_file = log_file
        self.process: asyncio.subprocess.Process | None = None
        self.wanted = True
        self.not_before_s = 0.0
        self.exits: list[int] = []
        self.is_armed = False
        self.log_begins = 0

    @property
    def is_alive(self) -> bool:
        """Whether its process runs, be it stopped."""
        return self.process is not None and self.process.returncode is None

    @property
    def owner(self) -> str:
        """Name under which it claims partitions."""
        return f"{socket.gethostname()}:{self.process.pid if self.process else 0}"

    def may_end_so(self, code: int) -> bool:
        """Whether it may end with this code when asked to finish.

        One that was to die at some place may find it there; one that has only begun to start has no handler yet.
        """
        has_started = b'"worker_started"' in self.log_file.read_bytes()[self.log_begins :]
        return code == 0 or (self.is_armed and code == KILLED) or (not has_started and code == -signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if it still lives."""
        if self.is_alive and self.process is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


class Fleet:
    """The workers of one schedule."""

    def __init__(self, settings: Settings, proxies: Proxies, folder: Path) -> None:
        self._environment = environment(settings) | _names(settings) | IMPATIENT | proxies.environment(settings)
        self._folder = folder
        self._numbers = itertools.count()
        self._ending = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self.members: list[Member] = []

    async def __aenter__(self) -> Self:
        self._supervisor = asyncio.create_task(self._supervise())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop_supervising()
        for member in self.members:
            member.signal(signal.SIGKILL)
            if member.process is not None:
                await member.process.wait()

    async def add(self, projection: str) -> Member:
        """Start one more worker."""
        member = Member(projection, self._folder / f"{projection}-{next(self._numbers)}.log")
        await self._start(member)
        self.members.append(member)  # not before: the supervisor would start it as well
        return member

    def living(self, projection: str) -> list[Member]:
        """Workers of a projection that run."""
        return [one for one in self.members if one.projection == projection and one.is_alive and one.wanted]

    async def replace(self, member: Member, crash_at: str) -> None:
        """Kill a worker and put one in its place that dies where it is told to."""
        member.not_before_s = float("inf")
        await self._ended(member)
        await self._start(member, crash_at)
        member.not_before_s = 0.0

    async def finish(self) -> list[int]:
        """Ask all workers to finish, each of which must do so well; the exit codes of those that did not."""
        await self._stop_supervising()
        members = [member for member in self.members if member.wanted and member.is_alive]
        await asyncio.gather(*(self.retire(member) for member in members))
        return [member.exits[-1] for member in members if not member.may_end_so(member.exits[-1])]

    async def _stop_supervising(self) -> None:
        """Let the supervisor end between two starts: a start that is cut short leaves a process that nobody knows."""
        self._ending.set()
        if self._supervisor is not None:
            await self._supervisor

    async def retire(self, member: Member) -> int:
        """Ask a worker to finish; its exit code."""
        member.wanted = False
        member.signal(signal.SIGCONT)
        member.signal(signal.SIGTERM)
        if member.process is None:
            return 0
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                code = await member.process.wait()
        except TimeoutError:
            member.signal(signal.SIGKILL)
            code = await member.process.wait()
        member.exits.append(code)
        return code

    async def _ended(self, member: Member) -> None:
        member.signal(signal.SIGKILL)
        if member.process is not None:
            member.exits.append(await member.process.wait())

    async def _start(self, member: Member, crash_at: str = "") -> None:
        more = {ENVIRONMENT: crash_at} if crash_at else {}
        member.is_armed = bool(crash_at)
        member.log_begins = member.log_file.stat().st_size if member.log_file.exists() else 0
        with member.log_file.open("ab") as output:
            member.process = await asyncio.create_subprocess_exec(
                *command("worker", "run", member.projection), env=self._environment | more, stdout=output, stderr=output
            )

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._ending.is_set():
            for member in list(self.members):
                if member.wanted and not member.is_alive and loop.time() >= member.not_before_s:
                    if member.process is not None and member.process.returncode is not None:
                        member.exits.append(member.process.returncode)
                    member.not_before_s = loop.time() + 1.0
                    await self._start(member)
            await asyncio.sleep(SUPERVISE_EVERY_S)


def _names(settings: Settings) -> dict[str, str]:
    return {
        "TAILRACE_CACHE_DIR": str(settings.cache_dir),
        "TAILRACE_REDIS__KEY_PREFIX": settings.redis.key_prefix,
        "TAILRACE_ELASTICSEARCH__INDEX_PREFIX": settings.elasticsearch.index_prefix,
        "TAILRACE_ELASTICSEARCH__SHARDS": str(settings.elasticsearch.shards),
        "TAILRACE_ELASTICSEARCH__REPLICAS": "0",
    }
