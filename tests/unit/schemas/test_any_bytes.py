"""What is true of every record, whatever its bytes."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.schemas.catalogue import EVENT_TYPES, TOPICS
from tailrace.schemas.decode import VALUE_BYTES_MAX, decode, decode_all
from tailrace.schemas.event import Event, Refusal, RefusalCode
from tailrace.schemas.scrub import scrub

Record = dict[str, Any]

# Deterministic, so that a run that failed fails again; the exploring was done when the tests were written.
FIXED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

CANARY = "ca-na-ry"

TOPIC_NAMES = st.sampled_from([topic.name for topic in TOPICS])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from([CANARY, "1.0", "0", "2026-11-20T09:15:00Z", "0199c1d2-0040-7000-8000-0000000000aa", 10**400]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just(CANARY), inner, max_size=4),
    max_leaves=12,
)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def is_sound(decoded: Event | Refusal | None) -> bool:
    """Whether any store can take it, and a refusal quotes nothing."""
    if isinstance(decoded, Refusal):
        return CANARY not in decoded.reason and len(decoded.reason) < 1_000 and decoded.reason.isprintable()
    assert isinstance(decoded, Event)
    orjson.dumps(decoded.data)
    return not any("\0" in text for text in texts(decoded.data) if text.encode() is not None)


@FIXED
@given(topic=TOPIC_NAMES, key=st.none() | st.binary(), value=st.binary())
def test_bytes_give_a_refusal(topic: str, key: bytes | None, value: bytes):
    assert isinstance(decode(topic, key, value, None), Refusal)


@pytest.mark.slow
@FIXED
@given(topic=TOPIC_NAMES, value=JSON)
def test_json_gives_a_refusal_that_quotes_nothing(topic: str, value: Any):
    decoded = decode(topic, b"key", json.dumps(value).encode(), None)
    assert isinstance(decoded, Refusal)
    assert is_sound(decoded)


@pytest.mark.slow
@FIXED
@given(data=st.data(), type_=st.sampled_from(sorted(EVENT_TYPES)), value=JSON)
def test_a_sample_with_one_field_replaced_gives_an_event_that_can_be_stored_or_a_refusal(
    data: st.DataObject, type_: str, value: Any, event: Callable[..., Record], read: Callable[..., Any]
):
    fields = [name for name in event(type_) if name != "data"]
    name = data.draw(st.sampled_from(fields + [f"data__{field}" for field in event(type_)["data"]]))
    assert is_sound(read(event(type_, **{name: value})))


@pytest.mark.slow
@FIXED
@given(data=st.data(), type_=st.sampled_from(sorted(EVENT_TYPES)), value=JSON)
def test_both_ways_of_reading_agree(
    data: st.DataObject, type_: str, value: Any, event: Callable[..., Record], read: Callable[..., Any]
):
    """An unknown attribute that mentions Infinity keeps the record from the quick way and changes nothing else."""
    fields = [name for name in event(type_) if name != "data"]
    name = data.draw(st.sampled_from(fields + [f"data__{field}" for field in event(type_)["data"]]))
    changed = event(type_, **{name: value})
    assert read(changed) == read(changed | {"extra": "Infinity"})


@FIXED
@given(
    data=st.data(),
    type_=st.sampled_from(sorted(EVENT_TYPES)),
    insert=st.sampled_from([b"", b"\x00", b"\xff", b'"', b"\\", b"\\ud800", b"\\u0000", b"[" * 300, b"1e999", b"NaN"]),
)
def test_a_sample_with_a_span_of_bytes_replaced_never_raises(
    data: st.DataObject, type_: str, insert: bytes, event: Callable[..., Record], read: Callable[..., Any]
):
    value = json.dumps(event(type_)).encode()
    start = data.draw(st.integers(0, len(value)))
    end = data.draw(st.integers(start, min(start + 4, len(value))))
    topic = EVENT_TYPES[type_].topic
    assert is_sound(decode(topic, b"key", value[:start] + insert + value[end:], None))


class Kept(NamedTuple):
    key: bytes | None
    value: bytes | None


@pytest.mark.parametrize("topic", [topic.name for topic in TOPICS])
def test_records_that_are_decoded_together_are_what_each_is_alone(topic: str, event: Callable[..., Record]):
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    records, times = [Kept(b"key", None), Kept(None, b"{"), Kept(b"key", b" " * (VALUE_BYTES_MAX + 1))], [now] * 3
    for type_, about in EVENT_TYPES.items():
        good = event(type_)
        key = next((str(good["data"][name]).encode() for name in about.key if good["data"].get(name)), None)
        for changes in (
            {},
            {"time": "1999-01-01T00:00:00.000000Z"},
            {"id": "x"},
            {"schemaversion": 99},
            {"more": "NaN"},
            {"data": good["data"] | {"created_at": "1999-01-01T00:00:00.000000Z"}},
            {"data": good["data"] | {"created_at": "2026-11-21T12:10:00.000001Z"}},
        ):
            records += [Kept(key, json.dumps(good | changes).encode()), Kept(b"another", json.dumps(good).encode())]
            times += [now, datetime(2020, 1, 1, tzinfo=UTC)]
    alone = [decode(topic, *record, time) for record, time in zip(records, times, strict=True)]
    assert decode_all(topic, records, times) == alone
    untimely = {
        outcome.reason.split(":")[0]
        for outcome in alone
        if isinstance(outcome, Refusal) and outcome.code == RefusalCode.E_TIME
    }
    assert untimely >= ({"time", "data.created_at"} if topic == "conversations" else set())
    assert len({type(outcome) for outcome in alone}) >= 2


@FIXED
@given(text=st.text(st.characters(codec=None) | st.sampled_from("\ud83d\ude00\0\\u")))
def test_scrubbing_the_bytes_is_replacing_in_the_text_they_hold(text: str):
    escaped = json.dumps(text)
    assert json.loads(scrub(escaped.encode())) == re.sub("[\0\ud800-\udfff]", "\ufffd", json.loads(escaped))


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_no_text_of_a_refused_event_is_in_its_reason(type_: str, samples: dict[str, Record], read: Callable[..., Any]):
    data = {field: [CANARY] if isinstance(value, str) else CANARY for field, value in samples[type_]["data"].items()}
    refusal = read(samples[type_] | {"data": data | {CANARY: CANARY}})
    assert refusal.code == "E_SCHEMA"
    assert is_sound(refusal)
