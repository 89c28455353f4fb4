# ruff: noqa: N818 - callers read these as what happened to their event, "except DeliveryUnknown"
"""What can go wrong with an event on its way into the log.

TailraceError
├── EventRefused (InvalidInputError, exit 6)    it does not fit the contract; nothing was sent
├── ClockDrift (PreconditionError, exit 3)      the wall clock is behind what was stamped already
├── TopicMissing (PreconditionError, exit 3)    the contract's topic does not exist in the broker
├── ProducerClosed (PreconditionError, exit 3)
├── DeliveryError (exit 1)
│   ├── NotDelivered                            certainly not in the log
│   └── DeliveryUnknown                         perhaps in the log; sending the same event again is safe
└── CloseIncomplete (exit 7)                    what `close()` could not get acknowledged in time

Each has a `code` that does not change, for programs and alarms; docs/producers.md lists them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from tailrace.errors import InvalidInputError, PreconditionError, TailraceError

if TYPE_CHECKING:
    from tailrace.producer.results import Failed


class EventRefused(InvalidInputError):
    """The event does not fit the contract, and nothing was sent.

    `code` is one of the contract's refusal codes (E_SCHEMA, E_SIZE …), `path` the field at fault (`data.message_id`) or
    None, `reason` says what is wrong and never holds the field's value.
    """

    retryable = False

    def __init__(self, code: str, reason: str, *, path: str | None = None, fix: str | None = None) -> None:
        super().__init__(f"{code} {reason}", fix=fix)
        self.code = code
        self.reason = reason
        self.path = path


class ClockDrift(PreconditionError):
    """The hybrid clock would run further ahead of the wall clock than allowed."""

    code: ClassVar[str] = "P_CLOCK_DRIFT"
    retryable = False

    def __init__(self, ahead_s: float, drift_max_s: float) -> None:
        super().__init__(
            f"the sequence would be {ahead_s:.1f} s ahead of the wall clock, {drift_max_s:.0f} s are allowed",
            fix="set the machine's clock right, then start the producer again",
        )
        self.ahead_s = ahead_s


class TopicMissing(PreconditionError):
    """The broker does not have the event's topic, so the event was not sent."""

    code: ClassVar[str] = "P_TOPIC_MISSING"
    retryable = False

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic} does not exist", fix="tailrace topics apply")
        self.topic = topic


class ProducerClosed(PreconditionError):
    """The producer was not started, or is closing or closed."""

    code: ClassVar[str] = "P_CLOSED"
    retryable = False

    def __init__(self) -> None:
        super().__init__("the producer is not open", fix="use it inside `async with Producer(...)`")


class DeliveryError(TailraceError):
    """The event was not acknowledged; the subclass says what that means."""

    code: ClassVar[str] = "P_DELIVERY"
    retryable: ClassVar[bool] = True

    def __init__(self, event_id: str, message: str, *, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.event_id = event_id


class NotDelivered(DeliveryError):
    """The event is certainly not in the log: it was never handed over, or the broker refused it."""

    code: ClassVar[str] = "P_NOT_DELIVERED"
    exit_code = 5


class DeliveryUnknown(DeliveryError):
    """The event may or may not be in the log: it was handed over and no answer came in time.

    Sending the same record again is safe: with the same id, time and sequence it changes nothing (Rule R). Publishing
    under the same id alone stamps it anew, and it counts as newer.
    """

    code: ClassVar[str] = "P_DELIVERY_UNKNOWN"
    exit_code = 5


class CloseIncomplete(TailraceError):
    """`close()` ran into its deadline; `unacknowledged` lists the events in the order they were published."""

    code: ClassVar[str] = "P_CLOSE_INCOMPLETE"
    exit_code = 7

    def __init__(self, unacknowledged: Sequence["Failed"]) -> None:
        super().__init__(f"closed with {len(unacknowledged)} events unacknowledged")
        self.unacknowledged = tuple(unacknowledged)
