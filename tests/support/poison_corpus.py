"""Records that must not be applied: classes of them, each generated in many variants, with the code that each is due.

The codes follow rule X and rulings 70–88, not what the decoder says.
"""

import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from contract_events import CloudEvent, Given, id_of, in_world, rfc3339
from kafka_topics import Raw

MIB = 2**20
RECORD_BYTES_MAX = 2 * MIB - 2_000
"""As large as the broker lets through, beside key and headers."""
BOMB_BYTES = 24 * MIB
"""What a compressed batch of some kilobytes expands to, or to twice as much."""
USUAL = 18
"""Variants of a class; of those that are large, fewer."""

Make = Callable[[CloudEvent, random.Random], bytes]


@dataclass(frozen=True)
class Poison:
    """One record; `is_bomb`: it is to be sent compressed."""

    name: str
    code: str
    raw: Raw
    is_bomb: bool = False


def corpus(seed: int) -> list[Poison]:
    """Every class, in an order of the seed."""
    rng, given = random.Random(seed), Given()
    made = [poison for make in (_values, _keys, _places, _large) for poison in make(given, rng)]
    rng.shuffle(made)
    return made


def _good(given: Given, rng: random.Random) -> CloudEvent:
    return in_world(given.posted(f"p{rng.getrandbits(36):x}", "hello"))


def _dump(event: Any) -> bytes:
    return json.dumps(event).encode()


def _changed(**changes: Callable[[random.Random], Any]) -> Make:
    return lambda event, rng: _dump(event | {name: make(rng) for name, make in changes.items()})


def _data(**changes: Callable[[random.Random], Any]) -> Make:
    return lambda event, rng: _dump(event | {"data": event["data"] | {n: make(rng) for n, make in changes.items()}})


def _content(text: Callable[[random.Random], bytes]) -> Make:
    """JSON text, or what is none, in the place of the content."""
    return lambda event, rng: _dump(event).replace(b'"hello"', text(rng))


def _without(names: tuple[str, ...], inside: str | None = None) -> Make:
    def make(event: CloudEvent, rng: random.Random) -> bytes:
        gone = rng.choice(names)
        holder = event[inside] if inside else event
        kept = {name: value for name, value in holder.items() if name != gone}
        return _dump(event | {inside: kept} if inside else kept)

    return make


def _any_of(values: list[Any]) -> Callable[[random.Random], Any]:
    return lambda rng: rng.choice(values)


def _far(rng: random.Random) -> str:
    return rfc3339(datetime.now(UTC) + timedelta(minutes=rng.randint(30, 10**6)))


def _past(rng: random.Random) -> str:
    return rfc3339(datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC) - timedelta(minutes=rng.randint(0, 10**7)))


def _cut(event: CloudEvent, rng: random.Random) -> bytes:
    value = _dump(event)
    return value[: rng.randint(1, len(value) - 1)]


def _bytes(_: CloudEvent, rng: random.Random) -> bytes:
    return b"\xff" + rng.randbytes(rng.randint(1, 5_000))


def _duplicated(event: CloudEvent, rng: random.Random) -> bytes:
    """Of equal keys the last wins, and that one is wrong."""
    name, value = rng.choice([("specversion", b'"7"'), ("sequence", b"[]"), ("time", b"{}"), ("data", b"5")])
    return _dump(event)[:-1] + b', "%b": %b}' % (name.encode(), value)


def _deep(rng: random.Random) -> bytes:
    depth = rng.choice([1_000, 10_000, 100_000])
    return b"[" * depth + b"]" * depth if rng.random() < 0.5 else b'{"a":' * depth + b"1" + b"}" * depth


