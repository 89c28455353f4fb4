"""What a lane tells its sink."""

import asyncio
import random

from simulated import SimulatedSink, Store

from tailrace.consumers.applying import Applier
from tailrace.consumers.batch import Batch
from tailrace.consumers.lanes import Lane
from tailrace.settings import WorkerSettings


async def test_a_sink_hears_of_a_batch_as_soon_as_it_waits_behind_the_one_in_hand():
    sink = SimulatedSink(Store(), {}, random.Random(1))
    heard: list[Batch] = []
    sink.prefetch = heard.append  # type: ignore[method-assign]  # to look on
    lane = Lane(sink, Applier(sink, WorkerSettings(), lambda _: None), batches_max=1)
    first, second = Batch(), Batch()

    await lane.put([first])
    assert heard == [first]

    waiting = asyncio.create_task(lane.put([second]))
    await asyncio.sleep(0)
    assert len(heard) == 1  # no room for it yet: nobody holds more than the queue does

    lane.queue.get_nowait()
    await waiting
    assert heard[1] is second
