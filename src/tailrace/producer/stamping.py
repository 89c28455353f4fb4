"""From what a caller gives to a record for the log: stamped, keyed by the contract, checked like consumers check."""

import difflib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypedDict
from uuid import UUID

import orjson

from tailrace.producer.clock import HybridClock, wall_clock_us
from tailrace.producer.connection import Record
from tailrace.producer.deprecation import warn_if_old
from tailrace.producer.errors import EventRefused
from tailrace.producer.ids import EventIds
from tailrace.schemas import catalogue
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event, Refusal
from tailrace.schemas.fields import Data
from tailrace.schemas.refusals import RefusalCode
from tailrace.schemas.upcasters import UPCASTERS

_SUBJECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "user": ("user_id",),
    "workspace": ("workspace_id",),
    "workspace_member": ("workspace_id", "user_id"),
    "invitation": ("invitation_id",),
    "integration": ("integration_id",),
    "channel": ("channel_id",),
    "channel.read": ("channel_id", "user_id"),
    "channel_member": ("channel_id", "user_id"),
    "message": ("message_id",),
    "reaction": ("message_id",),
    "file": ("file_id",),
    "file.shared": ("message_id", "file_id"),
    "file.unshared": ("message_id", "file_id"),
    "session": ("session_id",),
    "presence": ("user_id", "workspace_id"),
    "typing": ("channel_id", "user_id"),
    "connection": ("connection_id",),
    "notification": ("notification_id",),
    "trend": ("channel_id",),
}
"""Fields of `data` that name the entity an event changes, by the first word of its type or by the whole of it."""


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DEPTH_MAX: Final = 200
_PATH: Final = re.compile(r"[A-Za-z_][\w.\[\]-]*")
_FIXES: Final[Mapping[RefusalCode, str]] = {
    RefusalCode.E_SIZE: "put what is large into a file and share that",
    RefusalCode.E_TIME: "compare this machine's clock with the broker's",
    RefusalCode.E_VERSION: "update the SDK",
}


class Attributes(TypedDict, total=False):
    """Attributes of the envelope that a caller may set; the SDK fills in what is not given, or None.

    `time` must be aware (it is converted to UTC); `sequence` is for producers with a row version of their own, from 0
    to 2^63-1, and must not be mixed with stamped ones for the same subject.
    """

    id: str | UUID | None
    time: datetime | None
    sequence: int | None
    subject: str | None
    source: str | None
    workspaceid: str | UUID | None
    correlationid: str | None
    causationid: str | None


@dataclass(frozen=True, slots=True)
class Draft:
    """An event to be: its type, its data as a model of the contract or as a mapping, and what the caller sets."""

    type: str
    data: Mapping[str, Any] | Data
    attributes: Attributes = field(default_factory=Attributes)


Publishable = Data | Draft | Mapping[str, Any]
"""What can be published: a model whose type is unambiguous, a draft, or a mapping.

A mapping with `specversion` is a ready CloudEvent and goes out as it is; one without is the short form
`{"type", "data", …}` and is stamped.
"""


def type_of(data: Data) -> str:
    """Return the type whose data the model is; raises `EventRefused` where it serves several types."""
    types = [event.name for event in catalogue.EVENT_TYPES.values() if type(data) in event.models]
    if len(types) == 1:
        return types[0]
    name = type(data).__name__
    reason = f"type: {name} is the data of {', '.join(types)}" if types else f"type: {name} is no event's data"
    raise EventRefused(RefusalCode.E_SCHEMA, reason, path="type", fix="name the type: publish(TYPE, data)")


def version_of(type_: str, data: Data) -> int | None:
    """Return which version of the type's data the model is; None for a model of another type, which is refused."""
    kind = catalogue.EVENT_TYPES.get(type_)
    return kind.models.index(type(data)) + 1 if kind and type(data) in kind.models else None


def subject_of(type_: str, data: Mapping[str, Any]) -> str | None:
    """Return the id of the entity that changes, `a/b` for a pair; None where `data` does not hold it (CONTRACT 1)."""
    name = type_.removeprefix(catalogue.PREFIX)
    if name == "activity.recorded":
        return data.get("user_id") or data.get("workspace_id")
    fields = subject_fields(type_)
    if not fields or any(not data.get(name) for name in fields):
        return None
    return "/".join(str(data[name]) for name in fields)


def subject_fields(type_: str) -> tuple[str, ...]:
    """Return the fields of `data` whose values make the subject; none for an activity, and for an unknown type."""
    name = type_.removeprefix(catalogue.PREFIX)
    return _SUBJECTS.get(name) or _SUBJECTS.get(name.partition(".")[0]) or ()


