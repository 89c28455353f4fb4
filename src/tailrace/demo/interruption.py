"""The worker's sudden death in the middle of the stream, and its return."""

from collections.abc import Awaitable, Callable
from typing import Final

from tailrace.demo.children import Child
from tailrace.demo.position import Reading
from tailrace.demo.scene import Scene

KILL_AT_SHARE: Final = 0.4
"""Of the records published: late enough to have built something, early enough that the stream goes on without it."""
RESTART_AFTER_S: Final = 1.0

Start = Callable[[], Awaitable[Child]]


class Interruption:
    """Kills the worker once and starts another; does at most one thing each time it is told how the scene looks.

    Numbers are records of this run, times seconds. Those of what did not happen yet are None: the new worker may find
    nothing to do where another one, started elsewhere, shares the work.
    """

    def __init__(self, worker: Child, start: Start) -> None:
        self.worker = worker
        self._start = start
        self._killed_at_s = self._back_at_s = 0.0
        self.killed_at_published: int | None = None
        self.killed_at_applied: int | None = None
        self.back_after_s: float | None = None
        self.waited_when_back: int | None = None
        self.caught_up_after_s: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether the worker was killed and started again."""
        return self.killed_at_published is not None and self.worker.exit_code is None

    async def step(self, scene: Scene, reading: Reading, now: float) -> str | None:
        """Do what is due at `now` (seconds of a clock that only rises); returns what happened, for a person.

        Raises `TailraceError` with the end of the log where a worker ended that nobody killed.
        """
        if self.killed_at_published is None:
            return await self._before(scene, reading, now)
        if scene.worker == "killed":
            if now - self._killed_at_s >= RESTART_AFTER_S:
                self.worker = await self._start()
                scene.worker = "restarted"
            return None
        self.worker.must_run()
        if scene.worker == "restarted":
            return self._returning(scene, reading, now)
        if self.caught_up_after_s is None and scene.is_caught_up and self._back_at_s:
            self.caught_up_after_s = now - self._back_at_s
        return None

    async def _before(self, scene: Scene, reading: Reading, now: float) -> str | None:
        self.worker.must_run()
        if reading.is_held_by(self.worker.pid):
            scene.worker = "running"
        due = scene.published >= KILL_AT_SHARE * scene.total and scene.applied > 0
        if scene.worker != "running" or not (due or scene.is_caught_up):
            return None
        await self.worker.kill()
        self._killed_at_s, self.killed_at_published, self.killed_at_applied = now, scene.published, scene.applied
        scene.worker = "killed"
        return f"worker killed with SIGKILL, {scene.published:,} records published, {scene.applied:,} applied"

    def _returning(self, scene: Scene, reading: Reading, now: float) -> str | None:
        if not reading.is_held_by(self.worker.pid):
            return None
        scene.worker = "running"
        self._back_at_s = now
        self.back_after_s, self.waited_when_back = now - self._killed_at_s, scene.lag
        return f"worker back after {self.back_after_s:.1f} s, {scene.lag:,} records waited for it"
