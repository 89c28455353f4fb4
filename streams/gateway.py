"""The inbound gateway: any contract event, under any key, from `inbound` to the topic and key of its type."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import orjson
from pydantic_core import from_json

from tailrace.schemas.catalogue import EVENT_TYPES, INBOUND, key_of, topic_of
from tailrace.schemas.decode import VALUE_BYTES_MAX, decode
from tailrace.schemas.envelope import CONTENT_TYPE
from tailrace.schemas.event import Refusal
from tailrace.schemas.fields import rfc3339
from tailrace.schemas.refusals import RefusalCode
from tailrace.schemas.scrub import scrub
from tailrace.streams.records import Output, Record, append_time, sequence_of
from tailrace.streams.stream import Folded, Stream

_CONTENT_TYPE: Final = ("content-type", CONTENT_TYPE.encode())
_FILLED: Final = ("id", "time", "sequence")


def gateway(topic: Callable[[str], str]) -> Stream:
    """The stream. `topic` turns a topic's name into its full name, which is part of the ids that are filled in."""
    source = topic(INBOUND)
    targets = tuple(sorted({event_type.topic for event_type in EVENT_TYPES.values()}))
    return Stream("gateway", INBOUND, targets, memory=False, open=lambda _: _Gateway(source))


class _Gateway:
    """Keeps nothing: every record stands for itself."""

    def __init__(self, source: str) -> None:
        self._source = source

    def fold(self, record: Record) -> Folded:
        return forward(record, self._source)

    def settle(self, now: datetime | None) -> Sequence[Output]:
        del now
        return ()


def forward(record: Record, source: str) -> Folded:
    """One record as it goes on, or why it does not; a null value goes nowhere (ruling 82).

    The value goes on byte by byte as it came, except that what ruling 84 lets be filled in is added at its end.
    """
    value = record.value
    decoded = decode(INBOUND, record.key, value, append_time(record))
    if isinstance(decoded, Refusal) and decoded.code is RefusalCode.E_SCHEMA and value is not None:
        value = filled(record, source)
        if value is not record.value:
            decoded = decode(INBOUND, record.key, value, append_time(record))
    if decoded is None:
        return ()
    if isinstance(decoded, Refusal):
        return decoded
    key = key_of(decoded.type, decoded.data).encode()
    return (Output(topic_of(decoded.type), key, value, _headers(record)),)


def filled(record: Record, source: str) -> bytes | None:
    """The value with `id`, `time` and `sequence` added where they are missing or null (ruling 84).

    All three follow from the source record alone, so that a record that is forwarded twice is the same event twice.
    They are put behind what is there: of equal keys the last counts (ruling 88), so a null is overruled too.
    """
    value = record.value
    event = _object(value)
    if value is None or event is None:
        return value
    values = {
        "id": lambda: str(uuid5(NAMESPACE_URL, f"{source}/{record.partition}/{record.offset}")),
        "time": lambda: rfc3339(append_time(record)),
        "sequence": lambda: str(sequence_of(record)),
    }
    missing = {name: values[name]() for name in _FILLED if event.get(name) is None}
    if not missing:
        return value
    body = value.rstrip()[:-1].rstrip()
    return body + (b"," if event else b"") + orjson.dumps(missing)[1:]


def _object(value: bytes | None) -> dict[str, Any] | None:
    if value is None or len(value) > VALUE_BYTES_MAX:
        return None
    try:
        event = from_json(scrub(value), allow_inf_nan=False)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _headers(record: Record) -> tuple[tuple[str, bytes], ...]:
    kept = tuple(header for header in record.headers if header[0] != "content-type" and header[0][:3] != "tr-")
    return (_CONTENT_TYPE, *kept)
