"""What every worker of a stream must know of topics that are cut by other keys than its own."""

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tailrace.errors import PreconditionError, UnreachableError
from tailrace.settings import Settings
from tailrace.streams.records import Record
from tailrace.streams.stream import Beside
from tailrace.unpacking import bound_unpacking

FETCH_MAX_BYTES: Final = 16 * 2**20
PARTITION_FETCH_BYTES: Final = 4 * 2**20
WAIT_MS: Final = 200
RECORDS_MAX: Final = 5_000
SILENCE_MAX_S: Final = 60.0


class Companion:
    """Reads whole topics, in step with a stream; a member of no group.

    From their beginnings, or what was appended since a time (aware UTC).
    """

    def __init__(self, bootstrap: str, settings: Settings, beside: Beside, since: datetime | None = None) -> None:
        self._since = since
        self._bootstrap = bootstrap
        self._beside = beside
        self._shorts = {settings.topic(short): short for short in beside.topics}
        self._timeout_s = settings.kafka.request_timeout_ms / 1_000
        self._partitions: list[TopicPartition] = []
        # One that is never assigned anything: a question on a connection waits behind the fetch that waits for records.
        self._asking = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            isolation_level="read_committed",
            request_timeout_ms=settings.kafka.request_timeout_ms,
        )
        bound_unpacking()
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # what its retention took away is too old to matter
            isolation_level="read_committed",
            request_timeout_ms=settings.kafka.request_timeout_ms,
            fetch_max_bytes=FETCH_MAX_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        )

    async def start(self) -> None:
        """Connect; raises `UnreachableError`, and `PreconditionError` where a topic does not exist."""
        await self._ask(self._asking.start())
        self._consumer.subscribe(topics=list(self._shorts))
        await self._ask(self._consumer.start())
        found = {topic: self._consumer.partitions_for_topic(topic) for topic in self._shorts}
        if missing := sorted(topic for topic, partitions in found.items() if not partitions):
            raise PreconditionError(f"no such topic: {', '.join(missing)}", fix="tailrace topics apply")
        self._partitions = [TopicPartition(topic, one) for topic, ones in found.items() for one in ones or ()]
        self._consumer.unsubscribe()
        self._consumer.assign(self._partitions)
        if self._since is not None:
            since_ms = int(self._since.timestamp() * 1_000)
            starts = await self._ask(self._asking.offsets_for_times(dict.fromkeys(self._partitions, since_ms)))
            ends = await self._ask(self._asking.end_offsets(self._partitions))
            for tp in self._partitions:
                self._consumer.seek(tp, starts[tp].offset if starts.get(tp) else ends[tp])

    async def stop(self) -> None:
        """Disconnect; waits no longer than the request timeout."""
        for consumer in (self._consumer, self._asking):
            with suppress(KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(consumer.stop(), self._timeout_s)

    async def catch_up(self) -> None:
        """Take every record that is in the topics now; raises `UnreachableError` where they are not served."""
        ends = await self._ask(self._asking.end_offsets(self._partitions))
        silent_s = 0.0
        behind = list(self._partitions)
        while behind:
            behind = [tp for tp in behind if await self._ask(self._consumer.position(tp)) < ends[tp]]
            if not behind:
                return
            found = await self._ask(
                self._consumer.getmany(*behind, timeout_ms=WAIT_MS, max_records=RECORDS_MAX),
            )
            silent_s = 0.0 if found else silent_s + WAIT_MS / 1_000
            if silent_s > SILENCE_MAX_S:
                raise UnreachableError(f"{self._bootstrap} does not serve {behind[0].topic}/{behind[0].partition}")
            for tp, records in found.items():
                for record in records:
                    self._beside.take(self._record(self._shorts[tp.topic], record))
            await asyncio.sleep(0)

    def _record(self, short: str, record: Any) -> Record:
        return Record(short, record.partition, record.offset, record.timestamp, record.key, record.value)

    async def _ask(self, request: Any) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await request
        except (KafkaError, OSError, TimeoutError) as error:
            raise UnreachableError(
                f"no Kafka broker answers at {self._bootstrap} ({type(error).__name__})", fix="tailrace up"
            ) from error
