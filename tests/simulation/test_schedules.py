"""The consumer runtime under random schedules on virtual time: every record exactly once, in order, whatever happens.

Workers are started, killed, stopped in mid-batch and woken late; partitions move; the store and the broker go away and
come back; answers are lost. A seed gives a schedule; a failing one is cut down to the shortest that still fails.
SIMULATION_SCHEDULES sets how many are run, SIMULATION_SEED the first.
"""

import asyncio
import os
import random
import uuid
from dataclasses import dataclass, field

import pytest
from simulated import Broker, SimulatedLog, SimulatedSink, Store, sorted_applied
from virtual_time import run_virtual

from tailrace.consumers.batch import Record, TopicPartition
from tailrace.consumers.control import Switch
from tailrace.consumers.worker import Worker
from tailrace.settings import WorkerSettings

SCHEDULES = int(os.environ.get("SIMULATION_SCHEDULES", "2000"))
FIRST_SEED = int(os.environ.get("SIMULATION_SEED", "0"))
CHUNKS = 8
TOPICS = {"directory": "t.directory", "activity": "t.activity"}
ACTIONS = (
    "start", "start", "kill", "stop", "freeze", "thaw", "rebalance", "store_away", "store_back", "broker_away",
    "broker_back", "run", "run", "pause", "go_on", "damage", "mend",
)  # fmt: skip
SETTINGS = WorkerSettings(
    batch_max_events=30, batch_max_age_ms=20, retry_max_attempts=6, retry_wait_max_s=1, drain_timeout_s=5
)


def _records() -> dict[TopicPartition, list[Record]]:
    """Two topics of two partitions: good events with gaps between offsets, a few refused ones, null values."""
    rng = random.Random(7)
    log: dict[TopicPartition, list[Record]] = {}
    for short, full in TOPICS.items():
        for partition in range(2):
            offset, records = 0, []
            for number in range(45):
                offset += rng.choice([1, 1, 1, 3])
                user = str(uuid.UUID(int=rng.getrandbits(128), version=4))
                value: bytes | None = _event(short, user, number, rng)
                if number % 15 == 4:
                    value = b"\xff not json"
                elif number % 15 == 9:
                    value = None
                records.append(Record(full, partition, offset, 1_795_000_000_000 + number, user.encode(), value))
            log[TopicPartition(full, partition)] = records
    return log


def _event(short: str, user: str, number: int, rng: random.Random) -> bytes:
    name = "user.logged_in" if short == "directory" else "activity.recorded"
    data = f'"user_id":"{user}"'
    if short == "activity":
        data += f',"workspace_id":"{user}","event_type":"x","metadata":{{}}'
    return (
        f'{{"specversion":"1.0","id":"{uuid.UUID(int=rng.getrandbits(128), version=4)}","type":"collab.{name}",'
        f'"source":"/s","subject":"{user}","time":"2026-11-01T00:00:00Z","sequence":"{number}","data":{{{data}}}}}'
    ).encode()


RECORDS = _records()


LANES_MAX = 4
"""Schedules run with one to so many lanes, by their seeds."""


@dataclass
class Run:
    """One schedule being played."""

    seed: int
    compares: bool = True
    workers: list[tuple[Worker, SimulatedLog, SimulatedSink, asyncio.Task[None]]] = field(default_factory=list)
    control: Switch = field(default_factory=Switch)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.broker = Broker(self.rng, {tp: list(records) for tp, records in RECORDS.items()})
        self.store = Store(compares=self.compares)
        poisoned = self.rng.sample(list(RECORDS), 2)
        self.poison = {(tp, self.good(tp)[self.rng.randrange(20)]) for tp in poisoned}
        self.store.poison = {
            record.value.decode().split('"id":"')[1][:36]
            for tp, offset in self.poison
            for record in RECORDS[tp]
            if record.offset == offset and record.value is not None
        }

    @staticmethod
    def good(tp: TopicPartition) -> list[int]:
        return [r.offset for r in RECORDS[tp] if r.value is not None and r.value.startswith(b"{")]

    async def play(self, actions: list[str]) -> None:
        random.seed(self.seed)  # the waits between retries draw from the module's own generator
        await self.act("start")
        for action in actions:
            await self.act(action)
            await asyncio.sleep(self.rng.random() * 2)
        await self.heal()

    async def act(self, action: str) -> None:  # noqa: C901 - one case for each
        alive = [one for one in self.workers if not one[1].stopped]
        one = self.rng.choice(alive) if alive else None
        match action:
            case "start" if len(alive) < 3:
                self._start()
            case "kill" if one:
                one[1].vanish()
                one[3].cancel()
                asyncio.get_running_loop().call_later(3, self._rebalance_later)
            case "stop" if one:
                one[0].stopping.set()
            case "freeze" if one:
                one[1].awake.clear()
                one[2].awake.clear()
            case "thaw":
                self._thaw()
            case "rebalance":
                self._rebalance_later()
            case "store_away" | "store_back":
                self.store.away = action == "store_away"
            case "broker_away" | "broker_back":
                self.broker.away = action == "broker_away"
            case "pause" | "go_on":
                self.control.is_paused = action == "pause"
            case "damage":
                tp = self.rng.choice(list(RECORDS))
                self.broker.damaged[tp] = self.rng.choice(RECORDS[tp]).offset
            case "mend":
                self.mend()
            case "run":
                await asyncio.sleep(self.rng.random() * 10)

    def _start(self) -> None:
        log = SimulatedLog(self.broker, self.rng)
        sink = SimulatedSink(self.store, TOPICS, self.rng)
        lanes: list[SimulatedSink] = []
        for _ in range(self.seed % LANES_MAX):
            lanes.append(SimulatedSink(self.store, TOPICS, self.rng))
            lanes[-1].awake = sink.awake
        worker = Worker(log, sink, SETTINGS, f"w{len(self.workers)}", lanes, control=self.control)
        self.workers.append((worker, log, sink, asyncio.create_task(worker.run())))

    def _rebalance_later(self) -> None:
        self._task = asyncio.create_task(self.broker.rebalance())

    def _thaw(self) -> None:
        for _, log, sink, _ in self.workers:
            log.awake.set()
            sink.awake.set()

    def mend(self) -> None:
        """As an operator does: mend the log, then lift what halted at it."""
        self.broker.damaged.clear()
        self.store.halted = {tp: code for tp, code in self.store.halted.items() if code != "H_DAMAGED"}

    async def heal(self) -> None:
        self.mend()
        self.store.away = self.broker.away = self.control.is_paused = False
        self._thaw()
        await asyncio.sleep(70)
        self._start()
        for _ in range(300):
            if all(self.store.progress.get(tp, (0,))[0] == self.broker.end(tp) for tp in RECORDS):
                break
            await asyncio.sleep(1)
        for worker, _, _, _ in self.workers:
            worker.stopping.set()
        await asyncio.wait([task for _, _, _, task in self.workers], timeout=100)

    def check(self) -> None:
        for tp, records in RECORDS.items():
            good = [offset for offset in self.good(tp) if (tp, offset) not in self.poison]
            refused = [r.offset for r in records if r.value is not None and not r.value.startswith(b"{")]
            assert sorted_applied(self.store).get(tp, []) == good
            dead = sorted((offset, code) for of, offset, code in self.store.dead if of == tp)
            expected = [(offset, "E_DECODE") for offset in refused]
            expected += [(offset, "E_STORE") for of, offset in self.poison if of == tp]
            assert dead == sorted(expected)
        assert not self.store.halted
        for _, _, _, task in self.workers:
            assert task.done()
            assert task.cancelled() or task.exception() is None


