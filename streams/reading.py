"""Reads a stretch of one partition again, beside the consumer group."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tailrace.errors import PreconditionError, UnreachableError
from tailrace.settings import KafkaSettings
from tailrace.streams.records import Record
from tailrace.unpacking import bound_unpacking

FETCH_MAX_BYTES: Final = 16 * 2**20
PARTITION_FETCH_BYTES: Final = 4 * 2**20
"""Above the topics' limit of 2 MiB a record: aiokafka skips a record that is larger than a fetch after one error."""
WAIT_MS: Final = 500
FETCH_WAIT_MS: Final = 50
SILENCE_MAX_S: Final = 30.0
"""No record and no progress for this long, although the log goes on: the broker does not serve the partition."""
RECORDS_MAX: Final = 5_000


class Reader:
    """Offsets of a topic and the records between two of them; a member of no group.

    One stretch is read at a time; offsets may be asked for meanwhile. Every method raises `UnreachableError` where the
    broker does not answer.
    """

    def __init__(self, bootstrap: str, topic: str, short: str, settings: KafkaSettings) -> None:
        self._topic = topic
        self._short = short
        self._bootstrap = bootstrap
        self._timeout_s = settings.request_timeout_ms / 1_000
        # One that is never assigned anything: a question on a connection waits behind the fetch that waits for records.
        self._asking = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            isolation_level="read_committed",
            request_timeout_ms=settings.request_timeout_ms,
        )
        bound_unpacking()
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            isolation_level="read_committed",
            request_timeout_ms=settings.request_timeout_ms,
            fetch_max_bytes=FETCH_MAX_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        )

    async def start(self) -> None:
        """Connect."""
        await self._ask(self._asking.start())
        await self._ask(self._consumer.start())

    async def stop(self) -> None:
        """Disconnect; waits no longer than the request timeout."""
        for consumer in (self._consumer, self._asking):
            with suppress(KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(consumer.stop(), self._timeout_s)

    async def beginnings(self, partitions: Iterable[int]) -> Mapping[int, int]:
        """First offset that is still in the log, by partition."""
        found = await self._ask(self._asking.beginning_offsets(self._partitions(partitions)))
        return {tp.partition: offset for tp, offset in found.items()}

    async def ends(self, partitions: Iterable[int]) -> Mapping[int, int]:
        """Offset that the next record will have, by partition."""
        found = await self._ask(self._asking.end_offsets(self._partitions(partitions)))
        return {tp.partition: offset for tp, offset in found.items()}

    async def read(self, partition: int, start: int, stop: int) -> AsyncIterator[list[Record]]:
        """Records with offsets in [start, stop), in order, in lists of at most `RECORDS_MAX`.

        Raises `PreconditionError` where the log ends before `stop`: it is not the log that the offset came from.
        """
        if start >= stop:
            return
        if (await self.ends([partition]))[partition] < stop:
            raise PreconditionError(
                f"{self._topic}/{partition} ends before the position {stop} of this stream",
                fix="the topic was made anew or truncated: reset the stream's consumer group",
            )
        tp = TopicPartition(self._topic, partition)
        self._consumer.assign([tp])
        self._consumer.seek(tp, start)
        position, silent_s = start, 0.0
        while position < stop:
            found = await self._ask(self._consumer.getmany(tp, timeout_ms=WAIT_MS, max_records=RECORDS_MAX))
            records = found.get(tp, [])
            if records:
                yield [self._record(record) for record in records if start <= record.offset < stop]
            # Not the last record's offset: markers of transactions take offsets too, and are never delivered.
            reached = await self._ask(self._consumer.position(tp))
            silent_s = 0.0 if reached > position else silent_s + WAIT_MS / 1_000
            if silent_s > SILENCE_MAX_S:
                raise UnreachableError(f"{self._topic}/{partition} is not served at offset {position}")
            position = reached
        self._consumer.unsubscribe()  # or it would go on fetching

    def _record(self, record: Any) -> Record:
        return Record(
            self._short,
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            tuple(record.headers),
        )

    def _partitions(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in partitions]

    async def _ask(self, request: Any) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await request
        except (KafkaError, OSError, TimeoutError) as error:
            raise UnreachableError(
                f"no Kafka broker answers at {self._bootstrap} ({type(error).__name__})", fix="tailrace up"
            ) from error
