"""aiokafka's consumers, made to unpack within bounds."""

import struct
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

from tailrace.unpacking.batches import BoundedBatch

TAKEN_BYTES_MAX: Final = 8 * 2**20
"""Values of one partition that one `getmany` gives; the record that reaches it is the last."""
_LENGTH, _LENGTH_AT, _BEFORE_LENGTH_BYTES = struct.Struct(">i"), 8, 12
_FORMAT_AT, _FORMAT_V2 = 16, 2


class BrokenBatchError(CorruptRecordException):  # type: ignore[misc]  # aiokafka has no types
    """The next batch of a partition is not what was once written: its checksum or its form is wrong."""

    def __init__(self, partition: TopicPartition, reason: str) -> None:
        super().__init__(reason)
        self.partition = partition


class BoundedRecords:
    """aiokafka's records of one answer, with batches that unpack within bounds.

    Sets of messages of the formats v0 and v1 stay as they are: no broker since Kafka 4.0 answers with them.
    """

    def __init__(self, answer: bytes) -> None:
        self._records = MemoryRecords(answer)
        self._answer = answer
        self._position = 0

    def size_in_bytes(self) -> int:
        size: int = self._records.size_in_bytes()
        return size

    def has_next(self) -> bool:
        has_next: bool = self._records.has_next()
        return has_next

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        if batch is None:
            return None
        start = self._position
        (length,) = _LENGTH.unpack_from(self._answer, start + _LENGTH_AT)
        self._position = end = start + _BEFORE_LENGTH_BYTES + length
        if self._answer[start + _FORMAT_AT] < _FORMAT_V2 or not batch.compression_type:
            return batch
        return BoundedBatch(batch, self._answer[start:end])


def bare(value: bytes | None) -> bytes | None:
    """Give it as `key_deserializer` to a consumer whose records need no more than offset, timestamp, key and value.

    They come as they were found in their batch then, and cost half as much.
    """
    return value


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's records of one partition, bare where that was asked for."""

    def __init__(self, *about: Any, **more: Any) -> None:
        super().__init__(*about, **more)
        if self._key_deserializer is bare:
            self._consumer_record = _as_it_is


def _as_it_is(_partition: TopicPartition, record: Any) -> Any:
    return record


def bound_unpacking() -> None:
    """Make every consumer of this process unpack within bounds; a second call changes nothing.

    A record longer than `batches.RECORD_BYTES_MAX`, in a batch that unpacks to more than `batches.AT_ONCE_BYTES_MAX`,
    keeps its offset, its time and the beginnings of its key and value: it is refused as too large wherever records
    are decoded. All others come as they were sent, and never more than fit into some MiB at a time.
    """
    if fetcher.MemoryRecords is BoundedRecords:
        return
    fetcher.MemoryRecords = BoundedRecords
    fetcher.PartitionRecords = _PartitionRecords
    fetcher.FetchResult.getall = _records_of


def _records_of(result: Any, max_records: int | None = None) -> list[Any]:
    """Records of one partition, in place of `FetchResult.getall`.

    That one loses the records of a call in which a batch is broken: asked for again, they would be lost again, and
    nobody would ever see what stands before that batch. Stops at `TAKEN_BYTES_MAX`, too. Raises `BrokenBatchError`
    where nothing stands before a broken batch.
    """
    partition, records = result._topic_partition, result._partition_records  # noqa: SLF001 - it has no other way in
    if not result.check_assignment(partition) or not result.has_more():
        return []
    taken: list[Any] = []
    size = 0
    try:
        for record in records:
            taken.append(record)
            size += len(record.value or b"")
            if size >= TAKEN_BYTES_MAX or len(taken) == max_records:
                break
        else:
            result._partition_records = None  # noqa: SLF001 - as aiokafka says that there is no more
    except Exception as error:
        # What was taken counts; whatever is wrong behind it is met again by the next call, which has taken nothing.
        if not taken and isinstance(error, CorruptRecordException):
            raise BrokenBatchError(partition, str(error)) from error
        if not taken:
            raise
    result._assignment.state_value(partition).consumed_to(records.next_fetch_offset)  # noqa: SLF001 - as `getall` does
    return taken
