"""Reading one's own writes: waits until a record of the log is in the tables that are going to be read."""

import re
import time
import uuid
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tailrace.analysis.access import snapshot
from tailrace.errors import PartlyDoneError, PreconditionError, UsageError
from tailrace.projections.registry import POSTGRES
from tailrace.settings import Settings

POLL_S = 0.2
_PLACE = re.compile(r"([A-Za-z0-9._-]+)/(\d+)@(\d+)")


class Place(NamedTuple):
    """A record's place in the log; the topic by its full name."""

    topic: str
    partition: int
    offset: int


def parse_place(text: str, settings: Settings) -> Place:
    """`conversations/3@88012`, as publishing answers it; the topic's prefix may be left out. Raises `UsageError`."""
    fits = _PLACE.fullmatch(text)
    if fits is None:
        raise UsageError(f"--after {text}: a record is TOPIC/PARTITION@OFFSET", fix="--after conversations/3@88012")
    topic = fits[1] if fits[1].startswith(settings.kafka.topic_prefix) else settings.topic(fits[1])
    if topic not in {settings.topic(short) for short in POSTGRES.topics}:
        raise UsageError(f"--after {text}: no table that analysts read depends on {topic}")
    return Place(topic, int(fits[2]), int(fits[3]))


def _place(text: str, settings: Settings, timeout_s: float) -> Place:
    try:
        event_id = uuid.UUID(text)
    except ValueError:
        return parse_place(text, settings)
    from tailrace.analysis.locating import locate_event

    return Place(*locate_event(settings, event_id, timeout_s))


def wait_for(
    settings: Settings,
    places: Sequence[str],
    *,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Return when every record is applied where queries read (on the replica, if that is read).

    A record is given by its place (`conversations/3@88012`) or by its event's id, which is looked for in the log.
    Raises `PartlyDoneError` when it is not applied after `timeout_s`, `PreconditionError` at once where a partition
    stands still, `NotFoundError` for an event that is not in the log, and `UsageError` for what is no place. Without
    places it returns at once and asks nobody.
    """
    deadline = clock() + timeout_s
    left = [_place(text, settings, timeout_s) for text in places]
    while left:
        left = [place for place in left if not _applied(settings, place)]
        if left and clock() >= deadline:
            shown = ", ".join(f"{place.topic}/{place.partition}@{place.offset}" for place in left)
            raise PartlyDoneError(f"not applied within {timeout_s:g} s: {shown}", fix="tailrace lag; or --wait S")
        if left:
            pause(min(POLL_S, max(0.0, deadline - clock())))


def _applied(settings: Settings, place: Place) -> bool:
    with snapshot(settings, allow_stale=True) as opened:
        statement = (
            f"SELECT next_offset > %s, halted_code FROM {opened.analytics}.freshness_partitions"  # noqa: S608 - quoted name
            " WHERE projection = %s AND version = %s AND topic = %s AND partition = %s"
        )
        values = (place.offset, POSTGRES.name, POSTGRES.version, place.topic, place.partition)
        row = opened.conn.execute(statement.encode(), values).fetchone()
    if row and not row[0] and row[1]:
        raise PreconditionError(f"{place.topic}/{place.partition} stands still: {row[1]}", fix="tailrace status")
    return bool(row and row[0])
