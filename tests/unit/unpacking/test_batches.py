"""Batches that unpack to more than anybody wants to hold give the records that aiokafka would give."""

import gzip
from collections.abc import Iterator, Sequence
from typing import Any

import cramjam
import pytest
from aiokafka import codec
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from tailrace.unpacking.batches import LIMITS, BoundedBatch, Limits

MIB = 2**20
CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
FIRST = 1_700_000_000_000
SMALL = Limits(at_once=200, record=100, headers=400)

Given = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]

every_codec = pytest.mark.parametrize("number", CODECS.values(), ids=CODECS.keys())


def batch(number: int, records: Sequence[Given]) -> bytes:
    builder = DefaultRecordBatchBuilder(2, number, 0, -1, -1, -1, 2**40)
    for offset, (key, value, headers) in enumerate(records):
        assert builder.append(offset, FIRST + 10 * offset, key, value, headers) is not None
    return bytes(builder.build())


def packed_anew(raw: bytes, number: int, packed: bytes, count: int) -> bytes:
    """The batch with another payload, whatever its checksum."""
    return (
        raw[:8]
        + (len(raw[12:61]) + len(packed)).to_bytes(4, "big")
        + raw[12:21]
        + bytes((0, number))
        + (raw[23:57] + count.to_bytes(4, "big") + packed)
    )


def of(raw: bytes, limits: Limits = LIMITS) -> list[tuple[Any, ...]]:
    return [plain(record) for record in BoundedBatch(DefaultRecordBatch(raw), raw, limits)]


def as_before(raw: bytes) -> list[tuple[Any, ...]]:
    return [plain(record) for record in DefaultRecordBatch(raw)]


def plain(record: Any) -> tuple[Any, ...]:
    return record.offset, record.timestamp, record.timestamp_type, record.key, record.value, list(record.headers)


def numbered(count: int, size: int) -> list[Given]:
    return [(b"k%d" % n, b"%d" % n + bytes(size), [("n", b"%d" % n)]) for n in range(count)]


@every_codec
@pytest.mark.parametrize("limits", [LIMITS, SMALL], ids=["at once", "in pieces"])
def test_ordinary_batches_are_what_they_were(number: int, limits: Limits):
    raw = batch(number, [*numbered(500, 20), (None, None, []), (b"", b"", [("", None)])])

    assert of(raw, limits) == as_before(raw)


@every_codec
def test_an_append_time_is_that_of_the_batch(number: int):
    raw = bytearray(batch(number, [(b"k", b"v" * 300, []), (b"k", b"v", [])]))
    raw[22] |= 8

    assert [record[1:3] for record in of(bytes(raw), SMALL)] == [(FIRST + 10, 1)] * 2


@pytest.mark.slow
@every_codec
def test_a_bomb_between_two_neighbours_loses_its_end_and_they_lose_nothing(number: int):
    # Snappy cannot make so much of 2 MiB; its bombs are small.
    size = (40 if number == CODECS["snappy"] else 100) * MIB
    raw = batch(number, [(b"a", b"before", [("h", b"1")]), (b"b", bytes(size), [("h", b"2")]), (b"c", b"after", [])])
    assert len(raw) < 2 * MIB or number == CODECS["snappy"]

    before, bomb, after = of(raw)

    assert before == (0, FIRST, 0, b"a", b"before", [("h", b"1")])
    assert (bomb[0], bomb[3], len(bomb[4]), bomb[5]) == (1, b"b", LIMITS.record, [("h", b"2")])
    assert after == (2, FIRST + 20, 0, b"c", b"after", [])


@pytest.mark.slow
@every_codec
def test_records_that_fit_come_whole_however_many_they_are(number: int):
    count = 40 if number == CODECS["snappy"] else 100
    raw = batch(number, numbered(count, MIB))

    offsets = []
    for record in BoundedBatch(DefaultRecordBatch(raw), raw):
        assert record.value == b"%d" % record.offset + bytes(MIB)
        offsets.append(record.offset)
    assert offsets == list(range(count))


@every_codec
def test_keys_and_headers_have_bounds_too(number: int):
    many: list[tuple[str, bytes | None]] = [(f"h{n}", b"v") for n in range(100)]
    raw = batch(number, [(bytes(1_000), b"v", []), (b"k", b"v", many), (b"k", b"v", [("h", bytes(1_000))])])

    long_key, many_headers, long_header = of(raw, SMALL)

    assert (len(long_key[3]), long_key[4]) == (SMALL.record, b"v")
    assert many_headers[3:] == (b"k", b"v", many[:3])
    assert long_header[3:] == (b"k", b"v", [])


@pytest.mark.slow
@every_codec
def test_batches_put_aside_lose_their_decoder_and_go_on_where_they_stood(number: int):
    raw = batch(number, numbered(300, 700))
    limits = Limits(at_once=10, record=2_000, headers=100)
    readers: list[Iterator[Any]] = [iter(BoundedBatch(DefaultRecordBatch(raw), raw, limits)) for _ in range(5)]

    found = list(zip(*readers, strict=True))

    assert all({plain(record)[3] for record in records} == {b"k%d" % n} for n, records in enumerate(found))
    assert len(found) == 300


