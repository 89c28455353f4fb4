import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from tailrace.errors import TailraceError, UnreachableError
from tailrace.streams.pipeline import Pipeline
from tailrace.streams.records import Output, Record
from tailrace.streams.stream import Stream

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def rec(offset: int, partition: int = 0) -> Record:
    return Record("inbound", partition, offset, 0, b"k", str(offset).encode())


class Log:
    """A partition's records 0 … end-1, less those whose offsets are transaction markers."""

    def __init__(self, end: int, *, beginning: int = 0, markers: Sequence[int] = ()) -> None:
        self.end, self.beginning, self.markers = end, beginning, markers
        self.read_stretches: list[tuple[int, int]] = []

    async def beginnings(self, partitions):
        return dict.fromkeys(partitions, self.beginning)

    async def read(self, partition: int, start: int, stop: int) -> AsyncIterator[list[Record]]:
        self.read_stretches.append((start, stop))
        yield [rec(offset, partition) for offset in range(start, stop) if offset not in self.markers]


class Sent:
    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.broken = False

    async def send(self, outputs: Sequence[Output]) -> None:
        if self.broken:
            raise UnreachableError("gone")
        self.outputs += outputs

    @property
    def values(self) -> list[bytes | None]:
        return [output.value for output in self.outputs]


class Counting:
    """Says of every record how many were before it, which is wrong as soon as one is missing or doubled."""

    def __init__(self) -> None:
        self.count = 0

    def fold(self, record: Record) -> list[Output]:
        if record.value == b"13":
            raise ValueError("a secret of the record")
        self.count += 1
        return [Output("out", record.key, f"{record.offset}:{self.count}".encode())]

    def settle(self, now: datetime | None) -> list[Output]:
        del now
        return []


def pipeline(log: Log, sent: Sent, *, memory: bool) -> Pipeline:
    stream = Stream("counting", "inbound", ("out",), memory, lambda _: Counting())
    return Pipeline(stream, "t.inbound", log, sent, lambda: NOW)


async def test_records_go_out_in_order_and_the_position_follows():
    sent = Sent()
    pipe = pipeline(Log(10), sent, memory=False)
    await pipe.process([rec(0), rec(1), rec(2)], {0: None})

    assert sent.values == [b"0:1", b"1:2", b"2:3"]
    assert pipe.position(0) == 3


async def test_a_record_delivered_twice_goes_out_once():
    sent = Sent()
    pipe = pipeline(Log(10), sent, memory=False)
    await pipe.process([rec(0), rec(1), rec(1)], {0: None})
    await pipe.process([rec(0), rec(1), rec(2)], {0: None})

    assert sent.values == [b"0:1", b"1:2", b"2:3"]


async def test_what_was_passed_over_is_read_from_the_log():
    sent = Sent()
    pipe = pipeline(Log(10), sent, memory=False)
    await pipe.process([rec(1), rec(4), rec(5)], {0: None})

    assert sent.values == [b"0:1", b"1:2", b"2:3", b"3:4", b"4:5", b"5:6"]
    assert pipe.totals.filled == 3


async def test_offsets_of_transaction_markers_are_no_records():
    sent = Sent()
    pipe = pipeline(Log(10, markers=(1,)), sent, memory=False)
    await pipe.process([rec(0), rec(2)], {0: None})

    assert sent.values == [b"0:1", b"2:2"]


async def test_without_memory_it_starts_where_the_commit_stands():
    sent = Sent()
    pipe = pipeline(Log(10), sent, memory=False)
    await pipe.process([rec(5)], {0: 4})

    assert sent.values == [b"4:1", b"5:2"]


async def test_with_memory_it_folds_everything_before_the_commit_and_sends_nothing_of_it():
    sent = Sent()
    pipe = pipeline(Log(10), sent, memory=True)
    await pipe.process([rec(5)], {0: 5})

    assert sent.values == [b"5:6"]
    assert pipe.totals.caught_up == 5


async def test_a_partition_that_comes_back_catches_up_with_what_others_did():
    sent = Sent()
    log = Log(10)
    pipe = pipeline(log, sent, memory=True)
    await pipe.process([rec(0), rec(1)], {0: None})
    pipe.let_go({0})
    await pipe.process([rec(6)], {0: 6})

    assert sent.values == [b"0:1", b"1:2", b"6:7"]
    assert log.read_stretches[-1] == (2, 6)


