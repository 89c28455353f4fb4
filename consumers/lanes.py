"""Lanes of a worker: partitions whose batches are applied one after the other, beside those of other lanes."""

import asyncio
from collections.abc import Iterable

from tailrace.consumers.applying import Applier
from tailrace.consumers.batch import Batch
from tailrace.consumers.sink import Sink


class Lane:
    """What applies the batches of some partitions: a sink with a connection of its own, and a bounded queue."""

    def __init__(self, sink: Sink, applier: Applier, batches_max: int) -> None:
        self.sink = sink
        self.applier = applier
        self.queue: asyncio.Queue[list[Batch]] = asyncio.Queue(maxsize=batches_max)

    async def put(self, batches: list[Batch]) -> None:
        """Let these batches be applied behind those in hand; waits for room."""
        await self.queue.put(batches)
        for batch in batches:
            self.sink.prefetch(batch)

    @property
    def in_hand(self) -> int:
        """Batches that are decoded and not applied yet."""
        return self.queue.qsize() + int(self.applier.busy)


class Gathered:
    """Batches in the making: one for each lane, and one for each lane's topics that stand alone."""

    def __init__(self) -> None:
        self._batches: dict[tuple[Lane, bool], Batch] = {}

    def batch(self, lane: Lane, *, alone: bool) -> Batch:
        """The lane's batch; made where there is none yet."""
        return self._batches.setdefault((lane, alone), Batch())

    def lanes(self) -> Iterable[Lane]:
        """Lanes that have a batch."""
        return {lane for lane, _ in self._batches}

    def batches(self) -> list[tuple[Lane, Batch]]:
        """The batches with their lanes, topics that stand alone before the others."""
        order = sorted(self._batches.items(), key=lambda item: not item[0][1])
        return [(lane, batch) for (lane, _), batch in order]
