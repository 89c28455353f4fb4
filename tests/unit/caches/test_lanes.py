"""Pages that are worked on several at once: what is told, in which order, and how many there are at most."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tailrace.consumers.redis.lanes import AHEAD_MAX, LANES, Lanes, lanes


class Connection:
    """A connection that only remembers that it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def terminate(self) -> None:
        self.is_closed = True


class PlayedReader:
    """A reader with such a connection."""

    def __init__(self) -> None:
        self.connection = Connection()


class Work:
    """Pages 0, 1, …, each of which ends when it is let go."""

    def __init__(self, pages: int) -> None:
        self.let_go = [asyncio.Event() for _ in range(pages)]
        self.faults: dict[int, Exception] = {}
        self.asked: list[int] = []
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self.done: list[int] = []
        self.readers: dict[Any, int] = {}

    async def pages(self) -> AsyncIterator[int]:
        for number in range(len(self.let_go)):
            self.asked.append(number)
            yield number

    async def work(self, reader: Any, page: int) -> None:
        assert reader not in self.readers, "two pages on one connection"
        self.begun.append(page)
        self.readers[reader] = page
        try:
            await self.let_go[page].wait()
            if page in self.faults:
                raise self.faults[page]
        except asyncio.CancelledError:
            self.cancelled.append(page)
            raise
        finally:
            del self.readers[reader]

    async def tell(self, page: int) -> None:
        self.done.append(page)

    def start(self, opened: Lanes) -> asyncio.Task[None]:
        return asyncio.create_task(opened.run(self.pages(), self.work, self.tell))


async def settled() -> None:
    """Until nobody has anything left to do without being let go."""
    for _ in range(50):
        await asyncio.sleep(0)


def readers() -> list[Any]:
    return [PlayedReader() for _ in range(LANES)]


async def test_pages_are_told_in_their_order():
    work = Work(3)
    run = work.start(Lanes(readers()))
    await settled()
    work.let_go[2].set()
    work.let_go[1].set()
    await settled()
    before = list(work.done)
    work.let_go[0].set()
    await run

    assert before == []
    assert work.done == [0, 1, 2]


async def test_no_more_are_begun_than_there_are_connections_nor_done_ahead_than_said():
    work = Work(20)
    run = work.start(Lanes(readers()))
    await settled()
    begun = list(work.begun)
    for number in range(1, 20):
        work.let_go[number].set()
    await settled()
    ahead = list(work.begun)
    work.let_go[0].set()
    await run

    assert begun == list(range(LANES))
    assert len(ahead) == LANES + AHEAD_MAX
    assert len(work.asked) == 20
    assert work.done == list(range(20))


async def test_a_fault_ends_the_others_after_what_stands_before_it_is_done():
    work = Work(20)
    work.faults[1] = OSError("gone")
    run = work.start(Lanes(readers()))
    await settled()
    work.let_go[1].set()
    await settled()
    work.let_go[0].set()

    with pytest.raises(OSError, match="gone"):
        await run
    assert work.done == [0]
    assert work.cancelled
    assert not work.readers


async def test_who_may_not_tell_stops_the_work():
    work = Work(20)

    async def lost(_: int) -> None:
        raise LookupError

    run = asyncio.create_task(Lanes(readers()).run(work.pages(), work.work, lost))
    await settled()
    work.let_go[0].set()

    with pytest.raises(LookupError):
        await run
    assert not work.readers


async def test_who_is_stopped_leaves_no_page_behind():
    work = Work(20)
    run = work.start(Lanes(readers()))
    await settled()
    run.cancel()

    with pytest.raises(asyncio.CancelledError):
        await run
    assert work.cancelled == list(range(LANES))
    assert not work.readers


async def test_connections_are_closed_also_where_the_last_cannot_be_opened():
    opened: list[Any] = []

    async def open_reader() -> Any:
        if len(opened) == LANES - 1:
            raise OSError("too many")
        opened.append(PlayedReader())
        return opened[-1]

    with pytest.raises(OSError, match="too many"):
        async with lanes(open_reader):
            pass
    assert [one.connection.is_closed for one in opened] == [True] * (LANES - 1)
