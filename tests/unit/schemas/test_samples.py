from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import tailrace.schemas
from tailrace.schemas.catalogue import EVENT_TYPES, key_of
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.schemas.validators import EVENT_MODELS

Record = dict[str, Any]


def test_there_is_a_sample_of_every_version_of_every_type_and_of_nothing_else():
    files = {file.name for file in (Path(tailrace.schemas.__file__).parent / "samples").iterdir()}
    versions = {(name, number) for name, kind in EVENT_TYPES.items() for number in range(1, kind.version + 1)}
    assert files == {f"{name}.v{number}.json" for name, number in versions}


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_the_sample_decodes_on_its_topic_under_its_key(name: str, read: Callable[..., Any], samples: dict[str, Record]):
    sample = samples[name]
    event = read(sample)
    assert isinstance(event, Event)
    assert (event.type, event.id, event.subject) == (name, sample["id"], sample["subject"])
    assert event.sequence == int(sample["sequence"])
    assert event.schemaversion == EVENT_TYPES[name].version
    assert event.topic == EVENT_TYPES[name].topic
    assert set(event.data) == set(EVENT_TYPES[name].model.model_fields)


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_every_field_of_the_model_is_in_the_sample(name: str, samples: dict[str, Record]):
    assert set(samples[name]["data"]) == set(EVENT_TYPES[name].model.model_fields)


def test_every_optional_field_has_a_value_in_some_sample(samples: dict[str, Record]):
    filled: dict[type, set[str]] = {}
    for name, sample in samples.items():
        present = {field for field, value in sample["data"].items() if value is not None}
        filled.setdefault(EVENT_TYPES[name].model, set()).update(present)
    assert filled == {model: set(model.model_fields) for model in filled}


def test_every_optional_attribute_has_a_value_in_some_sample(samples: dict[str, Record]):
    present = {attribute for sample in samples.values() for attribute in sample}
    assert present >= set(EVENT_MODELS["collab.message.posted"].model_fields)


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_optional_fields_may_be_absent_or_null_and_are_none_either_way(
    name: str, read: Callable[..., Any], samples: dict[str, Record]
):
    fields = EVENT_TYPES[name].model.model_fields
    optional = [field for field, info in fields.items() if not info.is_required() and info.default is None]
    data = samples[name]["data"]
    absent = {field: value for field, value in data.items() if field not in optional}
    null = data | dict.fromkeys(optional)
    events = [read(samples[name] | {"data": variant}) for variant in (absent, null)]
    assert [event.data[field] for event in events for field in optional] == [None] * 2 * len(optional)
    assert events[0] == events[1]


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_required_fields_may_be_neither_absent_nor_null(
    name: str, read: Callable[..., Any], samples: dict[str, Record]
):
    topic, data = EVENT_TYPES[name].topic, samples[name]["data"]
    key = key_of(name, data).encode()
    required = [field for field, info in EVENT_TYPES[name].model.model_fields.items() if info.is_required()]
    for field in required:
        for variant in (data | {field: None}, {other: value for other, value in data.items() if other != field}):
            refusal = read(samples[name] | {"data": variant}, topic=topic, key=key)
            assert refusal.code == "E_SCHEMA"
            assert refusal.reason.startswith(f"data.{field}: ")


def test_the_golden_message_is_read_to_the_letter(samples: dict[str, Record], read: Callable[..., Any]):
    sample = samples["collab.message.posted"]
    event = read(sample)
    assert event == Event(
        type="collab.message.posted",
        id="0199c1d2-00e0-7000-8000-00000000001c",
        sequence=1_795_000_000_000_000_028,
        time=datetime(2026, 11, 20, 9, 16, 30, 250_000, tzinfo=UTC),
        data=sample["data"] | {"created_at": datetime(2026, 11, 20, 9, 16, 30, 250_000, tzinfo=UTC)},
        source="/services/collab-api",
        subject="0199c1d2-0040-7000-8000-000000000002",
        schemaversion=1,
        workspaceid="0199c1d2-0010-7000-8000-000000000001",
        correlationid="req-5d1c",
        causationid="0199c1d2-00e0-7000-8000-00000000001b",
        topic="conversations",
        appended_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
    )
    assert event.time.tzinfo is UTC


def test_a_null_value_is_ignored_whatever_its_key():
    assert decode("conversations", None, None, None) is None
    assert decode("conversations", b"not the key", None, None) is None
