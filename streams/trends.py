"""Trends: how busy each channel was in the last minute, five minutes and hour, by event time.

Every event says a window's counts as they are, with its bounds, so saying it twice changes nothing; of several about
one window the one with the highest sequence holds. A window is given out when it has ended, and again when a late event
changed it.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid5

import orjson

from tailrace.projections.emoji import canonical_emoji
from tailrace.schemas.catalogue import PREFIX
from tailrace.schemas.decode import decode
from tailrace.schemas.envelope import CONTENT_TYPE
from tailrace.schemas.event import Event
from tailrace.schemas.fields import rfc3339
from tailrace.streams.records import Output, Record, append_time, sequence_of
from tailrace.streams.stream import Folded, Stream
from tailrace.streams.surroundings import may_hold
from tailrace.streams.windows import Counts, Panes, Window

TOPIC: Final = "trends"
REACTION_WEIGHT: Final = 0.5
"""A reaction counts for so much of a message."""
_MARKERS: Final = (b"collab.message.posted", b"collab.reaction.added")
_HEADERS: Final = (("content-type", CONTENT_TYPE.encode()),)


def trends(topic: Callable[[str], str]) -> Stream:
    """The stream."""
    del topic
    return Stream("trends", "conversations", (TOPIC,), memory=True, open=lambda _: Trends())


def hot_score(messages: int, reactions: int, active_users: int, seconds: int) -> float:
    """How hot: what happened per minute, reactions at half, times 1 + ln(people); 0 where nobody was.

    So a conversation among many is hotter than as many messages by one, without people alone deciding.
    """
    if not active_users:
        return 0.0
    rate = (messages + REACTION_WEIGHT * reactions) * 60 / seconds
    return round(rate * (1 + math.log(active_users)), 4)


class Trends:
    """The work of one partition of the conversations."""

    def __init__(self) -> None:
        self._panes = Panes()
        self._is_idle = False

    def fold(self, record: Record) -> Folded:
        """Count one record; what is refused is the PostgreSQL worker's dead letter, not ours."""
        self._is_idle = False
        value = record.value
        if value is None or not may_hold(value, _MARKERS):
            return ()
        appended = append_time(record)
        event = decode(record.topic, record.key, value, appended)
        if isinstance(event, Event) and (_is_message(event) or event.type == "collab.reaction.added"):
            self._count(event, appended, sequence_of(record))
        return ()

    def settle(self, now: datetime | None) -> Sequence[Output]:
        """Windows that ended: by the events themselves, and by the clock where none has come since the last call.

        Only when they are given out depends on the clock. What counts for them never does: an event that comes
        afterwards changes the window, which is then given out again.
        """
        is_idle, self._is_idle = self._is_idle, now is not None
        until = max(self._panes.watermark, now.timestamp()) if now is not None and is_idle else self._panes.watermark
        return [_output(window, counts) for window, counts in self._panes.closed(until)]

    def _count(self, event: Event, appended: datetime, revision: int) -> None:
        data = event.data
        times = event.time.timestamp(), appended.timestamp()
        pane = self._panes.open(data["channel_id"], data["workspace_id"], *times, revision)
        if pane is None:
            return
        pane.users.add(data["user_id"])
        if event.type == "collab.reaction.added":
            pane.reactions.add((data["message_id"], data["user_id"], canonical_emoji(data["emoji"])))
        else:
            # A retry under another id is the same message (rule M).
            client_msg_id = data["client_msg_id"]
            pane.messages.add(f"{data['user_id']}/{client_msg_id}" if client_msg_id else data["message_id"])


def _is_message(event: Event) -> bool:
    """What rule A counts as sent: text, file and bot."""
    return event.type == "collab.message.posted" and event.data["message_type"] != "system"


def _output(window: Window, counts: Counts) -> Output:
    identity = uuid5(UUID(window.channel_id), f"{window.start}/{window.size}")
    closed = {
        "specversion": "1.0",
        "id": str(uuid5(identity, str(counts.revision))),
        "type": f"{PREFIX}trend.window_closed",
        "source": "/tailrace/streams/trends",
        "subject": window.channel_id,
        "time": rfc3339(datetime.fromtimestamp(window.end, UTC)),
        "sequence": str(counts.revision),
        "workspaceid": counts.workspace_id,
        "data": {
            "channel_id": window.channel_id,
            "workspace_id": counts.workspace_id,
            "window_start": rfc3339(datetime.fromtimestamp(window.start, UTC)),
            "window_seconds": window.size,
            "messages": counts.messages,
            "reactions": counts.reactions,
            "active_users": counts.active_users,
            "hot_score": hot_score(counts.messages, counts.reactions, counts.active_users, window.size),
        },
    }
    return Output(TOPIC, window.channel_id.encode(), orjson.dumps(closed), _HEADERS)
