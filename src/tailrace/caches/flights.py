"""One call at a time for each key: who asks meanwhile gets the same answer."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any


class Flights:
    """Calls under way, by key."""

    def __init__(self) -> None:
        self._flying: dict[Hashable, asyncio.Task[Any]] = {}

    async def fly(self, key: Hashable, call: Callable[[], Awaitable[Any]]) -> Any:
        """Answer of the call for this key that is under way, else of this one.

        A caller that is cancelled leaves the call to the others; an error reaches all who wait.
        """
        task = self._flying.get(key)
        if task is None:
            task = asyncio.ensure_future(_await(call))
            self._flying[key] = task
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task)

    def _land(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        self._flying.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, even where every caller was cancelled

    async def ground(self) -> None:
        """Cancel what is under way."""
        flying = list(self._flying.values())
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)


async def _await(call: Callable[[], Awaitable[Any]]) -> Any:
    return await call()
