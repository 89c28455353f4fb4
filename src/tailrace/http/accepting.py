"""What is done with events that came by HTTP: checked like consumers check them, stamped, brought into the log."""

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol

import orjson

from tailrace.errors import PreconditionError, TailraceError
from tailrace.http.bodies import Room
from tailrace.http.problems import Problem, field_errors
from tailrace.producer import Ack, DeliveryUnknown, EventRefused, Record
from tailrace.schemas.catalogue import DERIVED, EVENT_TYPES
from tailrace.schemas.refusals import RefusalCode

WAITING_MAX_EVENTS: Final = 8_000
WAITING_MAX_BYTES: Final = 24 * 2**20
"""Both below the producer's own bounds, so that nothing ever waits for room there."""
YIELD_EVENTS: Final = 50
"""Checking this many takes a few milliseconds; then others have their turn."""
ERRORS_MAX: Final = 100
"""Fields at fault beyond this many are counted and not listed."""


class Publisher(Protocol):
    """The part of `Producer` that is used here."""

    def validate(self, event: Mapping[str, Any]) -> Record:
        """Return the record of an event; raises `EventRefused` or `ClockDrift`."""

    async def submit_record(self, record: Record) -> "asyncio.Future[Ack]":
        """Hand a record over."""


class Door:
    """Lets events in: all of a request or, where one does not fit the contract, none."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._events = Room(WAITING_MAX_EVENTS, "events")
        self._bytes = Room(WAITING_MAX_BYTES, "bytes of events")

    async def check(self, events: Sequence[Mapping[str, Any]]) -> list[Record]:
        """Return the records of events, in their order; raises a 422 that names every field at fault, or a 503."""
        records, errors, refused = [], [], 0
        for index, event in enumerate(events):
            try:
                check_written_here(event)
                records.append(self._publisher.validate(completed(event)))
            except EventRefused as error:
                refused += 1
                errors += field_errors(error, index)
            except PreconditionError as error:
                raise _unavailable(str(error), error) from error
            if index % YIELD_EVENTS == YIELD_EVENTS - 1:
                await asyncio.sleep(0)
        if errors:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                errors[0]["code"],
                f"{refused} of {len(events)} events do not fit the contract; nothing was sent",
                errors=errors[:ERRORS_MAX],
                extra={"errors_total": len(errors)},
            )
        return records

    async def publish(self, records: Sequence[Record]) -> list[Ack]:
        """Bring records into the log, those of one key in this order, and wait until all are acknowledged.

        Raises a 429 where there is no room, and a 503 that says of every event whether it is in the log.
        """
        with self._events.take(len(records)), self._bytes.take(sum(record.size for record in records)):
            futures = [await self._submit(record) for record in records]
            results = await asyncio.gather(*futures, return_exceptions=True)
        failures = [result for result in results if isinstance(result, TailraceError)]
        unexpected = [result for result in results if isinstance(result, BaseException) and result not in failures]
        if unexpected:
            raise unexpected[0]
        if failures:
            outcomes = [
                {**stamps(record), "outcome": _outcome(result)} for record, result in zip(records, results, strict=True)
            ]
            reason = f"{len(failures)} of {len(records)} events were not acknowledged"
            raise _unavailable(reason, failures[0], {"events": outcomes})
        return [result for result in results if isinstance(result, Ack)]

    async def _submit(self, record: Record) -> "asyncio.Future[Ack]":
        try:
            return await self._publisher.submit_record(record)
        except PreconditionError as error:
            raise _unavailable(str(error), error) from error


def check_written_here(event: Mapping[str, Any]) -> None:
    """Raise `EventRefused` for a type that the streams alone write: readers would take it for one of theirs."""
    type_ = event.get("type")
    kind = EVENT_TYPES.get(type_) if isinstance(type_, str) else None
    if kind and kind.topic in DERIVED:
        raise EventRefused(
            RefusalCode.E_UNKNOWN_TYPE,
            "type: derived by Tailrace itself, not taken from producers",
            path="type",
            fix="send the events that it is derived from",
        )


def stamps(record: Record) -> dict[str, Any]:
    """What a record's event is and where it goes; `id`, `time` and `sequence` make a second sending the same event."""
    event = orjson.loads(record.value)
    named = {name: event[name] for name in ("id", "type", "time", "sequence")}
    return {**named, "topic": record.topic, "key": record.key.decode()}


def completed(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event in the form in which the SDK stamps what it lacks: id, time, sequence, subject, source.

    Only one that says which version of CloudEvents it follows; any other is left as it is, to be refused. The version
    of its data is 1 where it names none, as everywhere in the contract: the SDK would take the newest.
    """
    if event.get("specversion") != "1.0":
        return {"specversion": None, **event}
    stampable = {name: value for name, value in event.items() if name != "specversion"}
    if stampable.get("schemaversion") is None:
        stampable["schemaversion"] = 1
    return stampable


def _outcome(result: object) -> str:
    if isinstance(result, Ack):
        return "in the log"
    return "unknown" if isinstance(result, DeliveryUnknown) else "not in the log"


def _unavailable(reason: str, error: TailraceError, extra: Mapping[str, Any] | None = None) -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "E_LOG",
        reason,
        fix=error.fix
        or "send the same events again, with the id, time and sequence given here: a second copy changes nothing",
        extra=extra,
    )
