"""The usual record, decoded and checked at half the price; whatever is unusual in any way is left to the models.

The types are made from the models, so a field is still described in one place. An Event given here is the one that the
models' validators would have given; None says only that they have to be asked. Unusual are unknown fields, nested
models, numbers, older versions, free objects with fractions in them, and times not written as the contract writes them.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Union, get_origin, get_type_hints

import msgspec

from tailrace.schemas.catalogue import EVENT_TYPES, EventType
from tailrace.schemas.event import Event
from tailrace.schemas.fields import SEQUENCE_MAX, FreeObject, Id, Timestamp
from tailrace.schemas.scrub import may_hold_nul

_DIGITS: Final = bytes.maketrans(b"0123456789", b"0" * 10)
_TIME_SHAPE: Final = b"0000-00-00T00:00:00.000000Z"
_HEX_DIGITS: Final = bytes.maketrans(b"0123456789abcdef", b"0" * 16)
_ID_SHAPE: Final = b"00000000-0000-0000-0000-000000000000"
_REPEATED: Final = frozenset({"channel_id", "workspace_id", "user_id"})
_KNOWN_MAX: Final = 100_000
_known: Final[dict[str, str]] = {}
_SOURCES_MAX: Final = 1_000
_SOURCE_LENGTH_MAX: Final = 200
_sources: Final[dict[str, str]] = {}
"""Each is the same object in all events that it sent."""
_SEQUENCE_DIGITS_MAX: Final = len(str(SEQUENCE_MAX))
_INTEGER_MAX: Final = 2**53
"""Of free objects: up to here every parser and every store has the same number."""
_DEPTH_MAX: Final = 32

_DROPPED: Final = ("datacontenttype", "dataschema", "traceparent", "tracestate")
"""Attributes of CloudEvents and its extensions that are often there and kept nowhere."""

_PLAIN: Final = (str, str | None, bool, list[str])
_READ_AS: Final[tuple[tuple[Any, Any, str], ...]] = (
    (Id, str, "ids"),
    (Id | None, str | None, "optional_ids"),
    (list[Id], list[str], "id_lists"),
    (Timestamp, str, "times"),
    (Timestamp | None, str | None, "times"),
    (FreeObject, dict, "free"),
    (FreeObject | None, dict | None, "free"),
    *((type_, type_, "plain") for type_ in _PLAIN),
)
"""Field of a model, what it is read as, and as what it has to be looked at then."""


class _Kind(NamedTuple):
    """One type, and which fields of its data have to be looked at.

    `repeated` are required ids that many events have, `ids` the other required ones.
    """

    type: str
    version: int
    ids: tuple[str, ...]
    repeated: tuple[str, ...]
    optional_ids: tuple[str, ...]
    id_lists: tuple[str, ...]
    times: tuple[str, ...]
    free: tuple[str, ...]


def _read_as(annotation: Any) -> tuple[Any, str] | None:
    if get_origin(annotation) is Literal:
        return annotation, "plain"
    return next(((read_as, look) for field, read_as, look in _READ_AS if annotation == field), None)


def _readable(event_type: EventType) -> tuple[type[msgspec.Struct], _Kind] | None:
    """The type of a whole event; None where a field of its data is none that is read here."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    looks: dict[str, list[str]] = {}
    for name, annotation in get_type_hints(event_type.model, include_extras=True).items():
        if (field := event_type.model.model_fields.get(name)) is None:
            continue
        if (how := _read_as(annotation)) is None:
            return None
        fields.append((name, how[0]) if field.is_required() else (name, how[0], field.default))
        looks.setdefault(how[1], []).append(name)
    kind = _Kind(
        event_type.name,
        event_type.version,
        tuple(name for name in looks.get("ids", ()) if name not in _REPEATED),
        tuple(name for name in looks.get("ids", ()) if name in _REPEATED),
        *(tuple(looks.get(look, ())) for look in ("optional_ids", "id_lists", "times", "free")),
    )
    return _event_of(kind, _struct("Data", fields)), kind


def _event_of(kind: _Kind, data: type[msgspec.Struct]) -> type[msgspec.Struct]:
    # A missing version means the first.
    version: Any = Literal[kind.version] if kind.version > 1 else Literal[1] | None
    return _struct(
        "Event",
        [
            ("specversion", Literal["1.0"]),
            *((name, str) for name in ("id", "source", "subject", "time", "sequence")),
            ("data", data),
            ("schemaversion", version) if kind.version > 1 else ("schemaversion", version, None),
            *((name, str | None, None) for name in ("workspaceid", "correlationid", "causationid", *_DROPPED)),
        ],
        tag=kind.type,
        tag_field="type",
    )


def _struct(name: str, fields: list[Any], **more: Any) -> type[msgspec.Struct]:
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True, gc=False, **more)


