"""Keeps a long import from taking the log to itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

STRIDE_EVENTS: Final = 100
"""So many events go on at once; then it is looked at the clock."""


async def paced(
    events: Iterator[dict[str, Any]],
    rate: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[dict[str, Any]]:
    """Give at most `rate` events a second, counted from the first; `clock` counts seconds.

    Where the log was slower than that for a while, the lost time is not made up for.
    """
    due = clock()
    for number, event in enumerate(events):
        yield event
        if number % STRIDE_EVENTS == STRIDE_EVENTS - 1:
            now = clock()
            due = max(due + STRIDE_EVENTS / rate, now)
            await sleep(due - now)
