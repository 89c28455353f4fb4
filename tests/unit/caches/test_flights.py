"""One call at a time for each key."""

import asyncio

import pytest

from tailrace.caches.flights import Flights


class Source:
    """Answers when it is told to, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def ask(self) -> str:
        self.asked += 1
        return await asyncio.shield(self.answer)


async def test_who_asks_meanwhile_gets_the_same_answer():
    flights, source = Flights(), Source()
    asking = [asyncio.ensure_future(flights.fly("k", source.ask)) for _ in range(5)]
    await asyncio.sleep(0)
    source.answer.set_result("a")

    assert await asyncio.gather(*asking) == ["a"] * 5
    assert source.asked == 1


async def test_who_asks_afterwards_asks_anew():
    flights, source = Flights(), Source()
    source.answer.set_result("a")

    assert [await flights.fly("k", source.ask) for _ in range(2)] == ["a", "a"]
    assert source.asked == 2


async def test_other_keys_do_not_wait():
    flights, slow, quick = Flights(), Source(), Source()
    waiting = asyncio.ensure_future(flights.fly("slow", slow.ask))
    quick.answer.set_result("b")

    assert await flights.fly("quick", quick.ask) == "b"
    await flights.ground()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_cancelled_caller_leaves_the_call_to_the_others():
    flights, source = Flights(), Source()
    first, second = (asyncio.ensure_future(flights.fly("k", source.ask)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.answer.set_result("a")

    assert await second == "a"


async def test_an_error_reaches_all_and_is_not_kept():
    flights, source = Flights(), Source()
    asking = [asyncio.ensure_future(flights.fly("k", source.ask)) for _ in range(2)]
    await asyncio.sleep(0)
    source.answer.set_exception(LookupError("gone"))

    assert [type(error) for error in await asyncio.gather(*asking, return_exceptions=True)] == [LookupError] * 2
    source.answer = asyncio.get_running_loop().create_future()
    source.answer.set_result("a")
    assert await flights.fly("k", source.ask) == "a"
