"""Every window of every channel, recounted from the events that are in it, one window at a time.

A window looks at itself: of the postings of one message (a retry under the same `client_msg_id` is one) that are in it,
one counts; so do distinct reactions, and distinct people. Each partition has its own clock: the newest event time so
far, never later than the broker's append time. An event counts unless that clock stood ten minutes or more past the end
of its minute when it came.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from tailrace.schemas.event import Event
from tailrace.verification.fold_emoji import canonical
from tailrace.verification.fold_log import FreeRow, Key, Row, Table

MINUTE_S: Final = 60
GRACE_S: Final = 600
WINDOWS: Final = ((60, 60), (300, 60), (3_600, 300))
"""Length, and distance from one to the next, in seconds."""
REACTIONS_FOR_A_MESSAGE: Final = 2

Hit = tuple[float, str, str, str]
"""Time in seconds since 1970, person, "message" or "reaction", and what of it counts once."""


def trends(events: Sequence[Event]) -> Table:
    """Expected values by (channel_id, window_seconds, window_start); windows without any event have no row.

    `events` are those of the conversations in the order of the log. A window that had not ended by its partition's
    clock is a `FreeRow`: the stream gives it out when it has ended by the real one.
    """
    found: dict[Key, Row] = {}
    conversations = (event for event in events if event.topic == "conversations")
    for _, partition in groupby(conversations, key=lambda event: event.partition):
        channels, clock = _in_time(partition)
        for (channel_id, workspace_id), hits in channels.items():
            for start, seconds, inside in _windows(sorted(hits)):
                row = _count(workspace_id, seconds, inside)
                key = channel_id, seconds, datetime.fromtimestamp(start, UTC)
                found[key] = row if start + seconds <= clock else FreeRow(row)
    return found


def _in_time(partition: Iterable[Event]) -> tuple[dict[tuple[str, str], list[Hit]], float]:
    """What counts, by channel and workspace, and how far the partition's clock came."""
    channels: defaultdict[tuple[str, str], list[Hit]] = defaultdict(list)
    clock = 0.0
    for event in partition:
        data, name = event.data, event.type.removeprefix("collab.")
        if name == "message.posted" and data["message_type"] != "system":
            client = data["client_msg_id"]
            what = "message", f"{data['user_id']} {client}" if client else data["message_id"]
        elif name == "reaction.added":
            what = "reaction", f"{data['message_id']} {data['user_id']} {canonical(data['emoji'])}"
        else:
            continue
        time = event.time.timestamp()
        if clock < time - time % MINUTE_S + MINUTE_S + GRACE_S:
            channels[data["channel_id"], data["workspace_id"]].append((time, data["user_id"], *what))
        appended = event.appended_at.timestamp() if event.appended_at else time
        clock = max(clock, min(time, appended))
    return channels, clock


def _windows(hits: Sequence[Hit]) -> Iterator[tuple[int, int, Sequence[Hit]]]:
    """Start, length and content of every window that holds one of the hits, which are sorted by time."""
    for seconds, step in WINDOWS:
        starts = {
            start
            for minute in {int(hit[0] // MINUTE_S) * MINUTE_S for hit in hits}
            for start in range(minute // step * step, minute - seconds, -step)
        }
        first = 0
        for start in sorted(starts):
            while hits[first][0] < start:
                first += 1
            last = first
            while last < len(hits) and hits[last][0] < start + seconds:
                last += 1
            yield start, seconds, hits[first:last]


def _count(workspace_id: str, seconds: int, hits: Sequence[Hit]) -> Row:
    messages = len({what for _, _, kind, what in hits if kind == "message"})
    reactions = len({what for _, _, kind, what in hits if kind == "reaction"})
    people = len({person for _, person, _, _ in hits})
    per_minute = (messages + reactions / REACTIONS_FOR_A_MESSAGE) * MINUTE_S / seconds
    return {
        "workspace_id": workspace_id,
        "messages": messages,
        "reactions": reactions,
        "active_users": people,
        "hot_score": per_minute * (1 + math.log(people)),
    }
