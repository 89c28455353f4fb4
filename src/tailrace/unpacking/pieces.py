"""What the bytes of a compressed batch unpack to, piece by piece.

A codec is the number in a batch's attributes: 1 gzip, 2 snappy, 3 lz4, 4 zstd.
"""

import gzip
import io
import os
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import ClassVar, Final

import cramjam

from tailrace.unpacking.sizes import LZ4, SNAPPY, ZSTD, snappy_blocks

GZIP: Final = 1
CODECS: Final = frozenset({GZIP, SNAPPY, LZ4, ZSTD})
PIECE_BYTES: Final = 256 * 2**10
PIPED_MAX: Final = 2
"""Decoders of lz4 and zstd that may stand open: a frame of zstd may ask for a window of 128 MiB."""

_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
Decode = Callable[[bytes, cramjam.File], int]


def inflate_within(packed: bytes, size_max: int) -> bytes | None:
    """All that one member of gzip holds, if it has at most `size_max` bytes; None where `Pieces` must find out."""
    unpacking = zlib.decompressobj(_GZIP_WINDOW)
    try:
        unpacked = unpacking.decompress(packed, size_max)
    except zlib.error:
        return None
    return unpacked if unpacking.eof and not unpacking.unused_data else None


class Pieces:
    """What `packed` holds, in order. Put aside, it may lose its decoder, and takes itself up where it stood.

    Reading raises what the codec says of bytes that are none of its own.
    """

    _piped: ClassVar[deque["Pieces"]] = deque()

    def __init__(self, codec: int, packed: bytes) -> None:
        self._codec = codec
        self._packed = packed
        self._pieces: Iterator[bytes] | None = None
        self._held = memoryview(b"")
        self._position = 0

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end."""
        parts: list[memoryview] = []
        while size and self._fill():
            parts.append(self._held[:size])
            self._advance(len(parts[-1]))
            size -= len(parts[-1])
        return b"".join(parts)

    def skip(self, size: int) -> int:
        """Pass over the next `size` bytes; how many of them there were."""
        skipped = 0
        while skipped < size and self._fill():
            step = min(size - skipped, len(self._held))
            self._advance(step)
            skipped += step
        return skipped

    def close(self) -> None:
        """Give the decoder back."""
        pieces, self._pieces, self._held = self._pieces, None, memoryview(b"")
        with suppress(ValueError):
            self._piped.remove(self)
        if pieces is not None:
            pieces.close()  # type: ignore[attr-defined]  # all of them are generators

    def _advance(self, size: int) -> None:
        self._held = self._held[size:]
        self._position += size

    def _fill(self) -> bool:
        if self._pieces is None:
            self._open()
        while not self._held and self._pieces is not None:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._held = memoryview(piece)
        return True

    def _open(self) -> None:
        if self._codec in {LZ4, ZSTD}:
            while len(self._piped) >= PIPED_MAX:
                self._piped[0].close()
            self._piped.append(self)
        self._pieces = _pieces(self._codec, self._packed)
        reached, self._position = self._position, 0
        self.skip(reached)


def _pieces(codec: int, packed: bytes) -> Iterator[bytes]:
    if codec == GZIP:
        return _inflated(packed)
    if codec == SNAPPY:
        return _unsnapped(packed)
    return _piped(_decode_of(codec), packed)


def _decode_of(codec: int) -> Decode:
    return cramjam.lz4.decompress_into if codec == LZ4 else cramjam.zstd.decompress_into


def _inflated(packed: bytes) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def _unsnapped(packed: bytes) -> Iterator[bytes]:
    # A block is unpacked whole: of 2 MiB snappy makes 43 at most, for three bytes copy sixty-four.
    for block in snappy_blocks(packed):
        yield bytes(memoryview(cramjam.snappy.decompress_raw(block)))


def _piped(decode: Decode, packed: bytes) -> Iterator[bytes]:
    """Decode into a pipe: cramjam takes its input whole and sets its output no bound, and a full pipe is one."""
    reading, writing = os.pipe()
    failures: list[Exception] = []
    thread = threading.Thread(target=_decode_into_pipe, args=(decode, packed, writing, failures), daemon=True)
    thread.start()
    try:
        while piece := os.read(reading, PIECE_BYTES):
            yield piece
    finally:
        os.close(reading)  # a decoder that still writes ends by it
        thread.join()
    if failures:
        raise failures[0]


def _decode_into_pipe(decode: Decode, packed: bytes, writing: int, failures: list[Exception]) -> None:
    try:
        pipe = cramjam.File(f"/dev/fd/{writing}", read=False, write=True, append=False)
    finally:
        os.close(writing)
    try:
        decode(packed, pipe)
    except Exception as error:  # noqa: BLE001 - raised again by the reader
        # Its traceback would hold the pipe open, and the reader would wait for the end.
        failures.append(error.with_traceback(None))
