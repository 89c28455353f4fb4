"""Where imported events go: into a file of JSON Lines, as `tailrace publish` reads them, or into the log."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from tailrace.errors import TailraceError
from tailrace.history.generated import Generated
from tailrace.history.pacing import paced
from tailrace.history.resuming import Checkpoint

if TYPE_CHECKING:
    from tailrace.producer import Producer

REFUSALS_LISTED_MAX: Final = 100
"""Refused events beyond this many are counted and not listed."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One event that the log did not take, for its content; `reason` names the field and never holds its value."""

    event_id: str | None
    reason: str


@dataclass(slots=True)
class Sent:
    """What became of the events: `written` of them arrived, `refused` did not and `refusals` says why."""

    written: int
    refused: int
    refusals: list[Refusal]


class Sink(Protocol):
    """Takes events in their order. `take` may raise any TailraceError; what was taken before it stays."""

    async def take(self, events: Iterator[dict[str, Any]]) -> Sent:
        """Take all events and say what became of them."""


async def send(events: Iterable[Generated], sink: Sink) -> Sent:
    """Pass events on as they are made; ids, times and sequences stay, so sending again changes nothing."""
    return await sink.take(generated.event for generated in events)


class Writable(Protocol):
    """A binary file."""

    def write(self, data: bytes, /) -> object:
        """Write the bytes."""


class JsonLines:
    """A file: one event a line."""

    def __init__(self, file: Writable) -> None:
        self._file = file

    async def take(self, events: Iterator[dict[str, Any]]) -> Sent:
        """Write all events."""
        written = 0
        for event in events:
            self._file.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
            written += 1
        return Sent(written, 0, [])


class Nowhere:
    """For a dry run: lets the events be made, so that they are counted, and forgets them."""

    async def take(self, events: Iterator[dict[str, Any]]) -> Sent:
        """Take all events."""
        for _ in events:
            pass
        return Sent(0, 0, [])


class Log:
    """The log, through a producer that is open; it checks, keys and bounds.

    `checkpoint` skips what is done, `rate` is the most events a second.
    """

    def __init__(self, producer: "Producer", checkpoint: Checkpoint | None = None, rate: float | None = None) -> None:
        self._producer = producer
        self._checkpoint = checkpoint
        self._rate = rate

    async def take(self, events: Iterator[dict[str, Any]]) -> Sent:
        """Publish all events.

        One that does not fit the contract is counted and left out. Where the log cannot be reached for as long as the
        producer waits, this raises what it raised (exit 3 or 5) rather than try the remaining ones.
        """
        from tailrace.producer import Failed, Refused

        sent, checkpoint = Sent(0, 0, []), self._checkpoint
        rest = checkpoint.rest(events) if checkpoint else events
        async for result in self._producer.publish_stream(paced(rest, self._rate) if self._rate else rest):
            if isinstance(result, Failed):
                if checkpoint:
                    checkpoint.save()
                raise _stopped(result.error, sent.written)
            if checkpoint:
                checkpoint.note(result.event_id)
            if isinstance(result, Refused):
                sent.refused += 1
                if len(sent.refusals) < REFUSALS_LISTED_MAX:
                    sent.refusals.append(Refusal(result.event_id, str(result.error)))
            else:
                sent.written += 1
        if checkpoint:
            checkpoint.save()
        return sent


def _stopped(error: TailraceError, written: int) -> TailraceError:
    error.add_note(f"{written} events were in the log before")
    error.fix = error.fix or "run the same import again: nothing is imported twice"
    return error
