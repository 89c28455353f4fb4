"""Which dead letter a record was redriven from: a header that `dlq redrive` writes and the workers read."""

from collections.abc import Mapping
from typing import Final

from tailrace.consumers.batch import Record
from tailrace.schemas.event import Event

ATTEMPT: Final = "tr-attempt"
"""Header: which attempt this is, as decimal text."""
REDRIVEN_FROM: Final = "tr-redriven-from"
"""Header: topic/partition/offset of the dead letter."""

Place = tuple[str, int, int]
"""Topic (full name), partition and offset of a record."""


def place_of(event: Event, topics: Mapping[str, str]) -> Place:
    """Where the event lies in the log; `topics` maps short to full names."""
    return topics[event.topic], event.partition, event.offset


def redriven_from(record: Record) -> Place | None:
    """Place that the record claims to be redriven from; anybody can write such a header."""
    for name, value in record.headers:
        if name == REDRIVEN_FROM:
            topic, _, numbers = value.decode("utf-8", "replace").partition("/")
            partition, _, offset = numbers.partition("/")
            if partition.isdecimal() and offset.isdecimal() and len(offset) <= 18 and len(partition) <= 9:  # noqa: PLR2004 - what int4 and int8 surely hold
                return topic, int(partition), int(offset)
    return None


def redrive_headers(headers: tuple[tuple[str, bytes], ...], letter: Place, attempt: int) -> list[tuple[str, bytes]]:
    """The record's own headers, and which letter and which attempt this is."""
    kept = [(name, value) for name, value in headers if name not in (ATTEMPT, REDRIVEN_FROM)]
    return [*kept, (ATTEMPT, str(attempt).encode()), (REDRIVEN_FROM, "{}/{}/{}".format(*letter).encode())]
