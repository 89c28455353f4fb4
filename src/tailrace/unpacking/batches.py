"""Batches of message format v2 whose records come out one by one, however much they unpack to.

The format: https://kafka.apache.org/documentation/#recordbatch
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecord, DefaultRecordBatch

from tailrace.unpacking.pieces import CODECS, GZIP, Pieces, inflate_within
from tailrace.unpacking.sizes import SNAPPY, size_at_most

AT_ONCE_BYTES_MAX: Final = 8 * 2**20
"""A batch that unpacks to no more is handed to aiokafka whole."""
RECORD_BYTES_MAX: Final = 2 * 2**20
"""What a topic allows an uncompressed record: longer ones lose the end of their value and of their key.

It is above the contract's limit, so what lost something is refused as too large."""
HEADERS_BYTES_MAX: Final = 2**20
"""Headers of a longer record that are kept, each counted with what Python needs for it."""

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_ATTRIBUTES, _COUNT = struct.Struct(">h"), struct.Struct(">i")
_ATTRIBUTES_AT, _COUNT_AT = 21, 57
_CODEC_MASK, _APPEND_TIME_MASK = 0x07, 0x08
_HEADER_COST: Final = 128
_VARINT_BYTES_MAX: Final = 10
_PROBE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes: of a batch that is unpacked at once, of a record that stays as it is, of headers of one that does not."""

    at_once: int = AT_ONCE_BYTES_MAX
    record: int = RECORD_BYTES_MAX
    headers: int = HEADERS_BYTES_MAX


LIMITS: Final = Limits()


class BoundedBatch:
    """aiokafka's batch, whose iteration holds a few MiB at most; all else is the batch's own."""

    def __init__(self, batch: Any, raw: bytes, limits: Limits = LIMITS) -> None:
        self._batch = batch
        self._raw = raw
        self._limits = limits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        codec = self._batch.compression_type
        header, packed = self._raw[: _HEADER.size], self._raw[_HEADER.size :]
        size = size_at_most(codec, packed)
        # Snappy without a size is broken, and never large.
        is_small = codec == SNAPPY if size is None else size <= self._limits.at_once
        if is_small or codec not in CODECS:
            return iter(self._batch)
        if codec == GZIP and (unpacked := inflate_within(packed, self._limits.at_once)) is not None:
            return _batch_of(header, _count(header), unpacked)
        return _records(header, Pieces(codec, packed), self._limits)


def _count(header: bytes) -> int:
    count: int = _COUNT.unpack_from(header, _COUNT_AT)[0]
    return count


def _batch_of(header: bytes, count: int, records: bytes | memoryview) -> Iterator[Any]:
    """The records by aiokafka's own hand, as a batch that was never compressed."""
    plain = bytearray(header)
    (attributes,) = _ATTRIBUTES.unpack_from(header, _ATTRIBUTES_AT)
    _ATTRIBUTES.pack_into(plain, _ATTRIBUTES_AT, attributes & ~_CODEC_MASK)
    _COUNT.pack_into(plain, _COUNT_AT, count)
    return iter(DefaultRecordBatch(b"".join((plain, records))))


def _records(header: bytes, pieces: Pieces, limits: Limits) -> Iterator[Any]:
    """All records in order: runs of short ones by aiokafka's hand, each longer one shortened by ours."""
    left, rest = _count(header), b""
    try:
        while left > 0:
            rest += pieces.read(max(limits.record + _VARINT_BYTES_MAX - len(rest), 0))
            count, end = _short_records(rest, left, limits.record)
            if count:
                yield from _batch_of(header, count, memoryview(rest)[:end])
                rest, left = rest[end:], left - count
                continue
            stream = _Stream(rest, pieces)
            yield _shortened(header, stream, limits)
            rest, left = stream.rest(), left - 1
        if rest or pieces.skip(1):
            raise CorruptRecordException("Unconsumed bytes after all records of a batch")
    finally:
        pieces.close()


def _short_records(buffer: bytes, count_max: int, size_max: int) -> tuple[int, int]:
    """How many whole records of no more than `size_max` bytes the buffer starts with, and where they end."""
    position = count = 0
    while count < count_max:
        found = _varint(buffer, position)
        if found is None:
            break
        length, start = found
        if length < 0:
            raise CorruptRecordException(f"Invalid record size: {length}")
        if length > size_max or start + length > len(buffer):
            break
        position, count = start + length, count + 1
    return count, position


def _varint(buffer: bytes | memoryview, position: int) -> tuple[int, int] | None:
    """A number and where it ends; None where the buffer ends within it."""
    value = shift = 0
    for end in range(position, min(len(buffer), position + _VARINT_BYTES_MAX)):
        byte = buffer[end]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return (value >> 1) ^ -(value & 1), end + 1
        shift += 7
    if len(buffer) - position >= _VARINT_BYTES_MAX:
        raise CorruptRecordException("A number of a record does not end")
    return None


class _Stream:
    """What was read already, and behind it the pieces."""

    def __init__(self, rest: bytes, pieces: Pieces) -> None:
        self._rest = memoryview(rest)
        self._pieces = pieces
        self.position = 0

    def rest(self) -> bytes:
        return bytes(self._rest)

    def number(self) -> int:
        if len(self._rest) < _VARINT_BYTES_MAX:
            self._rest = memoryview(b"".join((self._rest, self._pieces.read(_PROBE_BYTES))))
        found = _varint(self._rest, 0)
        if found is None:
            raise CorruptRecordException("A batch ends within a record")
        value, end = found
        self._rest = self._rest[end:]
        self.position += end
        return value

    def take(self, size: int, kept: int) -> bytes:
        """The first `kept` of the next `size` bytes; the others are passed over."""
        kept = min(size, kept)
        held = self._rest[:kept]
        taken = b"".join((held, self._pieces.read(kept - len(held))))
        passed = self._rest[kept:size]
        self._rest = self._rest[size:]
        skipped = len(passed) + self._pieces.skip(size - kept - len(passed))
        if len(taken) + skipped < size:
            raise CorruptRecordException("A batch ends within a record")
        self.position += size
        return taken


def _shortened(header: bytes, stream: _Stream, limits: Limits) -> Any:
    length = stream.number()
    start = stream.position
    stream.number()  # attributes
    time_delta, offset_delta = stream.number(), stream.number()
    key, value = _text(stream, limits.record), _text(stream, limits.record)
    headers = _headers(stream, limits.headers)
    if stream.position - start != length:
        raise CorruptRecordException(f"Invalid record size: {length}, but {stream.position - start} were read")
    base, *_, attributes, _, first, last, _, _, _, _ = _HEADER.unpack(header)
    is_append_time = bool(attributes & _APPEND_TIME_MASK)
    timestamp = last if is_append_time else first + time_delta
    return DefaultRecord(base + offset_delta, timestamp, int(is_append_time), key, value, headers)


def _text(stream: _Stream, kept: int) -> bytes | None:
    size = stream.number()
    return None if size < 0 else stream.take(size, kept)


def _headers(stream: _Stream, kept: int) -> list[tuple[str, bytes | None]]:
    count = stream.number()
    if count < 0:
        raise CorruptRecordException(f"Invalid number of headers: {count}")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name = _text(stream, max(kept, 0))
        if name is None:
            raise CorruptRecordException("A header without a name")
        value = _text(stream, max(kept, 0))
        kept -= len(name) + len(value or b"") + _HEADER_COST
        if kept >= 0:
            headers.append((name.decode(), value))
    return headers
