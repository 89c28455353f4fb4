"""The usual record, decoded and checked at half the price; whatever is unusual in any way is left to the models.

The types are made from the models, so a field is still described in one place. An Event given here is the one that the
models' validators would have given; None says only that they have to be asked. Unusual are unknown fields, free objects
that hold anything, nested models, numbers, older versions, and times not written as the contract writes them.
"""

from collections.abc import Callable, Iterable, Mapping
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
_IDS_MAX: Final = 64
_ID_SHAPES: Final = tuple(b"\n".join([_ID_SHAPE] * count) for count in range(_IDS_MAX + 1))
"""So many ids, a line each, with a zero for every digit. Looked at together they cost a fifth of patterns."""
_REPEATED: Final = frozenset({"channel_id", "workspace_id", "user_id"})
_KNOWN_MAX: Final = 100_000
_known: Final[dict[str, str]] = {}
_SEQUENCE_DIGITS_MAX: Final = len(str(SEQUENCE_MAX))

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
    try:
        read = _read(value)
        return _event(read, _KINDS[type(read)]) if b"\\" not in value or not may_hold_nul(value) else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _event(read: Any, kind: _Kind) -> Event | None:
    data = msgspec.structs.asdict(read.data)
    for name in kind.free:
        if data[name]:
            return None
    digits = read.sequence
    if not (read.source and read.subject and digits.isdigit() and digits.isascii() and _are_ids(read, kind, data)):
        return None
    if len(digits) > _SEQUENCE_DIGITS_MAX or (sequence := int(digits)) > SEQUENCE_MAX:
        return None
    if (workspaceid := read.workspaceid) is not None:
        workspaceid = _known.get(workspaceid, workspaceid)
    time = _instant(read.time)
    for name in kind.times:
        if (text := data[name]) is not None:
            data[name] = time if text == read.time else _instant(text)
    return Event(
        kind.type, read.id, sequence, time, data, read.source, read.subject, kind.version,
        workspaceid, read.correlationid, read.causationid,
    )  # fmt: skip


def _are_ids(read: Any, kind: _Kind, data: dict[str, Any]) -> bool:
    """Whether all ids are canonical; one of several lines makes a line too many.

    Ids that many events have are looked at once, and are the same objects in all of them.
    """
    new = [read.id]
    for name in kind.ids:
        new += (data[name],)
    for name in kind.repeated:
        value = data[name]
        if (seen := _known.get(value)) is not None:
            data[name] = seen
        else:
            new += (value,)
    if read.workspaceid is not None and read.workspaceid not in _known:
        new += (read.workspaceid,)
    for name in kind.optional_ids:
        if (value := data[name]) is not None:
            new += (value,)
    for name in kind.id_lists:
        new += data[name]
    if len(new) > _IDS_MAX or "\n".join(new).encode().translate(_HEX_DIGITS) != _ID_SHAPES[len(new)]:
        return False
    if len(new) > 1 + len(kind.ids):
        _remember([data[name] for name in kind.repeated])
    return True


def _remember(ids: Iterable[str]) -> None:
    for value in ids:
        if len(_known) >= _KNOWN_MAX:
            _known.clear()
        _known.setdefault(value, value)


def _instant(text: str) -> datetime:
    if text.encode().translate(_DIGITS) != _TIME_SHAPE:
        raise ValueError
    return datetime.fromisoformat(text)
