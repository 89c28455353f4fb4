"""Which things an event is about, without judging all of it: what those need who read the rest from PostgreSQL.

A follower (caches, search) asks events only what they touch. To take one for touched that the PostgreSQL projection
refused costs a read; to overlook one would leave a key or a document behind for good. So ids, key and type are judged
here, since everything downstream relies on them, and whatever is unusual in any way is left to `decode`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from tailrace.schemas.catalogue import EVENT_TYPES, EventType
from tailrace.schemas.decode import AHEAD_MAX, VALUE_BYTES_MAX, KeyAndValue, Outcomes, decode
from tailrace.schemas.event import Event, Refusal
from tailrace.schemas.fields import UUID_PATTERN

_IDS: Final = ("message_id", "channel_id", "file_id", "user_id", "workspace_id", "uploader_id")
_UUID: Final = UUID_PATTERN.removeprefix("^").removesuffix("$")
_UUIDS: Final = tuple(re.compile("\n".join([_UUID] * count), re.ASCII) for count in range(len(_IDS) + 2))
"""Matches so many ids, a line each: one call takes less than half the time of a call for each."""
_UTC_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)


def _ids_of(kind: EventType) -> tuple[tuple[str, bool], ...]:
    fields = kind.model.model_fields
    return tuple((name, fields[name].is_required()) for name in _IDS if name in fields)


_KNOWN: Final[Mapping[str, tuple[str, tuple[str, ...], int, tuple[tuple[str, bool], ...]]]] = {
    name: (kind.topic, kind.key, len(kind.models), _ids_of(kind))
    for name, kind in EVENT_TYPES.items()
    if kind.topic in {"conversations", "directory", "files", "activity"}
}


def glance(topic: str, key: bytes | None, value: bytes | None, appended_at: datetime | None) -> Event | Refusal | None:
    """As `decode`, except that an Event's `data` may hold nothing but ids.

    Signals are decoded in full, since caches hold what they say.
    """
    if value is not None and key is not None and len(value) <= VALUE_BYTES_MAX:
        event = _usual(topic, key, value, appended_at)
        if event is not None:
            return event
    return decode(topic, key, value, appended_at)


def glance_all(topic: str, records: Sequence[KeyAndValue], appended_at: Sequence[datetime | None]) -> Outcomes:
    """What `glance` gives for each of the records of a topic with its append time."""
    return [glance(topic, r.key, r.value, time) for r, time in zip(records, appended_at, strict=True)]


def _usual(topic: str, key: bytes, value: bytes, appended_at: datetime | None) -> Event | None:
    try:
        found: Any = orjson.loads(value)
        known = _KNOWN.get(found["type"])
        if known is None or known[0] != topic:
            return None
        version, time, id_ = found.get("schemaversion", 1), found["time"], found["id"]
        data = _ids_in(found["data"], id_, known[3])
        if data is None:
            return None
        keyed_by = data[known[1][0]]
        if keyed_by is None:
            keyed_by = next(data[name] for name in known[1] if data[name] is not None)
        if keyed_by.encode() != key or version not in (None, known[2]) or not _UTC_TIME.fullmatch(time):
            return None
        happened_at = datetime.fromisoformat(time)
        if appended_at is not None and happened_at > appended_at + AHEAD_MAX:
            return None  # how far the data goes is told by the newest event
        return Event(
            found["type"], id_, int(found["sequence"]), happened_at, data, found["source"],
            found["subject"], known[2], None, None, None, topic, appended_at=appended_at,
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return None


def _ids_in(data: dict[str, Any], of_event: str, ids: tuple[tuple[str, bool], ...]) -> dict[str, Any] | None:
    """The ids and nothing else, since texts would be held as long as the batch is; None where one is not canonical.

    An optional one that is absent is put down as None. A value of several lines makes a line too many, and what is no
    text raises TypeError; both are left to `decode`.
    """
    found: dict[str, Any] = {}
    values: list[Any] = [of_event]
    for name, is_required in ids:
        value = found[name] = data.get(name)
        if value is not None or is_required:
            values.append(value)
    return found if _UUIDS[len(values)].fullmatch("\n".join(values)) else None
