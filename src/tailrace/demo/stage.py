"""What the demo starts, and that it ends: servers, workers, and nothing left behind on Ctrl-C."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from tailrace import stack
from tailrace.demo.children import Child, in_thread
from tailrace.demo.display import Display
from tailrace.operations.positions import announce
from tailrace.operations.streams import SOURCES
from tailrace.projections.registry import POSTGRES, PROJECTIONS, SEARCH
from tailrace.settings import Settings
from tailrace.stack.artifacts import Artifacts
from tailrace.stack.health import ServerStatus, data_folder

FIRST: Final = ("kafka", "postgres", "redis")
SLOW: Final = "elasticsearch"
"""Takes longer than the others together; the stream does not wait for it."""
MAIN: Final = POSTGRES.name
"""The projection whose worker is killed. Those of the others run undisturbed."""


STREAMS: Final = tuple(SOURCES)


class Stage:
    """Servers and workers of one demo. Use it as `async with`: the workers end with it.

    The servers stay, except where the demo is cancelled: then those that it started are stopped again. Their data
    stays in any case.
    """

    def __init__(self, settings: Settings, display: Display) -> None:
        self.settings = settings
        self.display = display
        self.seconds: dict[str, float] = {}
        self._started: list[str] = []
        self._workers: list[Child] = []
        self._undisturbed: list[Child] = []
        self._slow: Child | None = None
        self._slow_since = 0.0
        self._others: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.display.close()
        if self._others is not None:
            self._others.cancel()
        await self.stop_workers()
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            if self._slow is not None:
                await self._slow.abandon()
            if self._started:
                self.display.say(f"stopping {', '.join(self._started)}; their data stays")
                await in_thread(lambda: stack.down(self.settings, only=self._started))

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time a step and tell that it is done; what is put into the list is said with it."""
        began = time.monotonic()
        detail: list[str] = []
        yield detail
        self.seconds[name] = time.monotonic() - began
        self.display.done(name, " ".join(detail), self.seconds[name])

    async def bring_up(self) -> None:
        """Start the servers that the stream needs and wait for them; the slow one goes on starting behind the scene.

        Raises what `stack.up` raises.
        """
        before = await in_thread(lambda: stack.status(self.settings))
        self._started = [server.name for server in before.servers if server.health in {"stopped", "crashed"}]
        if self._started and (missing := Artifacts(self.settings.cache_dir).missing()):
            self.display.say(f"fetching {' and '.join(missing)}, once for this machine")
        began = time.monotonic()
        await in_thread(lambda: stack.up(self.settings, only=FIRST, report=self._report))
        self.seconds["servers"] = time.monotonic() - began
        # A process, because a thread that waits for a server could not be stopped.
        self._slow_since = time.monotonic()
        self._slow = await self._child("up-elasticsearch", "up", "--only", SLOW, ends_with_us=False)

    async def start_worker(self) -> Child:
        """Start a worker of the main projection."""
        worker = await self._child(f"demo-worker-{MAIN}", "worker", "run", MAIN, ends_with_us=True)
        self._workers.append(worker)
        return worker

    async def start_others(self) -> None:
        """Start a worker for each of the other projections; the one that needs the slow server gets its own later."""
        for name in PROJECTIONS:
            if name not in {MAIN, SEARCH.name}:
                await self._start_undisturbed(name)
        self._others = asyncio.create_task(self._start_search())

    def others_must_run(self) -> None:
        """Raise `TailraceError` where a worker of another projection, or the streams, has ended."""
        for worker in self._undisturbed:
            worker.must_run()

    async def start_streams(self) -> None:
        """Start the streams: the trends, which have most to do, in a process of their own."""
        for names in (STREAMS[:-1], STREAMS[-1:]):
            log = f"demo-streams-{'-'.join(names)}"
            self._undisturbed.append(await self._child(log, "streams", "run", *names, ends_with_us=True))

    async def _start_search(self) -> None:
        if self._slow is None:
            return
        if await self._slow.finished() != 0:
            self.display.say(f"{SLOW} did not start; read {self._slow.log}, then: tailrace up", mark="!")
            return
        self.seconds[SLOW] = time.monotonic() - self._slow_since
        self.display.done(SLOW, (await self.versions())[SLOW] or "", self.seconds[SLOW])
        await self._start_undisturbed(SEARCH.name)

    async def _start_undisturbed(self, name: str) -> None:
        # Before its worker has done the same: only projections that have a worker are waited for.
        await announce(self.settings, [PROJECTIONS[name]])
        worker = await self._child(f"demo-worker-{name}", "worker", "run", name, ends_with_us=True)
        self._undisturbed.append(worker)

    async def wait_for_others(self) -> None:
        """Wait until the slow server has answered, or failed to, and the worker that needs it is started."""
        if self._others is not None:
            await self._others

    async def versions(self) -> dict[str, str | None]:
        """Versions of the servers by name, empty where one tells none; None for one that does not answer."""
        found = await in_thread(lambda: stack.status(self.settings))
        return {server.name: (server.version or "") if server.answers else None for server in found.servers}

    async def stop_workers(self) -> None:
        """End the workers as a deployment would; what they have decoded is applied before."""
        await asyncio.gather(*(worker.stop() for worker in (*self._workers, *self._undisturbed)))
        self._workers.clear()
        self._undisturbed.clear()

    def _report(self, server: ServerStatus) -> None:
        how = "" if server.started else "runs already" if server.health == "running" else "of the settings"
        self.display.done(server.name, f"{server.version or '':<9} {how}", server.seconds or 0)

    async def _child(self, name: str, *arguments: str, ends_with_us: bool) -> Child:
        log = data_folder(self.settings) / "logs" / f"{name}.log"
        return await Child.start(log, *arguments, ends_with_us=ends_with_us)