CLASSES: dict[str, tuple[str, Make]] = {
    "random bytes": ("E_DECODE", _bytes),
    "truncated JSON": ("E_DECODE", _cut),
    "an empty value": ("E_DECODE", lambda _, rng: b" " * rng.randint(0, 9)),
    "invalid UTF-8 in a text": (
        "E_DECODE",
        _content(lambda r: b'"' + r.choice([b"\xc3\x28", b"\xa0\xa1", b"\xf8"]) + b'"'),
    ),
    "overlong UTF-8": ("E_DECODE", _content(lambda r: b'"' + r.choice([b"\xc0\x80", b"\xe0\x80\xaf"]) + b'"')),
    "surrogates as bytes": ("E_DECODE", _content(lambda r: b'"\xed' + bytes([r.randint(0xA0, 0xBF), 0x80]) + b'"')),
    "not a number": ("E_DECODE", _content(lambda r: r.choice([b"NaN", b"-NaN", b"nan"]))),
    "infinity": ("E_DECODE", _content(lambda r: r.choice([b"Infinity", b"-Infinity", b"+Infinity"]))),
    "a byte order mark": ("E_DECODE", lambda event, _: b"\xef\xbb\xbf" + _dump(event)),
    "UTF-16": ("E_DECODE", lambda event, rng: json.dumps(event).encode(rng.choice(["utf-16", "utf-16-be"]))),
    "nested beyond reason": ("E_DECODE", _content(_deep)),
    "a number of thousands of digits": ("E_DECODE", _content(lambda r: b"9" * r.randint(5_000, 100_000))),
    "not quite JSON": (
        "E_DECODE",
        lambda event, r: r.choice([b"%b,", b"%b %b", b"{'a': 1}", b"/* */ %b", b"%b}"]).replace(b"%b", _dump(event)),
    ),
    "control characters in a text": ("E_DECODE", _content(lambda r: b'"' + bytes([r.randint(1, 31)]) + b'"')),
    "JSON that is no object": ("E_SCHEMA", lambda _, r: r.choice([b"[]", b"5", b'"text"', b"true", b"null", b"1e5"])),
    "an attribute is missing": (
        "E_SCHEMA",
        _without(("specversion", "id", "type", "source", "subject", "time", "sequence", "data")),
    ),
    "a field is missing": (
        "E_SCHEMA",
        _without(("message_id", "channel_id", "user_id", "content", "mentions", "file_ids", "created_at"), "data"),
    ),
    "data is no object": ("E_SCHEMA", _changed(data=_any_of([None, 5, [], "text", True]))),
    "null for what is required": ("E_SCHEMA", _data(content=lambda _: None)),
    "another type than text": ("E_SCHEMA", _data(content=_any_of([5, 1.5, True, [], {}, ["hello"]]))),
    "an unknown choice": ("E_SCHEMA", _data(message_type=lambda r: "".join(r.choices(string.ascii_lowercase, k=9)))),
    "no canonical id": (
        "E_SCHEMA",
        _data(user_id=_any_of(["", "x", "0191D000-0000-7000-8000-0000000000AB", "0" * 32, f"urn:uuid:{id_of('a')}"])),
    ),
    "a sequence that is none": (
        "E_SCHEMA",
        _changed(sequence=_any_of([7, "-1", "1.0", "", "x", str(2**63), "9" * 5_000, None, "٣"])),
    ),
    "a time that is none": (
        "E_SCHEMA",
        _changed(time=_any_of(["yesterday", "2026-13-01T00:00:00Z", "2026-11-20", 1.5, "2026-11-20T12:00:00", ""])),
    ),
    "another envelope": ("E_SCHEMA", _changed(specversion=_any_of(["0.3", "2.0", 1.0, "", None]))),
    "a version that is none": ("E_SCHEMA", _changed(schemaversion=_any_of([0, -1, "1", 1.5, [], True]))),
    "duplicate keys, the last one wrong": ("E_SCHEMA", _duplicated),
    "an unknown type": (
        "E_UNKNOWN_TYPE",
        _changed(type=lambda r: f"collab.message.{''.join(r.choices(string.ascii_lowercase, k=8))}"),
    ),
    "a type in another case": (
        "E_UNKNOWN_TYPE",
        _changed(type=_any_of(["collab.Message.posted", "COLLAB.MESSAGE.POSTED", "message.posted"])),
    ),
    "a version of the future": (
        "E_VERSION",
        _changed(schemaversion=lambda r: r.choice([2, 3, 99, 2**31, 2**53]) + r.randint(0, 9)),
    ),
    "too far ahead": ("E_TIME", _changed(time=_far)),
    "before the year 2000": ("E_TIME", _changed(time=_past)),
    "posted ahead of time": ("E_TIME", _data(created_at=_far)),
    "posted before the year 2000": ("E_TIME", _data(created_at=_past)),
}


def _values(given: Given, rng: random.Random) -> Iterator[Poison]:
    for name, (code, make) in CLASSES.items():
        for number in range(USUAL if name != "nested beyond reason" else 8):
            value = make(_good(given, rng), rng)
            # A header of its own keeps records with the same bytes apart.
            raw = Raw("conversations", id_of("c1").encode(), value, (("number", str(number).encode()),))
            yield Poison(name, code, raw)


def _keys(given: Given, rng: random.Random) -> Iterator[Poison]:
    right = id_of("c1")
    keys = {
        "the key of another": lambda: id_of(f"k{rng.getrandbits(30):x}").encode(),
        "no key": lambda: None,
        "a key that is not the same text": lambda: (
            rng.choice([right.upper(), f" {right}", "", f"{right}\0"]).encode() + b" "
        ),
        "a key that is no text": lambda: b"\xff" + rng.randbytes(8),
    }
    for name, make in keys.items():
        for _ in range(USUAL):
            yield Poison(name, "E_KEY", Raw("conversations", make(), _dump(_good(given, rng))))


def _places(given: Given, rng: random.Random) -> Iterator[Poison]:
    for _ in range(USUAL):
        topic = rng.choice(["files", "directory", "activity", "signals"])
        event = _good(given, rng)
        key = rng.choice([id_of("c1"), event["data"]["user_id"]]).encode()
        yield Poison("the wrong topic", "E_UNKNOWN_TYPE", Raw(topic, key, _dump(event)))


def _large(given: Given, rng: random.Random) -> Iterator[Poison]:
    key = id_of("c1").encode()

    def text(size: int) -> bytes:
        event = _good(given, rng)
        empty = len(_dump(event | {"data": event["data"] | {"content": ""}}))
        return _dump(event | {"data": event["data"] | {"content": "x" * (size - empty)}})

    for number in range(4):
        yield Poison("one byte over", "E_SIZE", Raw("conversations", key, text(MIB + 1)))
        noise = rng.randbytes(RECORD_BYTES_MAX - 64)
        yield Poison("as large as the broker lets through", "E_SIZE", Raw("conversations", key, noise))
        yield Poison("large and nested", "E_SIZE", Raw("conversations", key, b"[" * (RECORD_BYTES_MAX - 64)))
        if number % 2:
            continue
        for name, value in (("a bomb of zeros", bytes(2 * BOMB_BYTES)), ("a bomb that is an event", text(BOMB_BYTES))):
            yield Poison(name, "E_SIZE", Raw("conversations", key, value), is_bomb=True)
