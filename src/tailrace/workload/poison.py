"""Records that must not be applied as they are: what each class looks like, and what has to become of it.

Every one is made from a real post of the stream, under that post's key, so it sits in the middle of a channel that goes
on after it. The outcome is a code of rule X, "accepted" (strange, but an event) or "ignored" (a null value).
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import orjson

from tailrace.workload.dice import Dice
from tailrace.workload.records import Generated

ACCEPTED: Final = "accepted"
IGNORED: Final = "ignored"
SIZE_MAX: Final = 2**20
_FAR: Final = "2999-01-01T00:00:00.000000Z"
_MARK: Final = "PLACE-OF-THE-ODD-TEXT"

Fields = dict[str, Any]


class PoisonClass(NamedTuple):
    """`outcome` of a record that `make` builds from a fresh post: (topic, key, value)."""

    name: str
    outcome: str
    make: Callable[[Fields, bytes], tuple[str, bytes | None, bytes | None]]


def _value(
    change: Callable[[Fields], bytes | None],
) -> Callable[[Fields, bytes], tuple[str, bytes | None, bytes | None]]:
    return lambda event, key: ("conversations", key, change(event))


def _with(**attributes: Any) -> Callable[[Fields], bytes]:
    return lambda event: orjson.dumps(event | attributes)


def _with_data(**fields: Any) -> Callable[[Fields], bytes]:
    return lambda event: orjson.dumps(event | {"data": event["data"] | fields})


def _without(attribute: str) -> Callable[[Fields], bytes]:
    return lambda event: orjson.dumps({name: value for name, value in event.items() if name != attribute})


def _saying(text: bytes) -> Callable[[Fields], bytes]:
    """Put JSON text that no serialiser writes into the content."""
    return lambda event: _with_data(content=f"odd {_MARK} text")(event).replace(_MARK.encode(), text)


def _long(size: int) -> Callable[[Fields], bytes]:
    """Fill the content until the value has exactly `size` bytes."""

    def build(event: Fields) -> bytes:
        empty = len(_with_data(content="")(event))
        words = "all work and no play makes a long message " * (size // 40)
        return _with_data(content=words[: size - empty])(event)

    return build


def _elsewhere(event: Fields, key: bytes) -> tuple[str, bytes, bytes]:
    return "files", key, orjson.dumps(event)


def _wrong_key(event: Fields, _: bytes) -> tuple[str, bytes, bytes]:
    return "conversations", event["data"]["user_id"].encode(), orjson.dumps(event)


def _null_key(event: Fields, _: bytes) -> tuple[str, None, bytes]:
    return "conversations", None, orjson.dumps(event)


POISON: Final = (
    PoisonClass("undecodable_bytes", "E_DECODE", _value(lambda _: b"\xff\xfe\x00not text\x80")),
    PoisonClass("unknown_type", "E_UNKNOWN_TYPE", _value(_with(type="collab.message.teleported"))),
    PoisonClass("null_value", IGNORED, _value(lambda _: None)),
    PoisonClass("wrong_key", "E_KEY", _wrong_key),
    PoisonClass("truncated_json", "E_DECODE", _value(lambda event: orjson.dumps(event)[:-40])),
    PoisonClass("wrong_type_of_field", "E_SCHEMA", _value(_with_data(content=12345))),
    PoisonClass("schemaversion_99", "E_VERSION", _value(_with(schemaversion=99))),
    PoisonClass("nul_escape", ACCEPTED, _value(_saying(b"\\u0000 and \\u0000"))),
    PoisonClass("far_future", "E_TIME", _value(_with(time=_FAR))),
    PoisonClass("over_one_mebibyte", "E_SIZE", _value(_long(SIZE_MAX + 1))),
    PoisonClass("null_key", "E_KEY", _null_key),
    PoisonClass("wrong_topic", "E_UNKNOWN_TYPE", _elsewhere),
    PoisonClass("lone_surrogate_escape", ACCEPTED, _value(_saying(b"\\ud83d and \\udc00"))),
    PoisonClass("year_1970", "E_TIME", _value(_with(time="1970-01-01T00:00:00Z"))),
    PoisonClass("missing_time", "E_SCHEMA", _value(_without("time"))),
    PoisonClass("surrogate_bytes", "E_DECODE", _value(_saying(b"\xed\xa0\x80"))),
    PoisonClass("created_in_the_future", "E_TIME", _value(_with_data(created_at=_FAR))),
    PoisonClass("not_an_object", "E_SCHEMA", _value(lambda _: b'["not", "an", "event"]')),
    PoisonClass("unknown_enum_value", "E_SCHEMA", _value(_with_data(message_type="hologram"))),
    PoisonClass("upper_case_id", "E_SCHEMA", _value(_with_data(user_id="0191D000-0000-7000-8000-0000000000AB"))),
    PoisonClass("not_a_number", "E_DECODE", _value(_saying(b'", "weight": NaN, "rest": "'))),
    PoisonClass("number_for_sequence", "E_SCHEMA", _value(_with(sequence=7))),
    PoisonClass("byte_order_mark", "E_DECODE", _value(lambda event: b"\xef\xbb\xbf" + orjson.dumps(event))),
    PoisonClass("just_one_mebibyte", ACCEPTED, _value(_long(SIZE_MAX))),
)
"""Every class once; thirty records have each of them."""


def poison_record(kind: PoisonClass, donor: Generated, dice: Dice) -> Generated:
    """Make a poison record next to `donor`, which is a good `collab.message.posted`.

    It is a post of its own, with new ids and without thread, files or mentions, so an accepted one is a whole message.
    """
    event = orjson.loads(donor.value or b"")
    taken = event["data"]
    data = {
        **{name: taken[name] for name in ("channel_id", "workspace_id", "user_id", "created_at")},
        "message_id": dice.uuid4(),
        "content": "a message that is not what it seems",
        "message_type": "text",
        "mentions": [],
        "file_ids": [],
    }
    event |= {"id": dice.uuid4(), "subject": data["message_id"], "data": data}
    topic, key, value = kind.make(event, donor.key or b"")
    type_ = donor.type if kind.outcome == ACCEPTED else None
    return Generated(topic, key, value, type_, fault="poison", poison=kind.name, expected=kind.outcome)