class Stamper:
    """Makes records; needs no network. `topic` turns a topic's name of the contract into its full name."""

    def __init__(
        self,
        source: str,
        topic: Callable[[str], str],
        clock: HybridClock,
        ids: EventIds,
        now_us: Callable[[], int] = wall_clock_us,
    ) -> None:
        self._source = source
        self._topic = topic
        self._clock = clock
        self._ids = ids
        self._now_us = now_us

    def record(self, event: Publishable) -> Record:
        """Stamp, serialise and check an event; raises `EventRefused` (with the field's path) or `ClockDrift`."""
        if isinstance(event, Data):
            event = Draft(type_of(event), event)
        if isinstance(event, Draft):
            given = {**event.attributes, "type": event.type, "data": _plain(event.data)}
            if isinstance(event.data, Data):
                given["schemaversion"] = version_of(event.type, event.data)
            return self._at_the_version_that_fits(self._stamped(given))
        if "specversion" in event:
            return self._checked(event)
        return self._at_the_version_that_fits(self._stamped(event))

    def ready_made(self, cloud_event: Mapping[str, Any]) -> Record:
        """Check an event that has all its attributes already; nothing is filled in. Raises `EventRefused`."""
        return self._checked(cloud_event)

    def _stamped(self, given: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in given.items() if value is not None}
        type_, data = given.get("type"), given.get("data")
        data = data if isinstance(data, Mapping) else {}
        subject = subject_of(type_, data) if isinstance(type_, str) else None
        event = {
            "specversion": "1.0",
            "id": given["id"] if "id" in given else self._ids.next(),
            "source": self._source,
            # Data without the ids is refused a moment later, with the field's path, which says more than "no subject".
            "subject": subject or "?",
            "time": _rfc3339(_instant(self._now_us())),
            "sequence": given["sequence"] if "sequence" in given else self._clock.next(),
        }
        if data.get("workspace_id") is not None:
            event["workspaceid"] = data["workspace_id"]
        event.update(given)
        if isinstance(event["sequence"], int):
            event["sequence"] = str(event["sequence"])
        if isinstance(event["time"], datetime):
            event["time"] = _rfc3339(event["time"])
        return event

    def _at_the_version_that_fits(self, event: dict[str, Any]) -> Record:
        """The newest version whose model takes the data, unless the caller named one.

        Where none does, the reason is the newest one's: what is written today is meant for it.
        """
        kind = catalogue.EVENT_TYPES.get(event["type"]) if isinstance(event.get("type"), str) else None
        if kind is None or kind.version == 1 or "schemaversion" in event:
            return self._checked(event)
        try:
            return self._checked(event | {"schemaversion": kind.version})
        except EventRefused as refused:
            for version in range(kind.version - 1, 0, -1):
                with suppress(EventRefused):
                    return self._checked(event | {"schemaversion": version})
            raise refused  # noqa: TRY201 - a bare `raise` would not name the newest version's reason for sure

    def _checked(self, event: Mapping[str, Any]) -> Record:
        value = _serialised(event)
        type_ = event.get("type")
        known = catalogue.EVENT_TYPES.get(type_) if isinstance(type_, str) else None
        # An event of no known type belongs to no topic; any topic of the log makes the decoder say so.
        topic = known.topic if known else catalogue.TOPICS[0].name
        key = _key(known, event, value) if known else b""
        outcome = decode(topic, key, value, _instant(self._now_us()))
        if isinstance(outcome, Refusal):
            raise _refused(outcome, type_)
        if outcome is None:
            raise AssertionError("only a record without a value decodes to nothing")
        warn_if_old(outcome.type, event.get("schemaversion") or 1)
        return Record(self._topic(topic), key, value, outcome.id)


def _key(type_: catalogue.EventType, event: Mapping[str, Any], value: bytes) -> bytes:
    """Return the contract's key; empty where `data` does not hold it, which the decoder then refuses."""
    data = event.get("data")
    if (event.get("schemaversion") or 1) != UPCASTERS.current(type_.name):
        # The key's fields are those of the current version; the inbound topic takes any key.
        outcome = decode(catalogue.INBOUND, None, value, None)
        data = outcome.data if isinstance(outcome, Event) else None
    if not isinstance(data, Mapping):
        return b""
    return next((str(data[name]) for name in type_.key if data.get(name) is not None), "").encode(errors="replace")


def _plain(data: Any) -> Any:
    if not isinstance(data, Data):
        return data
    # Not `exclude_none`, which would reach into objects whose nulls belong to the caller.
    return {name: value for name, value in data.model_dump().items() if value is not None}


def _instant(epoch_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=epoch_us)


def _rfc3339(instant: datetime) -> str:
    if instant.utcoffset() is None:
        raise EventRefused(RefusalCode.E_SCHEMA, "time: has no UTC offset", path="time", fix="pass an aware datetime")
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _serialised(event: Mapping[str, Any]) -> bytes:
    try:
        value = orjson.dumps(event, option=orjson.OPT_UTC_Z)
    except TypeError:
        # orjson writes no lone surrogates and no integers beyond 64 bits; the contract lets both through (ruling 81).
        if misfit := next(_paths(event, _is_no_json), None):
            raise _unwritable(misfit) from None
        return json.dumps(event, default=_jsonable, separators=(",", ":")).encode()
    # orjson writes NaN and infinities as null, which would lose them without a word.
    if b"null" in value and (misfit := next(_paths(event, _is_no_number), None)):
        raise _unwritable(misfit)
    return value


def _paths(value: Any, wanted: Callable[[Any], bool], path: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the paths of the values that are `wanted`, and of what is nested too deep to be looked at."""
    if wanted(value) or depth > _DEPTH_MAX:
        yield path or "event"
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _paths(inner, wanted, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _paths(inner, wanted, f"{path}[{index}]", depth + 1)


def _is_no_number(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _is_no_json(value: Any) -> bool:
    if isinstance(value, Mapping):
        return not all(isinstance(name, str) for name in value)
    return _is_no_number(value) or not isinstance(value, str | int | float | datetime | UUID | list | tuple | None)


def _unwritable(path: str) -> EventRefused:
    return EventRefused(RefusalCode.E_SCHEMA, f"{path}: cannot be written as JSON", path=path)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return _rfc3339(value) if isinstance(value, datetime) else str(value)


def _refused(refusal: Refusal, type_: Any) -> EventRefused:
    path = refusal.reason.partition(":")[0]
    fix = _FIXES.get(refusal.code)
    if refusal.code is RefusalCode.E_UNKNOWN_TYPE and isinstance(type_, str):
        near = difflib.get_close_matches(type_, catalogue.EVENT_TYPES, n=1)
        fix = f"did you mean {near[0]}?" if near else "tailrace schema ls"
    return EventRefused(refusal.code, refusal.reason, path=path if _PATH.fullmatch(path) else None, fix=fix)
