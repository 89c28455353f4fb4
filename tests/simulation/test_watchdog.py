"""A worker whose client has lost a partition ends, and no worker that merely works ever does. On virtual time."""

import asyncio
import random
from collections.abc import Callable

import pytest
from simulated import Broker, SimulatedLog, SimulatedSink, Store
from virtual_time import run_virtual

from tailrace.consumers.batch import Record, TopicPartition
from tailrace.consumers.control import Switch
from tailrace.consumers.worker import Worker
from tailrace.settings import WorkerSettings

TOPICS = {"activity": "t.activity"}
PARTITIONS = [TopicPartition("t.activity", number) for number in range(3)]
SETTINGS = WorkerSettings(batch_max_events=30, batch_max_age_ms=20)
STEP_S = 0.05


class Bench:
    """A worker over a log that grows by a record every 50 ms."""

    def __init__(self, seed: int, slow_s: float = 0.05) -> None:
        self.rng = random.Random(seed)
        self.broker = Broker(self.rng, {tp: [] for tp in PARTITIONS})
        self.store = Store()
        self.log = SimulatedLog(self.broker, self.rng)
        self.control = Switch()
        sink = SimulatedSink(self.store, TOPICS, self.rng)
        sink.faults = 0
        sink.slow_s = slow_s
        self.worker = Worker(self.log, sink, SETTINGS, "w", control=self.control)

    def append(self) -> None:
        tp = self.rng.choice(PARTITIONS)
        self.broker.records[tp].append(Record(*tp, self.broker.end(tp), 1_795_000_000_000, b"k", None))

    async def works(self, for_s: float) -> asyncio.Task[None]:
        """The worker's task after so long, and one second without new records."""
        working = asyncio.create_task(self.worker.run())
        for _ in range(round(for_s / STEP_S)):
            self.append()
            await asyncio.sleep(STEP_S)
            if working.done():
                break
        await asyncio.sleep(1)
        return working

    def is_applied(self) -> bool:
        return all(self.store.progress.get(tp, (0,))[0] == self.broker.end(tp) for tp in PARTITIONS)


@pytest.mark.parametrize("seed", range(5))
def test_steady_traffic_is_no_stall(seed: int):
    async def play() -> None:
        bench = Bench(seed, slow_s=0)
        working = await bench.works(3 * SETTINGS.stall_timeout_s)
        assert not working.done(), working.exception()
        assert bench.is_applied()
        bench.worker.stopping.set()
        await working

    run_virtual(play())


def test_a_partition_of_which_nothing_comes_any_more_is_one_though_others_flow():
    async def play() -> None:
        bench = Bench(1)
        bench.log.mute = PARTITIONS[1]
        working = await bench.works(2 * SETTINGS.stall_timeout_s)
        with pytest.raises(TimeoutError, match=r"t\.activity/1"):
            await working

    run_virtual(play())


def _at_once(bench: Bench) -> bool:
    return True


def _while_in_hand(bench: Bench) -> bool:
    return bench.worker.in_hand > 0


@pytest.mark.parametrize("when", [_at_once, _while_in_hand])
@pytest.mark.parametrize("seed", range(10))
def test_a_pause_that_is_over_before_the_worker_stood_still_leaves_nothing_unread(
    seed: int, when: Callable[[Bench], bool]
):
    async def play() -> None:
        bench = Bench(seed)
        working = asyncio.create_task(bench.worker.run())
        for number in range(400):
            bench.append()
            await asyncio.sleep(STEP_S)
            if number % 20 == 10 and when(bench):
                bench.control.is_paused = True
                await asyncio.sleep(bench.rng.random() * 0.05)
                bench.control.is_paused = False
        await asyncio.sleep(10)
        assert bench.is_applied()
        bench.worker.stopping.set()
        await working

    run_virtual(play())
