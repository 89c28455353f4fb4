"""What operators ask of a worker, and what is run beside it only while it is not paused."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

log = structlog.get_logger()

LOOK_S: Final = 0.2
AGAIN_S: Final = 5.0
"""What failed is begun again after this."""


class Control(Protocol):
    """Asked between two batches. It answers from memory, and may change at any moment."""

    @property
    def is_paused(self) -> bool:
        """Whether nothing more is to be applied; so, too, while that is not known yet."""
        ...


class Switch:
    """A control that is set by hand."""

    def __init__(self, *, is_paused: bool = False) -> None:
        self.is_paused = is_paused


UNCONTROLLED: Final[Control] = Switch()
"""Nobody ever pauses it."""


class Companion:
    """Runs something beside a worker: while the worker is paused it is stopped, afterwards it is made anew.

    `run` is told to stop by its event, and must return soon after that. What it raises is logged; it is begun again.
    """

    def __init__(self, name: str, control: Control, run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        self.name = name
        self._control = control
        self._run = run
        self.is_active = False

    async def run(self, finished: asyncio.Event) -> None:
        """Look after it until `finished` is set and it has stopped."""
        while not finished.is_set():
            if not self._control.is_paused:
                await self._one(finished)
            await _passed(finished, LOOK_S)

    async def _one(self, finished: asyncio.Event) -> None:
        stopping = asyncio.Event()
        self.is_active = True
        task = asyncio.ensure_future(self._run(stopping))
        try:
            while not (finished.is_set() or self._control.is_paused or task.done()):
                await _passed(finished, LOOK_S)
            stopping.set()
            await task
        except Exception as error:
            log.exception("companion_failed", name=self.name, error=type(error).__name__)
            self.is_active = False
            await _passed(finished, AGAIN_S)
        finally:
            task.cancel()
            self.is_active = False


async def _passed(event: asyncio.Event, seconds: float) -> None:
    """Return when the event is set or the time has passed."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
