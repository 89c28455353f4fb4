"""What a consumer of aiokafka takes at once, and that all of them are asked to unpack within bounds."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder

import tailrace
from tailrace.unpacking import BrokenBatchError, bare, bound_unpacking
from tailrace.unpacking.fetching import TAKEN_BYTES_MAX, BoundedRecords

MIB = 2**20
PARTITION = TopicPartition("t", 0)
PEAK_MIB_MAX = 60
ROOT = Path(tailrace.__file__).parents[2]


class Assigned:
    """A partition's place in the subscription, as the fetcher sees it."""

    active = True
    paused = False
    position = 0

    def state_value(self, _: TopicPartition) -> "Assigned":
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


def batch(number: int, base: int, values: list[bytes]) -> bytes:
    builder = DefaultRecordBatchBuilder(2, number, 0, -1, -1, -1, 2**40)
    for offset, value in enumerate(values):
        builder.append(offset, 1, b"k", value, [])
    return base.to_bytes(8, "big") + bytes(builder.build())[8:]


def result(answer: bytes, assigned: Assigned, key_deserializer: Any = None) -> Any:
    bound_unpacking()
    records = fetcher.PartitionRecords(
        PARTITION,
        fetcher.MemoryRecords(answer),
        [],
        assigned.position,
        key_deserializer,
        None,
        check_crcs=True,
        isolation_level=fetcher.READ_COMMITTED,
    )
    return fetcher.FetchResult(PARTITION, assignment=assigned, partition_records=records, backoff=0)


def test_a_second_call_changes_nothing():
    bound_unpacking()
    once = fetcher.FetchResult.getall
    bound_unpacking()

    assert (fetcher.MemoryRecords, fetcher.FetchResult.getall) == (BoundedRecords, once)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(5))
def test_a_partition_gives_some_mib_at_a_time_and_everything_in_the_end(number: int):
    assigned = Assigned()
    values = [bytes(MIB)] * 30
    answer = batch(number, 0, values) + batch(0, 30, [b"x"] * 200) + batch(number, 230, values)
    fetched = result(answer, assigned)
    offsets: list[int] = []

    while fetched.has_more():
        part = fetched.getall(1_000)
        assert sum(len(record.value) for record in part) < TAKEN_BYTES_MAX + MIB
        offsets += [record.offset for record in part]
        assert assigned.position == (offsets[-1] + 1 if offsets else 0)

    assert offsets == list(range(260))


def test_no_more_records_are_given_than_were_asked_for():
    fetched = result(batch(4, 0, [b"x"] * 1_000), Assigned())

    assert [len(fetched.getall(wanted)) for wanted in (1, 64, 65, 500, 1_000)] == [1, 64, 65, 500, 370]


def broken(number: int, base: int) -> bytes:
    whole = batch(number, base, [b"x"] * 100)
    return whole[:-5] + bytes(5)


@pytest.mark.parametrize("number", [0, 1, 4], ids=["plain", "gzip", "zstd"])
def test_all_that_stands_before_a_broken_batch_is_given(number: int):
    assigned = Assigned()
    fetched = result(batch(number, 0, [b"x"] * 99) + broken(number, 99), assigned)

    assert [record.offset for record in fetched.getall(1_000)] == list(range(99))
    assert assigned.position == 99
    assert fetched.getall(1_000) == []
    assert not fetched.has_more()


def test_a_broken_batch_names_its_partition():
    assigned = Assigned()
    assigned.position = 99

    with pytest.raises(BrokenBatchError) as raised:
        result(broken(1, 99), assigned).getall(1_000)

    assert raised.value.partition == PARTITION
    assert assigned.position == 99


BOMBS = {
    "one record of 150 MiB": "[bytes(150 * 2**20)]",
    "150 records of 1 MiB": "[bytes(2**20)] * 150",
}
READ = """
import re, sys
from pathlib import Path
from aiokafka.record.default_records import DefaultRecordBatch
from tailrace.unpacking.batches import BoundedBatch

def kib(name): return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

raw = sys.stdin.buffer.read()
before, records = kib("VmRSS"), 0
for record in BoundedBatch(DefaultRecordBatch(raw), raw):
    records += 1
print(records, (kib("VmHWM") - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [1, 3, 4], ids=["gzip", "lz4", "zstd"])
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_takes_some_mib(number: int, bomb: str):
    values = eval(bomb)  # noqa: S307 - one of those above

    done = subprocess.run(
        [sys.executable, "-c", READ], input=batch(number, 0, values), capture_output=True, check=True, timeout=60
    )

    records, peak_mib = map(int, done.stdout.split())
    assert records == len(values)
    assert peak_mib < PEAK_MIB_MAX


def test_every_reader_of_the_log_asks_for_it():
    sources = [path for folder in ("src", "consumers", "streams") for path in (ROOT / folder).rglob("*.py")]
    reading = [path for path in sources if re.search(r"AIOKafkaConsumer\(", path.read_text())]
    asked = {path.stem for path in reading if "bound_unpacking()" in path.read_text()}

    assert len(asked) > 8
    assert {path.stem for path in reading} - asked == {"streams"}, "it reads offsets and no records"


@pytest.mark.parametrize("number", [0, 3])
def test_bare_records_are_the_same_records(number: int):
    answer = batch(number, 0, [b"a", b"bb"]) + batch(number, 2, [b"", bytes(9 * MIB)])
    whole, found = [result(answer, Assigned(), how).getall() for how in (None, bare)]
    assert len(whole) == len(found) == 4
    for expected, record in zip(whole, found, strict=True):
        for name in ("offset", "timestamp", "key", "value"):
            assert getattr(record, name) == getattr(expected, name)
