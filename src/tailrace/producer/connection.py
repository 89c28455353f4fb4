# ruff: noqa: SLF001 - the one place that reaches into aiokafka, see `Connection.discard`
"""One aiokafka producer, used for as long as it behaves and then thrown away.

aiokafka's producer may hang for ever, in a send as in `stop()`, and an idempotent one never gives a batch up. So every
await of it stands under a deadline here, and after any failure the object is discarded: its sequence numbers have a gap
that the broker would refuse everything behind.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTimestampError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.partitioner import murmur2

from tailrace.errors import UnreachableError
from tailrace.event_loop import bear_lost_brokers
from tailrace.producer.options import ProducerOptions

CONTENT_TYPE: Final = ("content-type", b"application/cloudevents+json")
_REFUSALS: Final = (
    InvalidTimestampError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)
_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)


class ConnectionUnusable(Exception):  # noqa: N818 - a state of the connection, never seen by callers
    """The connection must be discarded; what was in flight on it has an unknown outcome."""


class BatchRefused(Exception):  # noqa: N818 - as above
    """The broker refused the batch for good; nothing of it was appended. `too_large` says that parts might fit."""

    def __init__(self, reason: str, *, too_large: bool) -> None:
        super().__init__(reason)
        self.too_large = too_large


@dataclass(frozen=True, slots=True)
class Record:
    """One record ready for the log: `topic` is the full name, `key` and `value` are the bytes on the wire."""

    topic: str
    key: bytes
    value: bytes
    event_id: str

    @property
    def size(self) -> int:
        """Bytes that the record counts for in the buffer."""
        return len(self.key) + len(self.value)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The broker's answer for one batch; record i has offset `base_offset + i`, None where the broker forgot it."""

    base_offset: int | None
    appended_at: datetime | None


@lru_cache(maxsize=65_536)
def key_hash(key: bytes) -> int:
    """Return the hash that Kafka's Java client partitions by: murmur2 of the key without its sign."""
    return int(murmur2(key)) & 0x7FFFFFFF


class Connection:
    """An open connection to the cluster. `discard` it after any error; it must not be used from two loops."""

    def __init__(self, producer: Any, options: ProducerOptions) -> None:
        self._producer = producer
        self._options = options
        self._requests: set[asyncio.Task[None]] = set()
        self._send_request = producer._sender._send_produce_req
        # The sender keeps its requests to itself; discarding must end them, as each would wait for metadata for ever.
        producer._sender._send_produce_req = self._tracked

    @classmethod
    async def open(cls, bootstrap: str, options: ProducerOptions) -> "Connection":
        """Connect, get a producer id and the cluster's metadata within `connect_timeout_s`.

        Raises `UnreachableError` with the address and what to do.
        """
        bear_lost_brokers()
        connection = cls(
            AIOKafkaProducer(
                bootstrap_servers=bootstrap,
                client_id="tailrace-producer",
                acks="all",
                enable_idempotence=True,
                compression_type="lz4",
                max_batch_size=options.batch_max_bytes,
                request_timeout_ms=int(options.request_timeout_s * 1_000),
                metadata_max_age_ms=int(options.metadata_max_age_s * 1_000),
            ),
            options,
        )
        try:
            async with asyncio.timeout(options.connect_timeout_s):
                await connection._producer.start()
                await connection.refresh()
        except (KafkaError, OSError, TimeoutError) as error:
            await connection.discard()
            raise UnreachableError(
                f"no Kafka broker answers at {bootstrap} ({type(error).__name__})",
                fix="tailrace up, or set TAILRACE_KAFKA__BOOTSTRAP_SERVERS",
            ) from error
        except BaseException:
            await connection.discard()
            raise
        return connection

    async def refresh(self) -> None:
        """Fetch the metadata of all topics.

        Naming topics in the request, as aiokafka does on its own, would let a broker create the missing ones.
        """
        await self._producer.client.force_metadata_update()

    def partition_count(self, topic: str) -> int | None:
        """Return the number of partitions, None for a topic that the broker did not tell of."""
        partitions = self._producer.client.cluster.partitions_for_topic(topic)
        return len(partitions) if partitions else None

    def batch(self, records: Iterable[Record]) -> tuple[Any, int]:
        """Put as many records as fit into one batch, at least one; returns the batch and how many it holds."""
        builder = self._producer.create_batch()
        for record in records:
            if builder.append(timestamp=None, key=record.key, value=record.value, headers=[CONTENT_TYPE]) is None:
                break
        builder.close()
        return builder, builder.record_count()

    async def deliver(self, batch: Any, topic: str, partition: int) -> Receipt:
        """Hand a batch over and wait for the broker's answer; the caller keeps the deadline.

        Raises `BatchRefused` or `ConnectionUnusable`.
        """
        try:
            answer = await self._producer.send_batch(batch, topic, partition=partition)
            metadata = await answer
        except _REFUSALS as error:
            raise BatchRefused(type(error).__name__, too_large=isinstance(error, _TOO_LARGE)) from error
        except (KafkaError, OSError, AssertionError) as error:
            raise ConnectionUnusable(f"{topic}/{partition}: {type(error).__name__}") from error
        # A batch that the broker knows as a duplicate, but no longer by its offset, is answered with -1, and aiokafka
        # reports success: counting offsets up from there would make them up.
        return Receipt(
            base_offset=metadata.offset if metadata.offset >= 0 else None,
            appended_at=datetime.fromtimestamp(metadata.timestamp / 1_000, UTC) if metadata.timestamp_type else None,
        )

    async def _tracked(self, node: int, batches: Any) -> None:
        task = asyncio.current_task()
        assert task  # noqa: S101 - coroutines run in tasks here
        self._requests.add(task)
        try:
            await self._send_request(node, batches)
        finally:
            self._requests.discard(task)

    async def discard(self) -> None:
        """Drop what is in flight and buffered, and the sockets; never waits longer than `discard_timeout_s`.

        `stop()` alone would try to flush, for ever while the broker is away, and might still append what its caller was
        told is unknown. Nothing here is public in aiokafka, whose public way out is that one.
        """
        producer, timeout_s = self._producer, self._options.discard_timeout_s
        sender = producer._sender.sender_task
        if sender:
            tasks = {*self._requests, sender}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=timeout_s)
        accumulator = producer._message_accumulator
        batches = {batch for queue in accumulator._batches.values() for batch in queue} | accumulator._pending_batches
        # A batch that waits for its next attempt is not among the pending ones, from which its end will remove it.
        accumulator._pending_batches |= batches
        for batch in batches:
            batch.future.cancel()
        for connection in producer.client._conns.values():
            if connection._writer:
                # Closing would first send what is still in the socket's buffer.
                connection._writer.transport.abort()
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(timeout_s):
                await producer.stop()