def actions_of(seed: int) -> list[str]:
    rng = random.Random(f"actions {seed}")
    return [rng.choice(ACTIONS) for _ in range(rng.randint(4, 16))]


def failure_of(seed: int, actions: list[str], *, compares: bool = True) -> str | None:
    """Play a schedule; what went wrong, or None."""

    async def play() -> None:
        run = Run(seed, compares=compares)
        await run.play(actions)
        run.check()

    try:
        run_virtual(play())
    except AssertionError as error:
        return str(error).splitlines()[0] if str(error) else "assertion"
    return None


def shortest(seed: int, actions: list[str]) -> list[str]:
    """The shortest prefix that still fails, less every action that it fails without."""
    for length in range(len(actions) + 1):
        if failure_of(seed, actions[:length]) is not None:
            actions = actions[:length]
            break
    for index in reversed(range(len(actions))):
        fewer = actions[:index] + actions[index + 1 :]
        if failure_of(seed, fewer) is not None:
            actions = fewer
    return actions


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_record_is_applied_exactly_once_and_in_order(chunk: int):
    for seed in range(FIRST_SEED + chunk, FIRST_SEED + SCHEDULES, CHUNKS):
        actions = actions_of(seed)
        failure = failure_of(seed, actions)
        if failure is not None:
            pytest.fail(f"seed {seed}: {failure}\nschedule {actions}\nshortest {shortest(seed, actions)}")


def test_without_compare_and_set_the_schedules_find_doubled_records():
    failures = sum(failure_of(seed, actions_of(seed), compares=False) is not None for seed in range(100))

    assert failures > 0


@pytest.mark.parametrize("seed", range(20))
def test_paused_workers_finish_what_they_have_and_apply_nothing_more(seed: int):
    """Then positions may be moved beneath them: they go on from there."""

    async def play() -> None:
        run = Run(seed)
        run.store.poison, run.poison = set(), set()
        await run.act("start")
        await run.act("start")
        while not run.store.applied:  # noqa: ASYNC110 - on virtual time, and the store has no event
            await asyncio.sleep(0.005)
        run.control.is_paused = True
        for _ in range(100):
            if all(worker.is_standing for worker, *_ in run.workers):
                break
            await asyncio.sleep(0.1)
        assert [(worker.is_standing, worker.in_hand, worker.partitions) for worker, *_ in run.workers] == [
            (True, 0, 0)
        ] * len(run.workers)
        applied = len(run.store.applied)
        # Four lanes of two workers may have all that there is in hand.
        assert applied < sum(len(run.good(tp)) for tp in RECORDS) or seed % LANES_MAX == LANES_MAX - 1
        await run.broker.rebalance()
        await asyncio.sleep(SETTINGS.stall_timeout_s + 10)  # standing still on purpose is no stall
        assert len(run.store.applied) == applied
        for tp, (_, epoch, _) in run.store.progress.items():
            run.store.progress[tp] = (0, epoch + 1, None)
        run.store.applied.clear()
        run.store.dead.clear()
        await run.heal()
        run.check()

    run_virtual(play())


def test_the_same_seed_is_the_same_run():
    def trace() -> list[tuple[TopicPartition, int]]:
        run = Run(11)

        async def play() -> None:
            await run.play(actions_of(11))

        run_virtual(play())
        return run.store.applied

    assert trace() == trace()
