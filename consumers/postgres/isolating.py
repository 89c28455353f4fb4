"""Find the events that make a transaction fail, and apply all others: savepoints, and halves around poison."""

from collections.abc import Callable

import structlog

from tailrace.consumers.batch import Outcome
from tailrace.consumers.faults import fault_of
from tailrace.consumers.guard import RefusalGuard
from tailrace.consumers.postgres.apply import apply_events
from tailrace.consumers.postgres.letters import Letters
from tailrace.consumers.postgres.parking import waiting_for
from tailrace.consumers.postgres.session import Session
from tailrace.schemas.event import Event

log = structlog.get_logger()


class Isolation:
    """One transaction that applies what can be applied.

    Everything is still all or nothing: the parts are savepoints of one transaction. Events that a part releases from
    parking are a part of their own, so an event is never blamed for those that waited for it.
    """

    def __init__(self, session: Session, letters: Letters, is_retryable: Callable[[BaseException], bool]) -> None:
        self._session = session
        self._letters = letters
        self._is_retryable = is_retryable
        self.guard: RefusalGuard | None = letters.batch.guard.trial() if letters.batch.guard else None
        self.outcome = Outcome()
        self._applied: set[str] = set()

    async def apply(self, events: list[Event]) -> None:
        """Apply the events, in halves where one of them fails; those that stand alone become dead letters.

        Raises what may pass, what is no event's fault, and `TooManyRefusedError`; the transaction is then worth
        nothing.
        """
        events = self._letters.line.admit(events)  # what was refused since may hold some of them
        if not events:
            return
        released_ids: list[str] = []
        parking = self._letters.parking(events, released_ids)
        connection = self._session.connection
        await connection.execute("SAVEPOINT part")
        try:
            part = await apply_events(self._session, events, parking)
        except Exception as error:
            if self._is_retryable(error) or fault_of(error) is None:
                raise
            await connection.execute("ROLLBACK TO SAVEPOINT part")
            await self._divide(events, error)
            return
        await connection.execute("RELEASE SAVEPOINT part")
        self.outcome.add(part)
        applied = {event.id for event in events} - {event.id for event, _ in parking.parked}
        self._applied |= applied
        self._letters.accept(applied)
        if self.guard is not None:
            self.guard.accepted(len(events))
        if released := await self._released(released_ids):
            self.outcome.released += len(released)
            await self.apply(released)

    async def _divide(self, events: list[Event], error: Exception) -> None:
        if len(events) > 1:
            middle = len(events) // 2
            await self.apply(events[:middle])
            await self.apply(events[middle:])
            return
        event, fault = events[0], fault_of(error)
        if fault is None:
            raise error
        log.error("event_refused", code=str(fault.code), reason=fault.reason, type=event.type, event_id=event.id)
        if self.guard is not None:
            self.guard.refused(fault)
        self._letters.refuse(event, fault.refusal_of(event))
        self.outcome.faults += 1

    async def _released(self, ids: list[str]) -> list[Event]:
        letters = self._letters
        found = await waiting_for(self._session, letters.projection, letters.topics, ids)
        letters.records |= {one.event_id: one.record for one in found}
        # A repeat of what was parked may have come with the message itself, and is applied already.
        letters.done |= {one.event_id for one in found} & self._applied
        return [one.decoded for one in found if isinstance(one.decoded, Event) and one.event_id not in self._applied]
