"""A glance sees what decoding sees, as far as it looks."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailrace.schemas
from tailrace.schemas.catalogue import EVENT_TYPES, key_of
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.schemas.glance import glance

APPENDED_AT = datetime(2099, 1, 1, tzinfo=UTC)
IDS = ("message_id", "channel_id", "file_id", "user_id", "workspace_id", "uploader_id", "session_id")
SAMPLES = [
    json.loads(path.read_text())
    for path in sorted((Path(tailrace.schemas.__file__).parent / "samples").glob("*.json"))
    if EVENT_TYPES[path.name.rsplit(".", 2)[0]].topic in {"conversations", "directory", "files", "activity", "signals"}
]
ODD = [None, 0, "", "x", [], {}, "0192F3A0-0000-7000-8000-000000000001", "not-a-uuid", "2026-02-31T00:00:00Z", "-1", 9]


def read_both(event: dict[str, Any]) -> tuple[Any, Any]:
    kind = EVENT_TYPES[event["type"]] if event["type"] in EVENT_TYPES else EVENT_TYPES["collab.message.posted"]
    try:
        key = key_of(kind.name, event["data"]).encode()
    except (KeyError, TypeError, StopIteration, AttributeError):
        key = b"0192f3a0-0000-7000-8000-000000000001"
    value = json.dumps(event).encode()
    return decode(kind.topic, key, value, APPENDED_AT), glance(kind.topic, key, value, APPENDED_AT)


def same(whole: Event, seen: Event) -> None:
    assert (seen.type, seen.id, seen.sequence, seen.time) == (whole.type, whole.id, whole.sequence, whole.time)
    ids = [name for name in IDS if name in whole.data]
    assert [seen.data[name] for name in ids] == [whole.data[name] for name in ids]
    assert (seen.topic, seen.appended_at) == (whole.topic, whole.appended_at)


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: f"{event['type']}.v{event.get('schemaversion', 1)}")
def test_a_sample_is_about_the_same_things(event: dict[str, Any]):
    whole, seen = read_both(event)

    same(whole, seen)


@given(event=st.sampled_from(SAMPLES), where=st.sampled_from(["id", "type", "time", "sequence", *IDS]), odd=st.data())
def test_whatever_is_odd_no_event_is_overlooked_and_no_id_is_taken_that_is_none(event, where, odd):
    spoilt = json.loads(json.dumps(event))
    (spoilt if where in spoilt else spoilt["data"])[where] = odd.draw(st.sampled_from(ODD))
    if not isinstance(spoilt["type"], str):
        spoilt["type"] = "collab.message.posted"

    whole, seen = read_both(spoilt)

    if isinstance(whole, Event):
        assert isinstance(seen, Event)
        same(whole, seen)
    elif where in IDS and where in event["data"] and where in EVENT_TYPES[event["type"]].model.model_fields:
        assert not isinstance(seen, Event)


def test_no_text_is_held_as_long_as_a_batch_is():
    (event,) = (event for event in SAMPLES if event["type"] == "collab.message.posted")

    _, seen = read_both(event)

    assert set(seen.data) == {"message_id", "channel_id", "user_id", "workspace_id"}


def test_the_wrong_key_is_refused_as_ever():
    event = SAMPLES[0]
    value = json.dumps(event).encode()

    refused = glance(EVENT_TYPES[event["type"]].topic, b"another", value, APPENDED_AT)

    assert str(refused.code) == "E_KEY"


def test_an_event_of_the_future_is_refused_as_ever():
    (event,) = (event for event in SAMPLES if event["type"] == "collab.message.posted")
    value = json.dumps(event | {"time": "2099-01-01T00:10:00.000001Z"}).encode()

    refused = glance("conversations", event["data"]["channel_id"].encode(), value, APPENDED_AT)

    assert str(refused.code) == "E_TIME"
