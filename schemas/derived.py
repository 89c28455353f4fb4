"""Data of the events that the streams derive."""

from typing import Literal

from tailrace.schemas.fields import Data, Id, Int4, Int8, Timestamp


class NotificationRaised(Data):
    """`notification_id` is the UUIDv5 of message and recipient, so a repeat is a duplicate (ruling 87)."""

    notification_id: Id
    user_id: Id
    workspace_id: Id
    kind: Literal["mention", "direct_message", "thread_reply"]
    channel_id: Id
    message_id: Id
    actor_id: Id
    created_at: Timestamp


class TrendWindowClosed(Data):
    """Counts of one channel in [window_start, window_start + window_seconds), by event time.

    `hot_score` follows from the counts alone (`tailrace.streams.trends.hot_score`).
    """

    channel_id: Id
    workspace_id: Id
    window_start: Timestamp
    window_seconds: Int4
    messages: Int8
    reactions: Int8
    active_users: Int8
    hot_score: float | None = None
