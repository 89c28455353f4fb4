"""Several pages at once, each with a connection to PostgreSQL of its own, told in their order.

While one page is read by PostgreSQL, another is written by Redis and a third is made into calls here. A page counts as
done when every page before it is done, too: so the place that a rebuild goes on from is behind nothing that is missing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from tailrace.consumers.redis.reading import Reader

LANES: Final = 3
"""Pages that are worked on at once, and connections: as many as programs take turns at a page (both servers and we)."""
AHEAD_MAX: Final = 2
"""Pages that may be done before the oldest that is not."""

P = TypeVar("P")
OpenReader = Callable[[], Awaitable[Reader]]
"""Opens a connection to PostgreSQL for the caller to close."""


class Lanes:
    """Works on pages. What one page raises ends the others, and is raised after the pages before it are done."""

    def __init__(self, readers: list[Reader]) -> None:
        self._free: asyncio.Queue[Reader] = asyncio.Queue(maxsize=len(readers))
        for reader in readers:
            self._free.put_nowait(reader)
        self._started_max = len(readers) + AHEAD_MAX

    async def run(
        self,
        pages: AsyncIterator[P],
        work: Callable[[Reader, P], Awaitable[None]],
        done: Callable[[P], Awaitable[None]],
    ) -> None:
        """Work on each page; `done` is told of each, one after the other, in the order of the pages."""
        started: deque[tuple[P, asyncio.Task[None]]] = deque()

        async def finish_first() -> None:
            page, task = started[0]
            # Who waits for the task itself would end it alone when stopped, and let the next page begin in its place.
            await asyncio.wait({task})
            task.result()
            started.popleft()
            await done(page)

        try:
            async for page in pages:
                while started and (len(started) == self._started_max or started[0][1].done()):
                    await finish_first()
                started.append((page, asyncio.create_task(self._one(work, page))))
            while started:
                await finish_first()
        finally:
            tasks = [task for _, task in started]
            for task in tasks:
                task.cancel()
            # Their connections are in the middle of something until they have ended.
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, work: Callable[[Reader, P], Awaitable[None]], page: P) -> None:
        reader = await self._free.get()
        try:
            await work(reader, page)
        finally:
            self._free.put_nowait(reader)


@asynccontextmanager
async def lanes(open_reader: OpenReader, count: int = LANES) -> AsyncIterator[Lanes]:
    """Open connections, and close them at the end."""
    readers: list[Reader] = []
    try:
        while len(readers) < count:
            readers.append(await open_reader())
        yield Lanes(readers)
    finally:
        for reader in readers:
            # Not closed in peace: after a fault one may be in the middle of a statement.
            reader.connection.terminate()
