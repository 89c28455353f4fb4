"""Stream workers as processes of their own, to be killed, and topics to read and write."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from tailrace.addresses import resolve
from tailrace.operations.topics import apply_topics, topic_partitions
from tailrace.settings import Settings

SESSION_TIMEOUT_MS = 6_000
"""The shortest that the broker allows: so long the group waits for a member that was killed."""
DEADLINE_S = 90
STOP_DEADLINE_S = 30
POLL_S = 0.1


def _environment(settings: Settings) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TAILRACE_")} | {
        "TAILRACE_KAFKA__BOOTSTRAP_SERVERS": resolve(settings).kafka,
        "TAILRACE_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "TAILRACE_KAFKA__GROUP_PREFIX": settings.kafka.group_prefix,
        "TAILRACE_KAFKA__SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS),
    }


class Workers:
    """Processes of `tailrace streams run`."""

    def __init__(self, settings: Settings, names: Sequence[str], folder: Path, sabotage: str = "") -> None:
        """`sabotage` is Python that each of them runs first."""
        self._names = names
        self._folder = folder
        self._entry = f"{sabotage}\nfrom tailrace.cli.main import run\nrun()"
        self._started = 0
        self.environment = _environment(settings)
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self._started += 1
        with self._log_of(self._started - 1).open("wb") as log:
            command = [sys.executable, "-c", self._entry, "streams", "run", *self._names]
            self.running.append(
                subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, cwd=self._folder)
            )

    def stop(self, number: signal.Signals, index: int = 0) -> int:
        """Send a signal to one worker and wait for its end; returns its exit code."""
        process = self.running.pop(index)
        process.send_signal(number)
        return process.wait(STOP_DEADLINE_S)

    def log(self, index: int) -> str:
        """What the worker has written that was started after so many others."""
        return self._log_of(index).read_text()

    def _log_of(self, index: int) -> Path:
        return self._folder / f"{'-'.join(self._names)}-{index}.log"

    async def torment(self, dice: Random, publishing: asyncio.Task[None]) -> list[str]:
        """Kill, stop, add and remove workers at random moments while events come, each of these at least once.

        At the end one runs. Returns what was done.
        """
        story = []
        due = ["SIGKILL", "join", "SIGTERM"]
        self.start()
        while due or not publishing.done():
            await asyncio.wait({publishing}, timeout=dice.uniform(2, 5))
            act = due.pop(dice.randrange(len(due))) if due else dice.choice(["SIGKILL", "SIGTERM", "join", "leave"])
            story.append(act)
            if act == "join" or len(self.running) < 2:
                self.start()
            if act != "join":
                kill = signal.SIGKILL if act == "SIGKILL" else signal.SIGTERM
                await asyncio.to_thread(self.stop, kill, dice.randrange(len(self.running) - 1))
        while len(self.running) > 1:
            await asyncio.to_thread(self.stop, signal.SIGTERM)
        return story


@pytest.fixture
def make_workers(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Workers]]:
    made: list[Workers] = []

    def make(*names: str, settings: Settings | None = None, sabotage: str = "", **bounds: object) -> Workers:
        """Workers of these streams; `bounds` are those of `streams`, and those of `kafka` as `kafka__…`."""
        workers = Workers(settings or request.getfixturevalue("settings"), names, tmp_path, sabotage)
        for name, value in bounds.items():
            setting = name if name.startswith("kafka__") else f"streams__{name}"
            workers.environment[f"TAILRACE_{setting.upper()}"] = str(value)
        made.append(workers)
        return workers

    yield make
    for workers in made:
        while workers.running:
            workers.stop(signal.SIGKILL)


class Topics:
    """The topics of one test, by their names without prefix."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.bootstrap = resolve(settings).kafka
        self.producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all", enable_idempotence=True)

    async def put(self, topic: str, value: bytes | None, key: bytes | None = None, partition: int | None = None):
        return await self.producer.send(self.settings.topic(topic), value, key=key, partition=partition)

    async def read(self, topic: str) -> list[ConsumerRecord]:
        """All that is in the topic now, each partition in order."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest",
            isolation_level="read_committed",
        )  # fmt: skip
        await consumer.start()
        try:
            partitions = await topic_partitions(self.settings, self.bootstrap, [topic])
            ends = await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            records: list[ConsumerRecord] = []
            while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
                for some in (await consumer.getmany(timeout_ms=200)).values():
                    records += some
            return sorted(records, key=lambda record: (record.partition, record.offset))
        finally:
            await consumer.stop()

    async def lag(self, stream: str, topic: str) -> int:
        """Records of the topic that are behind the stream's commits."""
        partitions = await topic_partitions(self.settings, self.bootstrap, [topic])
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=self.settings.group(f"streams.{stream}"),
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            ends = await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            return sum([ends[tp] - (await consumer.committed(tp) or 0) for tp in partitions])
        finally:
            await consumer.stop()


@asynccontextmanager
async def topics_of(settings: Settings) -> AsyncIterator[Topics]:
    topics = Topics(settings)
    await apply_topics(settings, topics.bootstrap)
    await topics.producer.start()
    yield topics
    await topics.producer.stop()


@pytest.fixture
async def topics(settings: Settings) -> AsyncIterator[Topics]:
    async with topics_of(settings) as topics:
        yield topics


@pytest.fixture(name="topics_of")
def _topics_of() -> Callable[[Settings], AbstractAsyncContextManager[Topics]]:
    return topics_of


async def eventually(holds: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    """Ask until it holds; fails after the deadline. `holds` may be a coroutine function."""
    async with asyncio.timeout(deadline_s):
        while True:
            answer = holds()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return
            await asyncio.sleep(POLL_S)


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., object]:
    return eventually


def source_of(record: ConsumerRecord) -> tuple[int, int]:
    """Partition and offset that an output says it comes from."""
    headers: Mapping[str, bytes] = dict(record.headers)
    return int(headers["tr-source-partition"]), int(headers["tr-source-offset"])


def first_sights(records: Iterable[ConsumerRecord], name: Callable[[ConsumerRecord], object]) -> list[ConsumerRecord]:
    """The records without those whose name was seen before: what a reader makes of a topic with repeats."""
    seen: set[object] = set()
    return [record for record in records if not (name(record) in seen or seen.add(name(record)))]


@pytest.fixture(name="source_of")
def _source_of() -> Callable[[ConsumerRecord], tuple[int, int]]:
    return source_of


@pytest.fixture(name="first_sights")
def _first_sights() -> Callable[..., list[ConsumerRecord]]:
    return first_sights


@pytest.fixture
def make_projection(tmp_path: Path) -> Iterator[Callable[[Settings], None]]:
    """Runs a PostgreSQL worker until the test ends."""
    running: list[subprocess.Popen[bytes]] = []

    def make(settings: Settings) -> None:
        with (tmp_path / "projection.txt").open("wb") as log:
            environment = _environment(settings) | {"DATABASE_URL": resolve(settings).postgres}
            command = [sys.executable, "-c", "from tailrace.cli.main import run; run()", "worker", "run", "postgres"]
            running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=tmp_path))

    yield make
    for process in running:
        process.kill()
        process.wait(STOP_DEADLINE_S)
