"""Publishing JSON Lines: one event per line, in full or in short form, of a file or a pipe of any length."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from tailrace.errors import TailraceError
from tailrace.producer.client import Producer
from tailrace.producer.errors import DeliveryUnknown, EventRefused
from tailrace.schemas.refusals import RefusalCode
from tailrace.schemas.scrub import scrub

if TYPE_CHECKING:
    from tailrace.producer.results import Ack

CHUNK_BYTES: Final = 64 * 2**10
CHUNKS_AHEAD_MAX: Final = 4
LINE_BYTES_MAX: Final = 4 * 2**20
"""A longer line cannot be an event of 1 MiB, however it is written; the rest of it is skipped, not held."""
LISTED_MAX: Final = 10_000
"""So many refused and failed lines are listed in a report; all of them are counted."""
PROGRESS_LINES: Final = 1_000


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that does not fit the contract: its number (from 1), the code, the field's path if one is at fault."""

    line: int
    code: str
    path: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class FailedLine:
    """A line that fits and was not acknowledged; `unknown` says that it may be in the log nevertheless."""

    line: int
    event_id: str
    unknown: bool
    reason: str


@dataclass(slots=True)
class LinesReport:
    """What became of the lines that were read; `stopped_before` is the first not tried, because a delivery failed."""

    lines: int = 0
    published: int = 0
    refused_count: int = 0
    failed_count: int = 0
    stopped_before: int | None = None
    refused: list[RefusedLine] = field(default_factory=list)
    failed: list[FailedLine] = field(default_factory=list)
    first_failure: TailraceError | None = None

    def refuse(self, line: int, error: EventRefused) -> RefusedLine:
        """Count and list a refused line."""
        refused = RefusedLine(line, error.code, error.path, error.reason)
        self.refused_count += 1
        if len(self.refused) < LISTED_MAX:
            self.refused.append(refused)
        return refused

    def fail(self, line: int, event_id: str, error: TailraceError) -> None:
        """Count and list a line whose delivery failed."""
        self.failed_count += 1
        self.first_failure = self.first_failure or error
        if len(self.failed) < LISTED_MAX:
            self.failed.append(FailedLine(line, event_id, isinstance(error, DeliveryUnknown), str(error)))

    def document(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        document = asdict(self)
        del document["first_failure"]
        return document


Observer = Callable[[LinesReport, RefusedLine | None], None]
"""Called for every refused line, and without one every `PROGRESS_LINES` lines."""


async def publish_lines(
    lines: AsyncIterator[bytes | None], producer: Producer, observe: Observer = lambda _report, _refused: None
) -> LinesReport:
    """Publish every line that fits; those that do not are in the report, and their neighbours go on.

    Takes no further lines once a delivery failed: what was taken is in the report as published or failed, what was not
    begins at `stopped_before`. Memory is bounded by the producer's buffer and `LISTED_MAX`. Raises `ClockDrift`.
    """
    report = LinesReport()
    async with contextlib.aclosing(_events(lines, report, observe)) as events:
        async for event in events:
            if report.first_failure:
                report.stopped_before = report.lines
                break
            try:
                record = producer.validate(event)
            except EventRefused as error:
                observe(report, report.refuse(report.lines, error))
                continue
            acknowledged = await producer.submit_record(record)
            acknowledged.add_done_callback(_settled(report, report.lines, record.event_id))
    await producer.flush()
    # The callbacks of the last results run in the loop's next turn.
    await asyncio.sleep(0)
    return report


async def check_lines(
    lines: AsyncIterator[bytes | None], producer: Producer, observe: Observer = lambda _report, _refused: None
) -> LinesReport:
    """Check every line like `publish_lines`, and send none; needs no broker, the producer need not be started."""
    report = LinesReport()
    async for event in _events(lines, report, observe):
        try:
            producer.validate(event)
        except EventRefused as error:
            observe(report, report.refuse(report.lines, error))
    return report


async def read_lines(descriptor: int) -> AsyncIterator[bytes | None]:
    """Yield the lines of a file or pipe without their ends; None stands for one longer than `LINE_BYTES_MAX`."""
    rest = bytearray()
    skipping = False
    async with contextlib.aclosing(_chunks(descriptor)) as chunks:
        async for chunk in chunks:
            rest += chunk
            *whole, last = rest.split(b"\n")
            for line in whole:
                yield None if skipping or len(line) > LINE_BYTES_MAX else bytes(line)
                skipping = False
            rest = last
            if len(rest) > LINE_BYTES_MAX:
                rest, skipping = bytearray(), True
    if rest or skipping:
        yield None if skipping else bytes(rest)


async def _chunks(descriptor: int) -> AsyncGenerator[bytes, None]:
    """Read in a thread that nobody waits for: a terminal or pipe may give nothing for ever, also after Ctrl-C."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue(CHUNKS_AHEAD_MAX)

    def read() -> None:
        chunk = b"-"
        with contextlib.suppress(RuntimeError, asyncio.CancelledError, OSError):
            while chunk:
                chunk = os.read(descriptor, CHUNK_BYTES)
                asyncio.run_coroutine_threadsafe(queue.put(chunk), loop).result()

    threading.Thread(target=read, name="tailrace-read-lines", daemon=True).start()
    while chunk := await queue.get():
        yield chunk


async def _events(
    lines: AsyncIterator[bytes | None], report: LinesReport, observe: Observer
) -> AsyncGenerator[Mapping[str, Any], None]:
    async for line in lines:
        report.lines += 1
        if report.lines % PROGRESS_LINES == 0:
            observe(report, None)
        try:
            event = _parsed(line)
        except EventRefused as error:
            observe(report, report.refuse(report.lines, error))
        else:
            if event is not None:
                yield event


def _parsed(line: bytes | None) -> Mapping[str, Any] | None:
    """Return the event of a line; None for an empty one."""
    if line is None:
        raise EventRefused(RefusalCode.E_SIZE, f"line: longer than {LINE_BYTES_MAX} bytes")
    if not line.strip():
        return None
    try:
        event = from_json(scrub(line), allow_inf_nan=False)
    except ValueError as error:
        raise EventRefused(RefusalCode.E_DECODE, f"line: expected UTF-8 JSON; {error}") from None
    if not isinstance(event, dict):
        raise EventRefused(RefusalCode.E_SCHEMA, "line: expected an event, a JSON object")
    return event


def _settled(report: LinesReport, line: int, event_id: str) -> "Callable[[asyncio.Future[Ack]], None]":
    def settle(future: "asyncio.Future[Ack]") -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            report.published += 1
        elif isinstance(error, TailraceError):
            report.fail(line, event_id, error)

    return settle
