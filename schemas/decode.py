"""From a record of the log to an Event, or to the reason why it is none.

Nearly all records are taken by `usual`, and most others by one call of the models' validator, which parses, checks and
picks the type at once. Only when that fails, too, is the record taken step by step, in the order in which the codes win
(ruling 71), to find out what to say.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from pydantic import ValidationError
from pydantic_core import from_json

from tailrace.schemas.catalogue import EVENT_TYPES, INBOUND, key_of
from tailrace.schemas.event import Event, Refusal
from tailrace.schemas.reasons import first_problems, refusal
from tailrace.schemas.refusals import RefusalCode
from tailrace.schemas.scrub import may_hold_nul, scrub
from tailrace.schemas.upcasters import UPCASTERS, Upcasters
from tailrace.schemas.usual import usual, usual_all
from tailrace.schemas.validators import DATA_DICT, ENVELOPE_DICT, EVENT_DICT, data_dict

VALUE_BYTES_MAX: Final = 1_048_576
"""A record's value may have this many bytes (ruling 75)."""
AHEAD_MAX: Final = timedelta(minutes=10)
"""An event may be this far ahead of the broker's append time (rule T)."""
TIME_MIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""No event is older than this (rule T)."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_MAX: Final = datetime.max.replace(tzinfo=UTC)

_validate: Final = EVENT_DICT.validator.validate_json
"""`EVENT_DICT.validate_json` less a call of Python."""


def append_times(stamps_ms: Sequence[int]) -> list[datetime]:
    """Broker's append times, aware UTC, of milliseconds since 1970.

    One object for all records that were appended together, as those of a producer's batch are: what hangs on a time is
    then found out once for all of them.
    """
    times = {stamp: _EPOCH + timedelta(milliseconds=stamp) for stamp in set(stamps_ms)}
    return [times[stamp] for stamp in stamps_ms]


