"""What `usual` takes, it takes exactly as the models do."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tailrace.schemas.catalogue import EVENT_TYPES
from tailrace.schemas.event import Event
from tailrace.schemas.usual import _SOURCES_MAX, _sources, usual, usual_all
from tailrace.schemas.validators import EVENT_DICT

Record = dict[str, Any]
Build = Callable[..., Record]

UUID = "0199c1d2-0040-7000-8000-0000000000aa"
MISSING = object()
DEEP: dict[str, Any] = {}
for _ in range(60):
    DEEP = {"a": [DEEP]}
VALUES = (
    MISSING, None, True, 0, 1, 2, -1, 1.0, 1.5, 2**31, 2**63, 10**20, "", "x", "1", "1.0", "01", "٣", "1_0", " 1",
    "9223372036854775807", "9223372036854775808", "00000000000000000001", UUID, UUID.upper(), UUID + "\n",
    f"{UUID}\n{UUID}",
    UUID.replace("-", ""), "2026-11-20T09:15:00.123456Z", "2026-11-20T09:15:00Z", "2026-11-20T09:15:00.1Z",
    "2026-11-20T09:15:00.1234567Z", "20261120T091500.000000Z", "2026-11-20T09:15:00.123456", "2026-11-20",
    "2026-11-20T09:15:00.123456+01:00", "2026-02-30T09:15:00.123456Z",
    "2026-11-20T24:00:00.000000Z", "2026-11-20T23:59:60.000000Z", "2026-11-20T09:15:00.123456z",
    "\uff12026-11-20T09:15:00.123456Z", "text", "public", "admin", "all", {}, {"a": 1}, {"a": 10**20 + 1}, [],
    {"a": [{"b": [None, True, "x", -1, 0, 2**53, {}]}], "é": "\U0001f600"}, {"a": 2**53 + 1}, {"a": -(2**63)},
    {"a": 1.5}, {"a": -0.0}, {"a": [1e300]}, {"a": "\0"}, {"a\0": 1}, {"a": "\ud800"}, DEEP,
    [None], ["x"], [UUID], [UUID, UUID.upper()], [f"{UUID}\n{UUID}"], "\0", "\ud800", "\\u0000", "é" * 40,
)  # fmt: skip


def as_producers_write(record: Record) -> Record:
    """The record with times of six digits and without fractions, so that nothing of it is unusual."""
    record["time"] = "2026-11-20T09:15:00.000123Z"
    for name, value in record["data"].items():
        if isinstance(value, dict):
            record["data"][name] = {"blocks": [{"type": "section", "size": 3, "bold": True, "url": None}]}
        elif isinstance(value, str) and value.endswith("Z") and value.startswith("20"):
            record["data"][name] = "2026-11-20T09:15:00.100000Z"
    return record


def by_models(value: bytes) -> Event | None:
    try:
        found = EVENT_DICT.validate_json(value)
    except ValidationError:
        return None
    names = ("source", "subject", "schemaversion", "workspaceid", "correlationid", "causationid")
    found["schemaversion"] = found["schemaversion"] or 1
    return Event(found["type"], found["id"], found["sequence"], found["time"], found["data"], *map(found.get, names))


def changed(record: Record) -> Iterator[Record]:
    """The record with every value in the place of every field, its attributes' and its data's, and with one more."""
    for within in (record, record["data"]):
        for name in (*within, "another", "traceparent"):
            before = within.get(name, MISSING)
            for value in VALUES:
                within[name] = value
                if value is MISSING:
                    del within[name]
                yield record
            within[name] = before
            if before is MISSING:
                del within[name]


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_whatever_stands_in_a_field_it_is_taken_as_the_models_take_it_or_left_to_them(type_: str, event: Build):
    for record in changed(as_producers_write(event(type_))):
        value = json.dumps(record).encode()
        taken = usual(value)
        assert taken is None or taken == by_models(value), record


@pytest.mark.parametrize("type_", ["collab.message.posted", "collab.channel.created", "collab.reaction.added"])
def test_together_each_is_taken_as_it_is_alone(type_: str, event: Build):
    good = json.dumps(as_producers_write(event(type_))).encode()
    values = [json.dumps(record).encode() for record in changed(as_producers_write(event(type_)))]
    taken = [usual(value) for value in values]
    assert usual_all([*values, None, good]) == [*taken, None, usual(good)]
    known = [value for value, one in zip(values, taken, strict=True) if one is not None]
    assert usual_all(known) == [one for one in taken if one is not None]
    for value in values:
        assert usual_all([good, value, good]) == [usual(good), usual(value), usual(good)]


@pytest.mark.parametrize(
    "free", ['{"a":-0}', '{"a":1,"b":2,"a":3}', '{"a":1E2}', '{"a":9007199254740993.0}', '{"":{}}']
)
def test_a_free_object_is_what_the_models_make_of_it(free: str, event: Build):
    text = json.dumps(as_producers_write(event(data__formatted_content={"here": 1})))
    value = text.replace('{"blocks": [{"type": "section", "size": 3, "bold": true, "url": null}]}', free).encode()
    assert free.encode() in value
    taken = usual(value)
    assert taken is None or repr(taken) == repr(by_models(value))


def test_two_halves_of_an_id_are_no_id(event: Build):
    first, second = as_producers_write(event()), as_producers_write(event())
    first["data"]["message_id"], second["data"]["message_id"] = UUID[:20], f"{UUID[20:]}\n{UUID}"
    assert usual_all([json.dumps(first).encode(), json.dumps(second).encode()]) == [None, None]


@given(at=st.integers(0, 2_000), byte=st.integers(0, 255), is_cut=st.booleans())
def test_whatever_byte_is_damaged(samples: dict[str, Record], at: int, byte: int, is_cut: bool):  # noqa: FBT001
    record = as_producers_write(copy.deepcopy(samples["collab.message.posted"]))
    value = bytearray(json.dumps(record, ensure_ascii=False).encode())
    at %= len(value)
    value[at : at + is_cut] = bytes([byte])
    taken = usual(bytes(value))
    assert taken is None or taken == by_models(bytes(value))


@pytest.mark.parametrize(
    "twice", ['"id":"x"', '"data":{}', '"type":"collab.message.edited"', '"schemaversion":2', '"sequence":"5"']
)
def test_of_equal_names_the_last_wins_or_the_models_are_asked(event: Build, twice: str):
    text = json.dumps(as_producers_write(event()))
    for value in (f"{text[:-1]},{twice}}}".encode(), f"{{{twice},{text[1:]}".encode()):
        taken = usual(value)
        assert taken is None or taken == by_models(value)


LEFT_TO_MODELS = {"workspace.created", "workspace.updated", "integration.installed", "integration.updated",
                  "file.uploaded", "trend.window_closed"}  # fmt: skip


@pytest.mark.parametrize(
    "type_", [type_ for type_ in EVENT_TYPES if type_.removeprefix("collab.") not in LEFT_TO_MODELS]
)
def test_the_usual_record_is_taken(type_: str, event: Build):
    value = json.dumps(as_producers_write(event(type_))).encode()
    taken = usual(value)
    assert taken is not None
    assert taken == by_models(value)


def test_sources_are_remembered_within_bounds(event: Build):
    record = as_producers_write(event())

    def source_of(text: str) -> str:
        taken = usual(json.dumps(record | {"source": text}).encode())
        assert taken is not None
        assert taken.source == text
        return taken.source

    assert source_of("/tests/one") is source_of("/tests/one")
    assert source_of("/" * 100_000) is not source_of("/" * 100_000)
    for number in range(2 * _SOURCES_MAX):
        source_of(f"/tests/{number}")
    assert len(_sources) <= _SOURCES_MAX


def test_an_escaped_nul_is_left_to_be_mended(event: Build):
    record = as_producers_write(event())
    record["data"]["content"] = "a\0b"
    assert usual(json.dumps(record).encode()) is None
    record["data"]["content"] = "a\\b"
    assert usual(json.dumps(record).encode()) is not None
