"""What runs beside a worker stands still with it."""

import asyncio

import pytest
import structlog
from virtual_time import run_virtual

from tailrace.consumers.control import Companion, Switch


class Job:
    """Counts how often it was begun and ended; takes a while to stop."""

    def __init__(self, *, fails: bool = False) -> None:
        self.begun = self.ended = 0
        self._fails = fails

    async def run(self, stopping: asyncio.Event) -> None:
        self.begun += 1
        if self._fails:
            raise ConnectionError("gone")
        await stopping.wait()
        await asyncio.sleep(3)
        self.ended += 1


def test_a_companion_is_stopped_at_its_own_safe_point_and_made_anew():
    async def play() -> None:
        job, switch, finished = Job(), Switch(is_paused=True), asyncio.Event()
        companion = Companion("job", switch, job.run)
        running = asyncio.create_task(companion.run(finished))
        await asyncio.sleep(5)
        assert (job.begun, companion.is_active) == (0, False)

        switch.is_paused = False
        await asyncio.sleep(1)
        assert (job.begun, companion.is_active) == (1, True)

        switch.is_paused = True
        await asyncio.sleep(1)
        assert (job.ended, companion.is_active) == (0, True), "it says when it has stopped, not when it was told to"
        await asyncio.sleep(3)
        assert (job.ended, companion.is_active) == (1, False)

        switch.is_paused = False
        await asyncio.sleep(1)
        finished.set()
        await running
        assert (job.begun, job.ended) == (2, 2)

    run_virtual(play())


def test_a_companion_that_fails_takes_nobody_with_it():
    async def play() -> None:
        job, finished = Job(fails=True), asyncio.Event()
        companion = Companion("job", Switch(), job.run)
        running = asyncio.create_task(companion.run(finished))
        with structlog.testing.capture_logs() as said:
            await asyncio.sleep(12)
        assert {(line["event"], line["error"]) for line in said} == {("companion_failed", "ConnectionError")}
        assert job.begun == 3, "it is tried again, after a while"
        finished.set()
        await running

    run_virtual(play())


@pytest.mark.parametrize("is_paused", [True, False])
def test_a_switch_says_what_it_was_set_to(is_paused: bool):  # noqa: FBT001 - the fact
    assert Switch(is_paused=is_paused).is_paused is is_paused