@pytest.mark.slow
@every_codec
def test_one_that_nobody_reads_to_its_end_can_be_left(number: int):
    raw = batch(number, numbered(20, MIB))

    for _ in range(20):
        reader = iter(BoundedBatch(DefaultRecordBatch(raw), raw))
        assert next(reader).offset == 0


@every_codec
@pytest.mark.parametrize("size", [10, 20 * MIB], ids=["small", "large"])
def test_bytes_that_do_not_unpack_are_the_error_that_they_were(number: int, size: int):
    raw = batch(number, [(b"k", bytes(size), [])])
    broken = packed_anew(raw, number, raw[61 : 61 + (len(raw) - 61) * 2 // 3], 1)
    with pytest.raises(Exception) as before:  # noqa: PT011 - whatever aiokafka's is
        as_before(broken)

    with pytest.raises(before.type):
        of(broken)


PACKED = {1: gzip.compress, 2: codec.snappy_encode, 3: codec.lz4_encode, 4: codec.zstd_encode}


@every_codec
@pytest.mark.parametrize(
    ("records", "count"),
    [
        (b"\x10" + bytes(300), 3),
        (b"\x01" * 300, 1),
        (b"\xff" * 300, 1),
        (b"\xe8\x07" + b"\x00" * 3 + b"\xe8\x0f" + b"x" * 400, 1),
        (b"\xd0\x0f" + b"\x00" * 3 + b"\x01" + b"\x90\x0e" + b"x" * 900 + b"\x00" * 200, 1),
        (b"\xd0\x0f" + b"\x00" * 3 + b"\x01" + b"\x90\x0e" + b"x" * 900 + b"\x01" * 200, 1),
        (b"\x0c\x00\x00\x00\x01\x01\x00" * 40, 39),
        (b"\x0c\x00\x00\x00\x01\x01\x00" * 40, 41),
        (b"x" * 999, 1),
    ],
    ids=[
        "longer than said",
        "negative",
        "no number",
        "cut off",
        "shorter",
        "headers",
        "one more",
        "one less",
        "letters",
    ],
)
def test_records_that_are_none_are_a_corrupt_batch(number: int, records: bytes, count: int):
    raw = packed_anew(batch(number, numbered(1, 1)), number, PACKED[number](records), count)
    with pytest.raises(CorruptRecordException):
        as_before(raw)

    with pytest.raises(CorruptRecordException):
        of(raw, SMALL)


def test_members_of_gzip_and_frames_of_zstd_and_lz4_may_follow_each_other():
    records = numbered(50, 50)
    unpacked = codec.gzip_decode(batch(1, records)[61:])
    halves = unpacked[:777], unpacked[777:]
    for number in (1, 4):
        raw = packed_anew(batch(number, records), number, b"".join(map(bytes, map(PACKED[number], halves))), 50)
        for limits in (LIMITS, SMALL):
            assert [r[3:] for r in of(raw, limits)] == [(key, value, headers) for key, value, headers in records]


def test_linked_blocks_of_lz4_unpack_too():
    records = numbered(200, 2_000)
    unpacked = codec.gzip_decode(batch(1, records)[61:])
    linked = cramjam.lz4.Compressor(content_checksum=True, block_linked=True)
    linked.compress(unpacked)
    raw = packed_anew(batch(3, records), 3, bytes(linked.finish()), 200)

    assert of(raw, SMALL)[100][0] == 100
    assert [r[3] for r in of(raw)] == [key for key, _, _ in records]


def cut(records: Sequence[Given], limits: Limits) -> Iterator[tuple[Any, ...]]:
    """The straightforward way: what each record may keep, from its fields alone."""
    ends = [len(batch(0, records[:count])) for count in range(len(records) + 1)]
    for offset, (key, value, headers) in enumerate(records):
        length = ends[offset + 1] - ends[offset]
        length -= 1 if length - 1 < 64 else 2  # the number that says it
        if length <= limits.record:
            yield offset, FIRST + 10 * offset, 0, key, value, headers
            continue
        kept: list[tuple[str, bytes | None]]
        kept, room = [], limits.headers
        for name, held in headers:
            room -= len(name.encode()[: max(room, 0)]) + len((held or b"")[: max(room, 0)]) + 128
            if room >= 0:
                kept.append((name, held))
        shortened = key and key[: limits.record], value and value[: limits.record]
        yield offset, FIRST + 10 * offset, 0, *shortened, kept


texts = st.none() | st.binary(max_size=20) | st.integers(0, 400).map(bytes)
given_headers = st.lists(st.tuples(st.sampled_from(["", "a", "é" * 20]), texts), max_size=5)


@pytest.mark.slow
@given(
    st.sampled_from(list(CODECS.values())), st.lists(st.tuples(texts, texts, given_headers), min_size=1, max_size=12)
)
def test_any_records_lose_no_more_than_they_must(number: int, records: list[Given]):
    raw = batch(number, records)

    limits = Limits(at_once=1, record=100, headers=400)
    assert of(raw, limits) == list(cut(records, limits))
