"""What became of an event that was published."""

from dataclasses import dataclass
from datetime import datetime

from tailrace.errors import TailraceError
from tailrace.producer.errors import EventRefused


@dataclass(frozen=True, slots=True)
class Ack:
    """The event is in the log, on all replicas that are in sync.

    `topic` is the full name, `appended_at` the broker's append time (UTC, ms). Both `offset` and `appended_at` are None
    where the broker said that it has the event from an earlier attempt of ours, but no longer knows at which offset;
    `appended_at` is None as well where the topic keeps the producers' times instead of the broker's.
    """

    topic: str
    partition: int
    offset: int | None
    event_id: str
    appended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Refused:
    """The event does not fit the contract and was not sent; `event_id` is None where it has none that could be read."""

    event_id: str | None
    error: EventRefused


@dataclass(frozen=True, slots=True)
class Failed:
    """The event was not acknowledged: `error` is NotDelivered, DeliveryUnknown or TopicMissing."""

    event_id: str
    error: TailraceError


Result = Ack | Refused | Failed
