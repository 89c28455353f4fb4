"""Raw records into Kafka, poison included, which the SDK would rightly refuse."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from tailrace.errors import PreconditionError, UnreachableError
from tailrace.settings import Settings
from tailrace.workload.records import Generated

BATCH_MAX_BYTES: Final = 256 * 2**10
"""A record larger than that travels alone."""
BATCHES_IN_FLIGHT_MAX: Final = 48
CONNECT_TIMEOUT_S: Final = 10.0
DELIVERY_TIMEOUT_S: Final = 30.0
"""Longest wait for the answer to one batch, and for all that is outstanding at the end."""
STOP_TIMEOUT_S: Final = 5.0
STEP_S: Final = 0.02
"""At a given rate, records go out in steps of that length."""
PROGRESS_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Published:
    """How far it is: records handed to the producer, their keys and values in bytes, seconds since the start."""

    records: int
    bytes: int
    seconds: float

    @property
    def rate(self) -> float:
        """Records a second so far; 0 before the first moment has passed."""
        return self.records / self.seconds if self.seconds > 0 else 0.0


async def publish_records(
    bootstrap: str,
    records: Iterable[Generated],
    *,
    settings: Settings,
    rate: float | None = None,
    on_progress: Callable[[Published], None] | None = None,
) -> Published:
    """Write the records to the topics of `settings`, in order per key; returns when the broker has all of them.

    Keys are partitioned as Kafka's Java client and the SDK do it, records without a key go to partition 0. `rate` is
    records a second, None as fast as it goes. `on_progress` is called about twice a second and at the end, also when
    the task is cancelled: then no more is taken, and what was taken is delivered before CancelledError goes on.

    Raises `UnreachableError` when the broker does not answer, `PreconditionError` when a topic is missing.
    """
    link = await _Link.open(bootstrap, settings)
    run = _Run(link, on_progress)
    try:
        await run.send_all(records, rate)
    except asyncio.CancelledError:
        await run.finish()
        raise
    else:
        await run.finish()
    finally:
        await link.close()
    return run.so_far()


class _Link:
    """A started producer and the partition counts of the topics."""

    def __init__(self, producer: Any, settings: Settings) -> None:
        self.producer = producer
        self._settings = settings
        self._topics: dict[str, tuple[str, int]] = {}

    @classmethod
    async def open(cls, bootstrap: str, settings: Settings) -> "_Link":
        from aiokafka import AIOKafkaProducer
        from aiokafka.errors import KafkaError

        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            client_id="tailrace-gen",
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            max_batch_size=BATCH_MAX_BYTES,
        )
        link = cls(producer, settings)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await producer.start()
                # Asking for topics by name would let a broker create the missing ones with its own defaults.
                await producer.client.force_metadata_update()
        except (KafkaError, OSError, TimeoutError) as error:
            await link.close()
            raise UnreachableError(
                f"no Kafka broker answers at {bootstrap} within {CONNECT_TIMEOUT_S:g} s", fix="tailrace up"
            ) from error
        return link

    def place(self, record: Generated) -> tuple[str, int]:
        """Full name of the record's topic, and its partition."""
        from tailrace.producer.connection import key_hash

        known = self._topics.get(record.topic)
        if known is None:
            name = self._settings.topic(record.topic)
            partitions = self.producer.client.cluster.partitions_for_topic(name)
            if not partitions:
                raise PreconditionError(f"topic {name} does not exist", fix="tailrace topics apply")
            known = self._topics[record.topic] = (name, len(partitions))
        name, count = known
        return name, key_hash(record.key) % count if record.key is not None else 0

    async def close(self) -> None:
        """Stop the producer; gives up waiting after `STOP_TIMEOUT_S`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self.producer.stop()


@contextlib.asynccontextmanager
async def _deadline() -> AsyncIterator[None]:
    """Wait for Kafka no longer than `DELIVERY_TIMEOUT_S`; what it raises becomes `UnreachableError`."""
    from aiokafka.errors import KafkaError

    try:
        async with asyncio.timeout(DELIVERY_TIMEOUT_S):
            yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise UnreachableError(
            f"Kafka did not take a batch: {type(error).__name__}", fix="tailrace status; then run the command again"
        ) from error


class _Run:
    """One call of `publish_records`: open batches by partition, and the answers that are still to come."""

    def __init__(self, link: _Link, on_progress: Callable[[Published], None] | None) -> None:
        self._link = link
        self._on_progress = on_progress
        self._open: dict[tuple[str, int], Any] = {}
        self._answers: deque[asyncio.Future[Any]] = deque()
        self._started = self._reported = time.monotonic()
        self._records = self._bytes = 0

    def so_far(self) -> Published:
        return Published(self._records, self._bytes, time.monotonic() - self._started)

    async def send_all(self, records: Iterable[Generated], rate: float | None) -> None:
        step = max(1, int(rate * STEP_S)) if rate else 1_000
        for record in records:
            await self._add(record)
            if self._records % step == 0:
                await self._pace(rate)

    async def finish(self) -> None:
        """Send what is open and wait for every answer; reports the end."""
        await self._flush()
        while self._answers:
            await self._await_oldest()
        if self._on_progress:
            self._on_progress(self.so_far())

    async def _add(self, record: Generated) -> None:
        place = self._link.place(record)
        if not self._fits(place, record):
            await self._send(place)
            self._fits(place, record)
        self._records += 1
        self._bytes += len(record.key or b"") + len(record.value or b"")

    def _fits(self, place: tuple[str, int], record: Generated) -> bool:
        """Put the record into the place's open batch; False where it is full. A new batch takes any record."""
        batch = self._open.get(place)
        if batch is None:
            batch = self._open[place] = self._link.producer.create_batch()
        headers = list(record.headers)
        return batch.append(timestamp=None, key=record.key, value=record.value, headers=headers) is not None

    async def _send(self, place: tuple[str, int]) -> None:
        batch = self._open[place]
        topic, partition = place
        batch.close()
        while len(self._answers) >= BATCHES_IN_FLIGHT_MAX:
            await self._await_oldest()
        async with _deadline():
            self._answers.append(await self._link.producer.send_batch(batch, topic, partition=partition))
        # Not before: who is cancelled while waiting for room finds the batch still open, and sends it at the end.
        del self._open[place]
        # Making records never waits for anything; without this the producer's own task would not get a turn.
        await asyncio.sleep(0)

    async def _flush(self) -> None:
        for place in list(self._open):
            await self._send(place)

    async def _await_oldest(self) -> None:
        async with _deadline():
            await self._answers[0]
        self._answers.popleft()

    async def _pace(self, rate: float | None) -> None:
        now = time.monotonic()
        if rate:
            ahead = self._started + self._records / rate - now
            if ahead > 0:
                await self._flush()
                await asyncio.sleep(min(ahead, 1.0 + 1.0 / rate))
        if self._on_progress and now - self._reported >= PROGRESS_EVERY_S:
            self._reported = now
            self._on_progress(self.so_far())