async def test_a_partition_that_comes_back_at_an_older_commit_does_nothing_twice():
    sent = Sent()
    pipe = pipeline(Log(10), sent, memory=True)
    await pipe.process([rec(0), rec(1), rec(2)], {0: None})
    pipe.let_go({0})
    await pipe.process([rec(1), rec(2), rec(3)], {0: 1})

    assert sent.values == [b"0:1", b"1:2", b"2:3", b"3:4"]


async def test_the_position_stays_where_a_send_failed():
    sent = Sent()
    pipe = pipeline(Log(10), sent, memory=False)
    await pipe.process([rec(0)], {0: None})
    sent.broken = True
    with pytest.raises(UnreachableError):
        await pipe.process([rec(1)], {0: None})

    assert pipe.position(0) == 1


async def test_a_fault_is_a_dead_letter_and_its_neighbours_go_on():
    sent = Sent()
    pipe = pipeline(Log(20), sent, memory=False)
    await pipe.process([rec(12), rec(13), rec(14)], {0: 12})
    letter = sent.outputs[1]
    headers = dict(letter.headers)

    assert [output.topic for output in sent.outputs] == ["out", "dead-letters", "out"]
    assert (letter.key, letter.value) == (b"k", b"13")
    assert headers["tr-code"] == b"E_PROJECTION"
    assert headers["tr-reason"] == b"ValueError"
    assert headers["tr-projection"] == b"counting"
    assert headers["kafka_dlt-original-offset"] == (13).to_bytes(8, "big")
    assert headers["__connect.errors.topic"] == b"t.inbound"


async def test_outputs_say_which_record_they_come_from():
    sent = Sent()
    pipe = pipeline(Log(10), sent, memory=False)
    await pipe.process([rec(3, partition=2)], {2: 3})

    assert dict(sent.outputs[0].headers) == {
        "tr-stream": b"counting",
        "tr-source-topic": b"t.inbound",
        "tr-source-partition": b"2",
        "tr-source-offset": b"3",
    }


class Closing(Counting):
    """Says at the next settling how many records it has seen."""

    def settle(self, now: datetime | None) -> list[Output]:
        return [] if now is None else [Output("out", None, f"{self.count} seen".encode())]


async def test_a_partition_in_which_nothing_comes_any_more_is_settled_by_its_new_owner():
    sent = Sent()
    stream = Stream("closing", "inbound", ("out",), memory=True, open=lambda _: Closing())
    pipe = Pipeline(stream, "t.inbound", Log(10), sent, lambda: NOW)
    await pipe.tick({0: 4})

    assert sent.values == [b"4 seen"]
    assert pipe.seen(0) == 4


class Stuck(Sent):
    """Never gets an answer."""

    async def send(self, outputs: Sequence[Output]) -> None:
        self.outputs += outputs
        await asyncio.Future()


async def test_behind_a_batch_that_was_cut_short_no_position_moves():
    pipe = pipeline(Log(10), Stuck(), memory=True)
    batch = asyncio.create_task(pipe.process([rec(0)], {0: None}))
    await asyncio.sleep(0)
    batch.cancel()
    await asyncio.wait({batch})

    for work in (pipe.process([rec(1)], {0: None}), pipe.tick({0: None})):
        with pytest.raises(TailraceError, match="cut short"):
            await work
    assert pipe.position(0) == 0


class Minutes:
    """Gives out every record when it is final: by those behind it, or by the clock."""

    def __init__(self) -> None:
        self.open: list[Output] = []

    def fold(self, record: Record) -> list[Output]:
        self.open.append(Output("out", None, record.value))
        return []

    def settle(self, now: datetime | None) -> list[Output]:
        final, self.open = (self.open[:-1], self.open[-1:]) if now is None else (self.open, [])
        return final


async def test_what_only_the_clock_makes_final_comes_from_whoever_has_the_partition_then():
    sent = Sent()
    stream = Stream("minutes", "inbound", ("out",), memory=True, open=lambda _: Minutes())
    pipe = Pipeline(stream, "t.inbound", Log(10), sent, lambda: NOW)
    await pipe.tick({0: 4})

    assert sent.values == [b"3"]
