"""Events between `publish` and their result: admitted within a budget, in order, each with a deadline."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tailrace.producer.connection import Record
from tailrace.producer.errors import DeliveryError, DeliveryUnknown, NotDelivered
from tailrace.producer.options import ProducerOptions

if TYPE_CHECKING:
    from tailrace.producer.results import Ack


@dataclass(slots=True, eq=False)
class Pending:
    """One record on its way; `deadline` is in the loop's time.

    `attempts` counts how often it was handed to a connection: with 0 it is certainly not in the log. `admission` is
    there only while somebody waits for it.
    """

    record: Record
    deadline: float
    future: "asyncio.Future[Ack]"
    admission: "asyncio.Future[None] | None" = None
    admitted: bool = False
    attempts: int = 0

    @property
    def settled(self) -> bool:
        """True once there is a result or the caller has gone away."""
        return self.future.done()

    def fail(self, error: Exception) -> None:
        """Give the caller an error, unless it has a result already."""
        if not self.future.done():
            self.future.set_exception(error)

    def unacknowledged(self, reason: str) -> DeliveryError:
        """Return what must be said of a record that has no answer: unknown once it was handed over."""
        event_id = self.record.event_id
        if self.attempts:
            return DeliveryUnknown(
                event_id,
                f"event {event_id} may or may not be in the log: {reason}",
                fix="publish the same event with the same id again; a second copy is taken for a duplicate",
            )
        return NotDelivered(event_id, f"event {event_id} is not in the log: {reason}", fix="tailrace doctor")


class Backlog:
    """All records that have no result yet, oldest first.

    At most `in_flight_max_events` and `in_flight_max_bytes` are admitted at a time; the others wait, and are admitted
    in the order in which they came, never by whichever of the waiting tasks happens to run first. Deadlines hold for
    waiting and for admitted records alike.
    """

    def __init__(self, options: ProducerOptions, on_admitted: Callable[[], None]) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._on_admitted = on_admitted
        self._unsettled: OrderedDict[Pending, None] = OrderedDict()
        self._waiting: deque[Pending] = deque()
        self._admitted_events = 0
        self._admitted_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self.admitted: deque[Pending] = deque()
        """Records to be sent, in order; the sender takes them from the left."""
        self.problem = ""
        """What keeps records from being sent at the moment, for the message of those that run out of time."""

    def __len__(self) -> int:
        return len(self._unsettled)

    def offer(self, record: Record) -> Pending:
        """Take a record in; its future resolves to the Ack or to the error, at the latest at the deadline."""
        deadline = self._loop.time() + self._options.delivery_timeout_s
        pending = Pending(record, deadline, self._loop.create_future())
        pending.future.add_done_callback(lambda _: self._settle(pending))
        self._unsettled[pending] = None
        self._waiting.append(pending)
        self._admit()
        self._arm()
        return pending

    async def admission(self, pending: Pending) -> None:
        """Wait until the record is admitted or has its result; a caller cancelled here takes the record back."""
        if pending.admitted or pending.settled:
            return
        pending.admission = self._loop.create_future()
        try:
            await pending.admission
        except asyncio.CancelledError:
            pending.future.cancel()
            raise

    def unsettled(self) -> list[Pending]:
        """Return the records without a result, oldest first."""
        return [pending for pending in self._unsettled if not pending.settled]

    def close(self) -> None:
        """Stop the clock."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _fits(self, record: Record) -> bool:
        return (
            self._admitted_events < self._options.in_flight_max_events
            and self._admitted_bytes + record.size <= self._options.in_flight_max_bytes
        ) or self._admitted_events == 0

    def _admit(self) -> None:
        while self._waiting and (self._waiting[0].settled or self._fits(self._waiting[0].record)):
            pending = self._waiting.popleft()
            if pending.settled:
                continue
            self._admitted_events += 1
            self._admitted_bytes += pending.record.size
            pending.admitted = True
            self._release(pending)
            self.admitted.append(pending)
            self._on_admitted()

    def _settle(self, pending: Pending) -> None:
        del self._unsettled[pending]
        if pending.admitted:
            self._admitted_events -= 1
            self._admitted_bytes -= pending.record.size
        self._release(pending)
        # While there is no connection nobody takes records from here, and those that expired would pile up.
        while self.admitted and self.admitted[0].settled:
            self.admitted.popleft()
        self._admit()

    @staticmethod
    def _release(pending: Pending) -> None:
        if pending.admission and not pending.admission.done():
            pending.admission.set_result(None)

    def _arm(self) -> None:
        # One timer for the oldest: all records have the same time to live, so they expire in order.
        if self._timer is None and self._unsettled:
            self._timer = self._loop.call_at(next(iter(self._unsettled)).deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        for pending in self._unsettled:
            if pending.deadline > now:
                break
            reason = self.problem or ("no acknowledgement" if pending.attempts else "it waited for room to be sent")
            pending.fail(pending.unacknowledged(f"{reason}, given up after {self._options.delivery_timeout_s:g} s"))
        # The callbacks that remove the expired ones run after this.
        self._loop.call_soon(self._arm)
