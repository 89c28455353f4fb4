"""Which channels of a workspace are hottest, as the trends topic tells it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.streams.records import Record, append_time


@dataclass(frozen=True, slots=True)
class Hot:
    """One channel in one window, [window_start, window_start + window_seconds), UTC."""

    channel_id: str
    window_start: datetime
    window_seconds: int
    messages: int
    reactions: int
    active_users: int
    hot_score: float


class Board:
    """The newest window of every channel of a workspace, for windows of one size in seconds."""

    def __init__(self, workspace_id: str, window_seconds: int) -> None:
        self._workspace_id = workspace_id
        self._size = window_seconds
        self._newest: dict[str, tuple[datetime, int, Hot]] = {}

    def take(self, record: Record) -> None:
        """Take a record of the trends topic; of one window, the values with the highest sequence hold."""
        event = decode(record.topic, record.key, record.value, append_time(record))
        if not isinstance(event, Event):
            return
        data = event.data
        if data["workspace_id"] != self._workspace_id or data["window_seconds"] != self._size:
            return
        held = self._newest.get(data["channel_id"])
        if held is None or (data["window_start"], event.sequence) > held[:2]:
            counts = {name: data[name] for name in ("messages", "reactions", "active_users")}
            hot = Hot(
                data["channel_id"], data["window_start"], self._size, hot_score=data["hot_score"] or 0.0, **counts
            )
            self._newest[data["channel_id"]] = data["window_start"], event.sequence, hot

    def hottest(self, limit: int) -> list[Hot]:
        """The hottest channels, hottest first.

        A channel's newest window counts if it is not older than one window before the newest of all: partitions are not
        equally far, and a channel in which nothing happens has no new window.
        """
        if not self._newest:
            return []
        since = max(start for start, _, _ in self._newest.values()) - timedelta(seconds=self._size)
        recent = [hot for start, _, hot in self._newest.values() if start > since]
        return sorted(recent, key=lambda hot: (-hot.hot_score, hot.channel_id))[:limit]
