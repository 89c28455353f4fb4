"""A producer that checks and stamps like the real one and keeps what it would have sent."""

import asyncio
import random
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from tailrace.producer.client import Producer
from tailrace.producer.clock import wall_clock_us
from tailrace.producer.connection import Record, key_hash
from tailrace.producer.errors import DeliveryError, ProducerClosed
from tailrace.producer.options import ProducerOptions
from tailrace.producer.results import Ack, Failed
from tailrace.settings import Settings

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PARTITIONS: Final = 12


class RecordingProducer(Producer):
    """Takes the place of a `Producer`, under `SyncProducer` too, in tests that have no broker.

    Everything up to the broker is the real thing: checks, ids, times, sequences, keys, partitions. `now` (aware) is
    what every clock in it shows, the wall's time if it is None; ids follow from it and from `seed`, so with a fixed
    `now` a test sees the same ones in each run. An event is acknowledged at once, unless `fail_next` said otherwise.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        source: str = "/tests",
        now: datetime | None = None,
        seed: int = 0,
        options: ProducerOptions | None = None,
    ) -> None:
        self.now = now
        self.records: list[Record] = []
        """What is in the log, in the order in which it got there."""
        self._offsets: dict[tuple[str, int], int] = {}
        self._failures: deque[tuple[type[DeliveryError], bool]] = deque()
        self._open = False
        super().__init__(
            settings,
            source=source,
            bootstrap_servers="none",
            options=options,
            now_us=self._now_us_shown,
            random_bits=random.Random(seed).getrandbits,  # noqa: S311 - repeatable is what it is for
        )

    @property
    def events(self) -> list[dict[str, Any]]:
        """What is in the log, as parsed JSON."""
        return [orjson.loads(record.value) for record in self.records]

    def fail_next(self, error: type[DeliveryError], *, times: int = 1, appended: bool = False) -> None:
        """Let the next events fail with `NotDelivered` or `DeliveryUnknown`; `appended`: they are in the log anyway."""
        self._failures.extend([(error, appended)] * times)

    async def start(self) -> None:
        """Open; there is nothing to connect to."""
        self._open = True

    async def submit_record(self, record: Record) -> "asyncio.Future[Ack]":
        """Put the record into the log, or let it fail as `fail_next` said. Raises `ProducerClosed`."""
        if not self._open:
            raise ProducerClosed
        future: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        error, appended = self._failures.popleft() if self._failures else (None, True)
        ack = self._appended(record) if appended else None
        if error:
            future.set_exception(error(record.event_id, f"{error.__name__}, as the test asked for"))
        elif ack:
            future.set_result(ack)
        return future

    async def flush(self) -> None:
        """Nothing waits."""

    async def close(self) -> tuple[Failed, ...]:
        """Close; nothing is left unacknowledged."""
        self._open = False
        return ()

    def _now_us_shown(self) -> int:
        return (self.now - _EPOCH) // timedelta(microseconds=1) if self.now else wall_clock_us()

    def _appended(self, record: Record) -> Ack:
        self.records.append(record)
        partition = key_hash(record.key) % PARTITIONS
        offset = self._offsets.get((record.topic, partition), 0)
        self._offsets[record.topic, partition] = offset + 1
        appended_at = _EPOCH + timedelta(microseconds=self._now_us_shown())
        return Ack(record.topic, partition, offset, record.event_id, appended_at)
