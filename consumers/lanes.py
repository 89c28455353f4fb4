"""Lanes of a worker: batches that are applied one after the other, beside those of other lanes.

A partition has no lane of its own. It belongs to the lane that has records of it in hand, and to any when none has: its
records stay in order, and no lane stands idle because the busy partitions happen to be another's.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from tailrace.consumers.applying import Applier
from tailrace.consumers.batch import Batch, TopicPartition
from tailrace.consumers.sink import Sink

SHARED_BATCHES: Final = 2
"""Whole batches' worth of records that are gathered at a time for several lanes, which share them."""
CROWD: Final = 2
"""With so many times as many records in hand, waiting and being applied, no more are gathered: they would fill memory
(310 instead of 250 MiB), and no lane lacks work for the want of them."""


class Lane:
    """What applies batches in their order: a sink with a connection of its own, and a bounded queue."""

    def __init__(self, sink: Sink, applier: Applier, batches_max: int) -> None:
        self.sink = sink
        self.applier = applier
        self._queue: asyncio.Queue[list[Batch]] = asyncio.Queue(maxsize=batches_max)
        self._holds: Counter[TopicPartition] = Counter()
        self.records = 0
        """Of its batches, waiting or being applied."""

    @property
    def in_hand(self) -> int:
        """Batches that are decoded and not applied yet."""
        return self._queue.qsize() + int(self.applier.busy)

    @property
    def is_full(self) -> bool:
        """Another batch would have to wait."""
        return self._queue.full()

    @property
    def held(self) -> Collection[TopicPartition]:
        """Partitions of its batches, waiting or being applied."""
        return self._holds.keys()

    async def put(self, batches: list[Batch]) -> None:
        """Line batches up, once there is room for them, and let the sink begin with them."""
        self._holds.update(_partitions(batches))
        self.records += _records(batches)
        await self._queue.put(batches)
        for batch in batches:
            self.sink.prefetch(batch)

    async def take(self) -> list[Batch]:
        """The next batches; `done` when they are applied or dropped."""
        return await self._queue.get()

    def done(self, batches: list[Batch]) -> None:
        """Nothing of these batches is in hand any more."""
        self._holds.subtract(_partitions(batches))
        self._holds = +self._holds
        self.records -= _records(batches)
        self._queue.task_done()

    async def join(self) -> None:
        """Wait until nothing is in hand."""
        await self._queue.join()


def home(
    lanes: Sequence[Lane], partition: TopicPartition, *, alone: bool, busy: Callable[[Lane], int] = lambda _: 0
) -> Lane:
    """The lane that has records of the partition in hand, or else the one with least to do; `busy` breaks ties.

    Topics whose batches stand alone share one lane: in several they would only wait for each other.
    """
    if alone:
        return lanes[0]
    holder = next((lane for lane in lanes if partition in lane.held), None)
    return holder or min(lanes, key=lambda lane: (lane.is_full, lane.in_hand, busy(lane)))


class Gathered:
    """Batches in the making: one for each lane, and one for each lane's topics that stand alone.

    A lane has enough with so many records, `enough`. Nothing more is taken, for no lane, while those that the lanes
    have in hand are `CROWD` times as many as may be gathered.
    """

    def __init__(self, lanes: Sequence[Lane], enough: int) -> None:
        self._all = lanes
        self._enough = enough
        self._batches: dict[tuple[Lane, bool], Batch] = {}
        self._homes: dict[TopicPartition, Lane] = {}
        self.records_max = enough * min(len(lanes), SHARED_BATCHES)
        """To be gathered at a time."""

    def takeable(
        self, partitions: Iterable[TopicPartition], is_alone: Callable[[TopicPartition], bool]
    ) -> Collection[TopicPartition] | None:
        """Those of the partitions whose records some lane has room for; None: all that there are."""
        lanes = self._all
        if sum(lane.records for lane in lanes) >= CROWD * self.records_max:
            return ()
        full = [lane for lane in lanes if lane.is_full or self._size(lane) >= self._enough]
        if not full:
            return None
        if len(full) == len(lanes):
            return ()
        held = {tp for lane in full for tp in lane.held} | {tp for tp, lane in self._homes.items() if lane in full}
        return [tp for tp in partitions if tp not in held and not (lanes[0] in full and is_alone(tp))]

    @property
    def has_enough(self) -> bool:
        """Whether some lane's batch is as large as it may be."""
        return any(self._size(lane) >= self._enough for lane in self.lanes)

    def batch(self, partition: TopicPartition, *, alone: bool) -> Batch:
        """The batch that records of the partition go to; made where there is none yet."""
        if partition not in self._homes:
            self._homes[partition] = home(self._all, partition, alone=alone, busy=self._size)
        return self._batches.setdefault((self._homes[partition], alone), Batch())

    def _size(self, lane: Lane) -> int:
        return sum(len(batch.records) for (of, _), batch in self._batches.items() if of is lane)

    @property
    def lanes(self) -> Iterable[Lane]:
        """Lanes that have a batch."""
        return {lane for lane, _ in self._batches}

    def batches(self) -> dict[Lane, list[Batch]]:
        """Batches by lane, topics that stand alone before the others."""
        found: dict[Lane, list[Batch]] = {}
        for (lane, _), batch in sorted(self._batches.items(), key=lambda item: not item[0][1]):
            found.setdefault(lane, []).append(batch)
        return found


def _records(batches: Iterable[Batch]) -> int:
    return sum(len(batch.records) for batch in batches)


def _partitions(batches: Iterable[Batch]) -> list[TopicPartition]:
    return [partition for batch in batches for partition in batch.spans]
