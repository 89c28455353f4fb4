"""How much a compressed batch can unpack to at most, read from its framing without unpacking it.

Formats: zstd of RFC 8878, section 3.1; the frame of lz4 (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md);
raw snappy and the framing that Java's library puts around it.
"""

import struct
from collections.abc import Iterator
from typing import Final

SNAPPY, LZ4, ZSTD = 2, 3, 4

_XERIAL: Final = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
_MORE: Final = 0x80
"""The bit of a byte that says that the number goes on."""

_LZ4_MAGIC: Final = b"\x04\x22\x4d\x18"
_LZ4_RATIO_MAX: Final = 255
_LZ4_UNCOMPRESSED: Final = 1 << 31

_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_BLOCK_MAX: Final = 128 * 2**10
_ZSTD_SIZE_BYTES: Final = (0, 2, 4, 8)
_ZSTD_DICTIONARY_BYTES: Final = (0, 1, 2, 4)
_ZSTD_COMPRESSED, _ZSTD_REPEATED = 2, 1


def size_at_most(codec: int, packed: bytes) -> int | None:
    """Bytes that `packed` cannot exceed; None where its framing does not say, for gzip always."""
    try:
        if codec == SNAPPY:
            return sum(map(_snappy_size, snappy_blocks(packed)))
        if codec == LZ4:
            return _lz4_size(packed)
        return _zstd_size(packed) if codec == ZSTD else None
    except (IndexError, ValueError, struct.error):
        return None


def snappy_blocks(packed: bytes) -> Iterator[memoryview]:
    """The raw blocks. Raises `struct.error` and `ValueError` where they are cut off."""
    view = memoryview(packed)
    if len(packed) <= len(_XERIAL) or not packed.startswith(_XERIAL):
        yield view
        return
    position = len(_XERIAL)
    while position < len(view):
        (size,) = struct.unpack_from(">i", view, position)
        end = position + 4 + size
        if size < 0 or end > len(view):
            raise ValueError("a block of snappy that ends beyond its batch")
        yield view[position + 4 : end]
        position = end


def _snappy_size(block: memoryview) -> int:
    size = shift = 0
    for byte in block[:5]:
        size |= (byte & ~_MORE) << shift
        shift += 7
        if not byte & _MORE:
            return size
    raise ValueError("a block of snappy without a size")


def _lz4_size(packed: bytes) -> int | None:
    if not packed.startswith(_LZ4_MAGIC):
        return None
    flags, block_max = packed[4], 1 << (8 + 2 * (packed[5] >> 4 & 0x07))
    checksum_bytes = 4 if flags & 0x10 else 0
    position = 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
    total = 0
    while (field := int.from_bytes(packed[position : position + 4], "little")) and position + 4 <= len(packed):
        size = field & ~_LZ4_UNCOMPRESSED
        total += size if field & _LZ4_UNCOMPRESSED else min(block_max, size * _LZ4_RATIO_MAX)
        position += 4 + size + checksum_bytes
    end = position + 4 + (4 if flags & 0x04 else 0)
    return total if end == len(packed) else None


def _zstd_size(packed: bytes) -> int | None:
    total = position = 0
    while position < len(packed):
        if packed[position : position + 4] != _ZSTD_MAGIC:
            return None
        flags = packed[position + 4]
        is_single = bool(flags & 0x20)
        size_bytes = _ZSTD_SIZE_BYTES[flags >> 6] or int(is_single)
        position += 5 + (not is_single) + _ZSTD_DICTIONARY_BYTES[flags & 0x03] + size_bytes
        is_last = False
        while not is_last:
            field = int.from_bytes(packed[position : position + 3], "little")
            if position + 3 > len(packed):
                return None
            is_last, kind, size = bool(field & 1), field >> 1 & 0x03, field >> 3
            total += _ZSTD_BLOCK_MAX if kind == _ZSTD_COMPRESSED else size
            position += 3 + (1 if kind == _ZSTD_REPEATED else size)
        position += 4 if flags & 0x04 else 0
    return total if position == len(packed) else None