_KINDS: Final[Mapping[type[msgspec.Struct], _Kind]] = dict(
    readable for event_type in EVENT_TYPES.values() if (readable := _readable(event_type))
)
_read: Final[Callable[[bytes], Any]] = msgspec.json.Decoder(Union[tuple(_KINDS)]).decode  # noqa: UP007 - computed


def usual(value: bytes) -> Event | None:
    """The event of a usual record, of whatever topic and time: neither is judged here, nor is the record's key."""
    return usual_all((value,))[0]


def usual_all(values: Sequence[bytes | None]) -> list[Event | None]:
    """What `usual` gives for each value, and None for none, in a third less time than value by value."""
    looks = _Looks()
    events: list[Event | None] = []
    for value in values:
        event = None
        if value is not None:
            try:
                read = _read(value)
                if b"\\" not in value or not may_hold_nul(value):
                    event = _event(read, _KINDS[type(read)], looks)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                pass
        events.append(event)
    if looks.are_canonical():
        looks.remember()
        return events
    if len(values) == 1:
        return [None]
    # Somewhere among them is what is no id or no time: each is looked at alone, so that the others are still taken.
    return [
        usual(value) if value is not None and event is not None else None
        for value, event in zip(values, events, strict=True)
    ]


class _Looks:
    """Ids and times that were taken unseen, to be looked at together: one by one they would cost more than parsing.

    `repeated` are ids that many events have. They are looked at once, and are the same objects in all events.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.times: list[str] = []
        self.repeated: dict[str, str] = {}

    def are_canonical(self) -> bool:
        """Whether each of them is; what has several lines makes a line too many."""
        ids = [*self.ids, *self.repeated]
        return _have_shape(ids, _ID_SHAPE, _HEX_DIGITS) and _have_shape(self.times, _TIME_SHAPE, _DIGITS)

    def remember(self) -> None:
        """Know the repeated ones from now on."""
        if len(_known) + len(self.repeated) > _KNOWN_MAX:
            _known.clear()
        _known.update(self.repeated)


def _have_shape(texts: Sequence[str], shape: bytes, digits: bytes) -> bool:
    return "\n".join(texts).encode().translate(digits) == b"\n".join([shape] * len(texts))


def _event(read: Any, kind: _Kind, looks: _Looks) -> Event | None:
    """The event; what is not looked at yet goes to `looks`, even where there is no event after all."""
    data = msgspec.structs.asdict(read.data)
    for name in kind.free:
        if (value := data[name]) and not _is_plain(value):
            return None
    digits, text = read.sequence, read.time
    if not (read.source and read.subject and digits.isdigit() and digits.isascii()):
        return None
    if len(digits) > _SEQUENCE_DIGITS_MAX or (sequence := int(digits)) > SEQUENCE_MAX:
        return None
    time = datetime.fromisoformat(text)
    looks.times.append(text)
    for name in kind.times:
        if (other := data[name]) is None:
            pass
        elif other == text:
            data[name] = time
        else:
            data[name] = datetime.fromisoformat(other)
            looks.times.append(other)
    workspaceid = _take_ids(read, kind, data, looks)
    source, subject = _sources.get(read.source) or _remembered(read.source), read.subject
    if kind.ids and data[kind.ids[0]] == subject:
        subject = data[kind.ids[0]]  # one text instead of two, for as long as the event is held
    return Event(
        kind.type, read.id, sequence, time, data, source, subject, kind.version,
        workspaceid, read.correlationid, read.causationid,
    )  # fmt: skip


def _remembered(source: str) -> str:
    is_bounded = len(source) <= _SOURCE_LENGTH_MAX and len(_sources) < _SOURCES_MAX
    return _sources.setdefault(source, source) if is_bounded else source


def _take_ids(read: Any, kind: _Kind, data: dict[str, Any], looks: _Looks) -> str | None:
    """Put all ids among what is to be looked at, and one object in the place of those that many events have."""
    ids, repeated = looks.ids, looks.repeated
    ids.append(read.id)
    for name in kind.ids:
        ids.append(data[name])
    for name in kind.repeated:
        value = data[name]
        data[name] = _known.get(value) or repeated.setdefault(value, value)
    for name in kind.optional_ids:
        if (value := data[name]) is not None:
            ids.append(value)
    for name in kind.id_lists:
        if data[name]:
            ids += data[name]
    workspaceid: str | None = read.workspaceid
    if workspaceid is None:
        return None
    return _known.get(workspaceid) or repeated.setdefault(workspaceid, workspaceid)


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Whether free JSON is what any parser makes of it: no fractions, no large numbers, not deep."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-_INTEGER_MAX <= value <= _INTEGER_MAX)
    if kind is dict:
        return depth < _DEPTH_MAX and all(_is_plain(one, depth + 1) for one in value.values())
    return kind is list and depth < _DEPTH_MAX and all(_is_plain(one, depth + 1) for one in value)