class KeyAndValue(Protocol):
    """A record, of whatever client."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


Outcomes = list[Event | Refusal | None]
"""What `decode` gives, for each of several records."""


class _Refused(Exception):  # noqa: N818 - a way out of the steps, not an error
    def __init__(self, code: RefusalCode, reason: str, event: dict[str, Any] | None = None) -> None:
        super().__init__(code)
        self.refusal = refusal(code, reason, event)


class Decoder:
    """Decoding with a given set of upcasters; `decode` is the one with those in force."""

    def __init__(self, upcasters: Upcasters) -> None:
        self._upcasters = upcasters
        self._current = {type_: upcasters.current(type_) for type_ in EVENT_TYPES}
        self._topics = {type_: (event_type.topic, INBOUND) for type_, event_type in EVENT_TYPES.items()}
        self._keys = {type_: event_type.key[0] for type_, event_type in EVENT_TYPES.items()}
        self._older = {
            (type_, version): data_dict(model)
            for type_, event_type in upcasters.types.items()
            for version, model in enumerate(event_type.older, 1)
        }
        self._limit: tuple[datetime | None, datetime] = (None, _TIME_MAX)

    def decode(
        self, topic: str, key: bytes | None, value: bytes | None, appended_at: datetime | None
    ) -> Event | Refusal | None:
        """See the module's `decode`."""
        if value is None:
            return None
        if len(value) > VALUE_BYTES_MAX:
            return refusal(RefusalCode.E_SIZE, f"value: larger than {VALUE_BYTES_MAX} bytes")
        try:
            event = usual(value)
            if event is None or not self._is_usual(topic, event):
                event = self._less_usual(topic, value)
            event.topic, event.appended_at = topic, appended_at
            self._judge(key, event)
        except _Refused as refused:
            return refused.refusal
        return event

    def decode_all(
        self, topic: str, records: Sequence[KeyAndValue], appended_at: Sequence[datetime | None]
    ) -> Outcomes:
        """See the module's `decode_all`."""
        values = [None if (value := r.value) is None or len(value) > VALUE_BYTES_MAX else value for r in records]
        outcomes: Outcomes = []
        for record, event, time in zip(records, usual_all(values), appended_at, strict=True):
            if event is None or not self._is_usual(topic, event):
                outcomes.append(self.decode(topic, record.key, record.value, time))
                continue
            event.topic, event.appended_at = topic, time
            try:
                self._judge(record.key, event)
            except _Refused as refused:
                outcomes.append(refused.refusal)
            else:
                outcomes.append(event)
        return outcomes

    def _is_usual(self, topic: str, event: Event) -> bool:
        return event.schemaversion == self._current[event.type] and topic in self._topics[event.type]

    def _less_usual(self, topic: str, value: bytes) -> Event:
        attributes = self._at_once(topic, value)
        if attributes is None:
            attributes = self._step_by_step(topic, value)
        return Event(
            attributes["type"],
            attributes["id"],
            attributes["sequence"],
            attributes["time"],
            attributes["data"],
            attributes["source"],
            attributes["subject"],
            self._current[attributes["type"]],
            attributes["workspaceid"],
            attributes["correlationid"],
            attributes["causationid"],
        )

    def _at_once(self, topic: str, value: bytes) -> dict[str, Any] | None:
        """The event of a record that the models take as it is; None where only the steps can tell."""
        try:
            attributes = _validate(value)
        except ValidationError:
            return None
        # An escaped NUL has to be mended. The validator's parser takes NaN and Infinity, which are no JSON (ruling 88),
        # and offers no switch against it. One letter is found faster than a word, and usually is not there.
        if (b"\\" in value and may_hold_nul(value)) or (b"N" in value and b"NaN" in value) or b"Infinity" in value:
            return None
        type_ = attributes["type"]
        is_usual = (attributes["schemaversion"] or 1) == self._current[type_] and topic in self._topics[type_]
        return attributes if is_usual else None

    def _step_by_step(self, topic: str, value: bytes) -> dict[str, Any]:
        event = _parse(value)
        try:
            attributes = ENVELOPE_DICT.validate_python(event)
        except ValidationError as error:
            raise _Refused(RefusalCode.E_SCHEMA, first_problems(error), event) from None
        if event.get("data") is None:
            raise _Refused(RefusalCode.E_SCHEMA, "data: missing", event)
        type_ = attributes["type"]
        if type_ not in EVENT_TYPES:
            raise _Refused(RefusalCode.E_UNKNOWN_TYPE, "type: not in the catalogue", event)
        if topic not in self._topics[type_]:
            reason = f"type: expected on topic {EVENT_TYPES[type_].topic}"
            raise _Refused(RefusalCode.E_UNKNOWN_TYPE, reason, event)
        attributes["data"] = self._current_data(attributes, event)
        return attributes

    def _current_data(self, attributes: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        type_, version, data = attributes["type"], attributes["schemaversion"] or 1, event["data"]
        if version > self._current[type_]:
            reason = f"schemaversion: newer than {self._current[type_]}, the newest that is known here"
            raise _Refused(RefusalCode.E_VERSION, reason, event)
        if not isinstance(data, dict):
            raise _Refused(RefusalCode.E_SCHEMA, "data: expected an object", event)
        try:
            if older := self._older.get((type_, version)):
                data = self._upcasters.upcast(type_, version, older.validate_python(data))
            return DATA_DICT[type_].validate_python(data)
        except ValidationError as error:
            raise _Refused(RefusalCode.E_SCHEMA, first_problems(error, within="data"), event) from None

    def _judge(self, key: bytes | None, event: Event) -> None:
        """The last two judgements: of key and time."""
        type_, data, time, appended_at = event.type, event.data, event.time, event.appended_at
        if event.topic != INBOUND:
            value = data[self._keys[type_]]
            if key != (key_of(type_, data) if value is None else value).encode():
                reason = f"key: expected data.{' or else data.'.join(EVENT_TYPES[type_].key)}"
                raise _Refused(RefusalCode.E_KEY, reason, _attributes(event))
        limit = self._limit
        if limit[0] is not appended_at:  # records of one append share the object
            limit = self._limit = (appended_at, _TIME_MAX if appended_at is None else appended_at + AHEAD_MAX)
        latest = limit[1]
        if not TIME_MIN <= time <= latest:
            raise _untimely("time", time, event)
        if type_ == "collab.message.posted":
            created_at = data["created_at"]
            if created_at is not time and not TIME_MIN <= created_at <= latest:
                raise _untimely("data.created_at", created_at, event)


def _attributes(event: Event) -> dict[str, Any]:
    return {"type": event.type, "id": event.id, "workspaceid": event.workspaceid, "data": event.data}


def _parse(value: bytes) -> dict[str, Any]:
    """The record as a JSON object.

    Integers of more than 4,300 digits and nesting deeper than 200 are not read: E_DECODE, like NaN and a byte order
    mark (ruling 88). Of equal keys the last wins.
    """
    try:
        event = from_json(scrub(value), allow_inf_nan=False)
    except ValueError as error:
        raise _Refused(RefusalCode.E_DECODE, f"value: expected UTF-8 JSON; {error}") from None
    if not isinstance(event, dict):
        raise _Refused(RefusalCode.E_SCHEMA, "value: expected a CloudEvent, a JSON object")
    return event


def _untimely(path: str, time: datetime, event: Event) -> _Refused:
    reason = "before 2000-01-01T00:00:00Z" if time < TIME_MIN else "more than 10 minutes after the append time"
    return _Refused(RefusalCode.E_TIME, f"{path}: {reason}", _attributes(event))


_DECODER: Final = Decoder(UPCASTERS)


def decode(topic: str, key: bytes | None, value: bytes | None, appended_at: datetime | None) -> Event | Refusal | None:
    """Decode one record of `topic` (its name without prefix); raises for no bytes whatever.

    None for a null value, which is ignored whatever its key (ruling 82). `appended_at` is the broker's append time,
    aware UTC; None leaves out the judgement of events from the future. The Event has its topic and `appended_at`;
    partition and offset are the reader's. On the inbound topic any type and any key are taken, and what ruling 84 lets
    the gateway fill in is still required here. Codes win in the order of ruling 71.
    """
    return _DECODER.decode(topic, key, value, appended_at)


def decode_all(topic: str, records: Sequence[KeyAndValue], appended_at: Sequence[datetime | None]) -> Outcomes:
    """What `decode` gives for each of the records of a topic with its append time, in their order, for less.

    Records that were read together are best given together: a few hundred cost two thirds of what they cost alone.
    """
    return _DECODER.decode_all(topic, records, appended_at)
