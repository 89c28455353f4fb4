"""Takes a stream's batches, whatever Faust makes of them, and keeps the promises: nothing left out, nothing reordered.

Faust acknowledges records that it passed over (of an older generation, or while its flow is suspended), and delivers
some twice. So its acknowledgements are not used: each partition has a position of its own, which moves only when the
outputs before it are acknowledged by the broker, and only that is committed. A record below the position was done; one
above it means that records are missing between, and these are read from the log before it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from tailrace.errors import TailraceError
from tailrace.schemas.dead_letters import DeadLetter, dead_letter_headers
from tailrace.schemas.event import Refusal
from tailrace.schemas.refusals import RefusalCode
from tailrace.streams.reading import Reader
from tailrace.streams.records import Output, Record, append_time
from tailrace.streams.sending import Sender
from tailrace.streams.stream import Stream, Work

log = structlog.get_logger()

DEAD_LETTERS: Final = "dead-letters"
OUTPUTS_MAX: Final = 5_000
"""Outputs held before they are sent, when a long stretch is read again."""
YIELD_EVERY_RECORDS: Final = 250
SOURCE_HEADERS: Final = ("tr-stream", "tr-source-topic", "tr-source-partition", "tr-source-offset")


@dataclass
class Lane:
    """One partition. `position` is the offset before which everything is sent; `seen` that before which is folded."""

    work: Work
    position: int
    seen: int
    resumed: bool = True


@dataclass
class Totals:
    """Counts since the start."""

    records: int = 0
    outputs: int = 0
    dead_letters: int = 0
    caught_up: int = 0
    filled: int = 0


async def _nothing() -> None:
    """There is nothing else to look at."""


class Pipeline:
    """The partitions of one stream in one process. `anchors` says where Kafka's commits stand, by partition.

    Every method may raise a `TailraceError`; the process must then end, and another one
    starts from what is committed. `look_around` brings what a stream keeps of other topics up to date; it is awaited
    before every batch.
    """

    def __init__(
        self,
        stream: Stream,
        source: str,
        reader: Reader,
        sender: Sender,
        now: Callable[[], datetime],
        look_around: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.stream = stream
        self.totals = Totals()
        self._source = source
        self._reader = reader
        self._sender = sender
        self._now = now
        self._look_around = look_around or _nothing
        self._lanes: dict[int, Lane] = {}
        self._busy = asyncio.Lock()
        self._is_whole = True

    def position(self, partition: int) -> int | None:
        """Offset that may be committed; None where nothing was done yet. Safe to call from another thread."""
        lane = self._lanes.get(partition)
        return None if lane is None else lane.position

    def seen(self, partition: int) -> int | None:
        """Offset before which everything was folded, also while catching up; None where nothing was read yet."""
        lane = self._lanes.get(partition)
        return None if lane is None else lane.seen

    def let_go(self, partitions: Iterable[int]) -> None:
        """Others may work on these from now on: before the next record, see where they left them."""
        for partition in partitions:
            if (lane := self._lanes.get(partition)) is not None:
                lane.resumed = False

    async def process(self, records: Sequence[Record], anchors: Mapping[int, int | None]) -> None:
        """Fold the records, send what follows from them, then move the positions."""
        by_partition: dict[int, list[Record]] = {}
        for record in records:
            by_partition.setdefault(record.partition, []).append(record)
        async with self._all_or_nothing():
            outputs: list[Output] = []
            await self._look_around()
            for partition, some in by_partition.items():
                lane = await self._lane(partition, anchors.get(partition))
                async for stretch in self._contiguous(lane, partition, some):
                    outputs += await self._fold(lane, stretch)
                    if len(outputs) >= OUTPUTS_MAX:
                        await self._send(outputs)
                        outputs = []
                outputs += self._settled(lane, partition)
            await self._send(outputs)
            for partition in by_partition:
                lane = self._lanes[partition]
                lane.position = lane.seen

    async def tick(self, anchors: Mapping[int, int | None]) -> None:
        """Send what has become final although no record came, also where none has come since the assignment."""
        async with self._all_or_nothing():
            for partition, anchor in anchors.items():
                lane = await self._lane(partition, anchor)
                await self._send(self._settled(lane, partition))

    @asynccontextmanager
    async def _all_or_nothing(self) -> AsyncIterator[None]:
        """One at a time; after one that was cut short, by an error or by cancelling it, no position moves any more.

        Its outputs have left the state, and nobody knows whether they have arrived.
        """
        async with self._busy:
            if not self._is_whole:
                raise TailraceError(f"stream {self.stream.name}: a batch was cut short", fix="run it again")
            self._is_whole = False
            yield
            self._is_whole = True

    async def _lane(self, partition: int, anchor: int | None) -> Lane:
        """The partition's lane, with everything folded that was committed, by whomever."""
        lane = self._lanes.get(partition)
        if lane is not None and lane.resumed:
            return lane
        await self._look_around()
        if anchor is None or lane is None:
            beginning = (await self._reader.beginnings([partition]))[partition]
            anchor = beginning if anchor is None else anchor
            if lane is None:
                start = beginning if self.stream.memory else anchor
                lane = self._lanes[partition] = Lane(self.stream.open(partition), start, start)
        if self.stream.memory:
            async for stretch in self._reader.read(partition, lane.seen, anchor):
                await self._fold(lane, stretch)
                self.totals.caught_up += len(stretch)
        lane.seen = lane.position = max(lane.seen, anchor)
        if self.stream.memory:
            # Whoever committed this has sent it; but not what only the clock has made final, so that is still to come.
            lane.work.settle(None)
        lane.resumed = True
        log.info("stream_partition_ready", stream=self.stream.name, partition=partition, position=lane.position)
        return lane

    async def _contiguous(self, lane: Lane, partition: int, records: list[Record]) -> AsyncIterator[list[Record]]:
        """The records that are not folded yet, and before them those that are missing."""
        stretch: list[Record] = []
        expected = lane.seen
        for record in records:
            if record.offset < expected:
                continue
            if record.offset > expected:
                if stretch:
                    yield stretch
                    stretch = []
                async for missing in self._reader.read(partition, expected, record.offset):
                    self.totals.filled += len(missing)
                    yield missing
            stretch.append(record)
            expected = record.offset + 1
        if stretch:
            yield stretch

    async def _fold(self, lane: Lane, records: Sequence[Record]) -> list[Output]:
        outputs: list[Output] = []
        for index, record in enumerate(records):
            if index % YIELD_EVERY_RECORDS == YIELD_EVERY_RECORDS - 1:
                await asyncio.sleep(0)  # heartbeats and the answers to sends
            outputs += self._outputs(lane, record)
            lane.seen = record.offset + 1
        return outputs

    def _outputs(self, lane: Lane, record: Record) -> list[Output]:
        self.totals.records += 1
        try:
            folded = lane.work.fold(record)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one record, its neighbours go on
            # Not with the traceback: the text of an error may quote the event.
            kind = type(error).__name__
            log.warning("stream_fault", stream=self.stream.name, error=kind, offset=record.offset)
            folded = Refusal(RefusalCode.E_PROJECTION, kind, None, None, None)
        if isinstance(folded, Refusal):
            self.totals.dead_letters += 1
            return [self._dead_letter(record, folded)]
        source = self._source_headers(record.partition, record.offset)
        return [output._replace(headers=(*output.headers, *source)) for output in folded]

    def _settled(self, lane: Lane, partition: int) -> list[Output]:
        source = self._source_headers(partition, lane.seen - 1)
        return [output._replace(headers=(*output.headers, *source)) for output in lane.work.settle(self._now())]

    def _source_headers(self, partition: int, offset: int) -> tuple[tuple[str, bytes], ...]:
        values = (self.stream.name, self._source, str(partition), str(offset))
        return tuple((name, value.encode()) for name, value in zip(SOURCE_HEADERS, values, strict=True))

    def _dead_letter(self, record: Record, refusal: Refusal) -> Output:
        letter = DeadLetter(
            topic=self._source,
            partition=record.partition,
            offset=record.offset,
            headers=record.headers,
            code=str(refusal.code),
            reason=refusal.reason,
            projection=self.stream.name,
            attempts=1,
            first_failed_at=self._now(),
            appended_at=append_time(record),
        )
        return Output(DEAD_LETTERS, record.key, record.value, tuple(dead_letter_headers(letter)))

    async def _send(self, outputs: Sequence[Output]) -> None:
        await self._sender.send(outputs)
        self.totals.outputs += len(outputs)
