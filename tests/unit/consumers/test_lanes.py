"""Which lane a partition's records go to, and which partitions can be taken."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from tailrace.consumers.batch import Batch, Span, TopicPartition
from tailrace.consumers.lanes import CROWD, SHARED_BATCHES, Gathered, Lane, home

P = [TopicPartition("conversations", number) for number in range(6)]
D = TopicPartition("directory", 0)


def lanes(count: int) -> list[Lane]:
    return [sunk(lambda _: None) for _ in range(count)]


def sunk(prefetch: Callable[[Batch], None]) -> Lane:
    """A lane whose sink does this with the batches that it hears of."""
    return Lane(cast("Any", SimpleNamespace(prefetch=prefetch)), cast("Any", SimpleNamespace(busy=False)), 1)


def batch(*partitions: TopicPartition) -> Batch:
    return Batch(spans={tp: Span(1, 0, 1, None, None, None) for tp in partitions})


def is_alone(tp: TopicPartition) -> bool:
    return tp == D


async def begin(lane: Lane, *partitions: TopicPartition) -> list[Batch]:
    """Let the lane be at work on a batch."""
    await lane.put([batch(*partitions)])
    taken = await lane.take()
    lane.applier.busy = True
    return taken


def finish(lane: Lane, taken: list[Batch]) -> None:
    lane.applier.busy = False
    lane.done(taken)


def test_a_partition_stays_where_its_records_are_in_hand() -> None:
    async def run() -> None:
        one, two = lanes(2)
        first = await begin(one, P[0])
        assert home([one, two], P[0], alone=False) is one
        await one.put([batch(P[0])])
        finish(one, first)  # the second batch still waits
        assert home([one, two], P[0], alone=False) is one
        second = await one.take()
        finish(one, second)
        other = await begin(one, P[1])
        assert home([one, two], P[0], alone=False) is two  # nobody has it in hand: where least is to do
        finish(one, other)

    asyncio.run(run())


def test_what_nobody_has_in_hand_goes_where_least_is_to_do() -> None:
    async def run() -> None:
        one, two, three = lanes(3)
        await begin(one, P[0])
        await begin(two, P[1])
        gathered = Gathered([one, two, three], 10)
        mine = gathered.batch(P[2], alone=False)
        mine.spans[P[2]] = batch(P[2]).spans[P[2]]
        assert gathered.batch(P[2], alone=False) is mine
        assert set(gathered.lanes) == {three}
        assert gathered.batch(P[0], alone=False) is not mine
        assert gathered.batches() == {three: [mine], one: [Batch()]}

    asyncio.run(run())


def test_lanes_that_have_equally_much_to_do_share_what_is_gathered() -> None:
    one, two = lanes(2)
    gathered = Gathered([one, two], 10)
    first = gathered.batch(P[0], alone=False)
    first.records["conversations", 0, 0] = cast("Any", None)
    assert gathered.batch(P[1], alone=False) is not first
    assert set(gathered.lanes) == {one, two}


def test_topics_that_stand_alone_share_the_first_lane_and_come_first() -> None:
    async def run() -> None:
        one, two = lanes(2)
        await begin(one, P[0])
        gathered = Gathered([one, two], 10)
        common = gathered.batch(P[0], alone=False)
        alone = gathered.batch(D, alone=True)
        assert gathered.batches() == {one: [alone, common]}
        assert home([one, two], D, alone=True) is one

    asyncio.run(run())


def test_only_what_a_lane_has_room_for_is_takeable() -> None:
    async def run() -> None:
        one, two = lanes(2)
        everything = [*P[:3], D]
        assert Gathered([one, two], 10).takeable(everything, is_alone) is None
        await begin(one, P[0])
        await one.put([batch(P[1])])
        assert Gathered([one, two], 10).takeable(everything, is_alone) == [P[2]]  # D's lane is the full one
        await begin(two, P[2])
        assert Gathered([one, two], 10).takeable(everything, is_alone) == [P[2]]
        await two.put([batch(P[2])])
        assert Gathered([one, two], 10).takeable(everything, is_alone) == ()

    asyncio.run(run())


def holding(count: int, partition: TopicPartition) -> Batch:
    """A batch with so many records."""
    found = batch(partition)
    found.records = {(*partition, offset): cast("Any", None) for offset in range(count)}
    return found


def test_a_lane_whose_batch_is_large_enough_gets_no_more_and_the_others_do() -> None:
    one, two = lanes(2)
    gathered = Gathered([one, two], 10)
    assert gathered.records_max == 10 * SHARED_BATCHES
    assert not gathered.has_enough
    gathered.batch(P[0], alone=False).records |= holding(10, P[0]).records
    assert gathered.has_enough
    assert gathered.takeable([*P[:3], D], is_alone) == [P[1], P[2]]  # D's lane is the first
    gathered.batch(P[1], alone=False).records |= holding(10, P[1]).records
    assert gathered.takeable([*P[:3], D], is_alone) == ()


def test_one_lane_gathers_one_batch() -> None:
    (one,) = lanes(1)
    assert Gathered([one], 10).records_max == 10


def test_nothing_is_takeable_while_the_lanes_have_much_in_hand() -> None:
    async def run() -> None:
        one, two, three = lanes(3)
        everything = P[:3]
        gathered = Gathered([one, two, three], 10)
        batches = [holding(CROWD * gathered.records_max - 1, P[0])]
        await one.put(batches)
        taken = await one.take()
        one.applier.busy = True
        assert gathered.takeable(everything, is_alone) is None
        await two.put([holding(1, P[1])])
        assert gathered.takeable(everything, is_alone) == ()
        finish(one, taken)
        assert one.records == 0
        assert gathered.takeable(everything, is_alone) == [P[0], P[2]]  # two's queue is full

    asyncio.run(run())


def test_a_sink_hears_of_a_batch_as_soon_as_it_waits_behind_the_one_in_hand() -> None:
    async def run() -> None:
        heard: list[Batch] = []
        lane = sunk(heard.append)
        first, second = batch(P[0]), batch(P[1])
        await lane.put([first])
        assert heard == [first]

        waiting = asyncio.create_task(lane.put([second]))
        await asyncio.sleep(0)
        assert len(heard) == 1  # no room for it yet: nobody holds more than the queue does

        await lane.take()
        await waiting
        assert heard[1] is second

    asyncio.run(run())
