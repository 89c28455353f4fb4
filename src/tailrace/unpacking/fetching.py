"""aiokafka's consumers, made to unpack within bounds."""

import functools
import struct
from collections.abc import Callable
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords

from tailrace.unpacking.batches import BoundedBatch

TAKEN_BYTES_MAX: Final = 8 * 2**20
"""Values of one partition that one `getmany` gives; the record that reaches it is the last."""
_STEP_RECORDS: Final = 8
"""Asked for before they are weighed: 2 MiB each at most."""
_LENGTH, _LENGTH_AT, _BEFORE_LENGTH_BYTES = struct.Struct(">i"), 8, 12
_FORMAT_AT, _FORMAT_V2 = 16, 2


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


def bound_unpacking() -> None:
    """Make every consumer of this process unpack within bounds; a second call changes nothing.

    A record longer than `batches.RECORD_BYTES_MAX`, in a batch that unpacks to more than `batches.AT_ONCE_BYTES_MAX`,
    keeps its offset, its time and the beginnings of its key and value: it is refused as too large wherever records
    are decoded. All others come as they were sent, and never more than fit into some MiB at a time.
    """
    if fetcher.MemoryRecords is BoundedRecords:
        return
    fetcher.MemoryRecords = BoundedRecords
    fetcher.FetchResult.getall = _within_bytes(fetcher.FetchResult.getall)


def _within_bytes(getall: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    @functools.wraps(getall)
    def within_bytes(result: Any, max_records: int | None = None) -> list[Any]:
        taken: list[Any] = []
        size = 0
        while size < TAKEN_BYTES_MAX and (max_records is None or len(taken) < max_records):
            step = _STEP_RECORDS if max_records is None else min(_STEP_RECORDS, max_records - len(taken))
            try:
                part = getall(result, step)
            except Exception:
                if not taken:
                    raise
                break  # what was taken counts as read already; the rest is asked for again, and raises then
            taken += part
            size += sum([len(record.value or b"") for record in part])
            if not part or not result.has_more():
                break
        return taken

    return within_bytes
