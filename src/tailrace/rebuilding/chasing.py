"""Keeps a version right behind the live one, in a thread, and brings it to exact positions on demand."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from tailrace.errors import PreconditionError, TailraceError
from tailrace.rebuilding.bounded_log import Until, kafka_ahead
from tailrace.rebuilding.filling import Follower, fast
from tailrace.rebuilding.shadow import shadow_settings
from tailrace.rebuilding.standing import offsets, places, records_between
from tailrace.settings import Settings

log = structlog.get_logger()

FOLLOW_S: Final = 0.1
LOOK_S: Final = 0.01
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 20.0


class Chase:
    """A worker on a version's tables that never goes beyond where the live tables stand."""

    def __init__(self, settings: Settings, version: int) -> None:
        self._live = settings
        self.shadow = shadow_settings(settings, version)
        self._owner = f"rebuild:{os.getpid()}:chase"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._follower: Follower | None = None
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._work, name="chase", daemon=True)
        self._failure: BaseException | None = None
        self._is_held = False
        self._follows = True

    def start(self) -> None:
        """Begin to follow. Raises what keeps it from that."""
        self._thread.start()
        if not self._running.wait(START_TIMEOUT_S):
            raise TailraceError("the version's worker does not start", fix="tailrace doctor")
        self.check()

    def check(self) -> None:
        """Raise what ended the worker, if anything did."""
        if self._failure is not None:
            raise self._failure

    def behind(self) -> int:
        """Records that the live tables have and the version has not."""
        self.check()
        live, own = offsets(places(self._live)), offsets(places(self.shadow))
        if unknown := live.keys() - own.keys():
            raise PreconditionError(
                f"{len(unknown)} partitions are new since the version was begun", fix="run tailrace rebuild again"
            )
        return records_between(own, live)

    @contextmanager
    def held_at(self, until: Until, timeout_s: float) -> Iterator[bool]:
        """Reach these offsets and stay there until the end of the block; whether that was done in time."""
        self._is_held = True
        try:
            yield self.reach(until, timeout_s)
        finally:
            self._is_held = False

    def reach(self, until: Until, timeout_s: float) -> bool:
        """Apply everything up to these offsets; whether that was done in time."""
        deadline = time.monotonic() + timeout_s
        self.extend(until)
        while True:
            self.check()
            own = offsets(places(self.shadow))
            if not records_between(own, until):
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK_S)

    def extend(self, until: Until) -> None:
        """Let it go on to these offsets."""
        if self._loop is not None and self._follower is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._follower.extend, until)

    def rest(self) -> None:
        """Go only where `reach` says from now on: the live names are about to be the version's own."""
        self._follows = False

    def stop(self) -> None:
        """End the worker; what it has in hand is applied."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(STOP_TIMEOUT_S)

    def _work(self) -> None:
        try:
            asyncio.run(self._follow())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread of who asks
            self._failure = error
            log.warning("chase_ended", error=type(error).__name__)
        finally:
            self._running.set()

    async def _follow(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        until = offsets(await asyncio.to_thread(places, self._live))
        settings = fast(self.shadow)
        self._follower = Follower(settings, until, self._owner, kafka_ahead, ends=False)
        working = asyncio.create_task(self._follower.run(self._stopping))
        self._running.set()
        while not working.done() and not self._stopping.is_set():
            if self._follows and not self._is_held:
                found = await asyncio.to_thread(places, self._live)
                # Held meanwhile: what was read may already be the other version's.
                self._follower.extend(offsets(found) if self._follows and not self._is_held else {})
            await asyncio.wait({working}, timeout=FOLLOW_S)
        await self._stopping.wait()
        await working


@contextmanager
def chase(settings: Settings, version: int) -> Iterator[Chase]:
    """A running chase, ended at the end."""
    one = Chase(settings, version)
    one.start()
    try:
        yield one
    finally:
        one.stop()
