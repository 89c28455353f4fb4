import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

import tailrace.schemas
from tailrace.schemas.catalogue import EVENT_TYPES, TOPICS, key_of, topic_of
from tailrace.schemas.refusals import RefusalCode
from tailrace.schemas.validators import EVENT_MODELS, AnyEvent

ANY_EVENT: TypeAdapter[Any] = TypeAdapter(AnyEvent)


def test_every_type_is_carried_by_exactly_one_topic_besides_inbound():
    for name, event_type in EVENT_TYPES.items():
        carriers = [topic.name for topic in TOPICS if name.startswith(topic.carries) and topic.name != "inbound"]
        assert carriers == [event_type.topic]


def test_the_topics_are_those_of_the_contract_with_their_retention():
    assert {topic.name: topic.retention_days for topic in TOPICS} == {
        "conversations": None,
        "directory": None,
        "files": None,
        "activity": None,
        "signals": 1,
        "inbound": 7,
        "notifications": 30,
        "trends": 30,
        "dead-letters": 30,
    }


@pytest.mark.parametrize(
    ("type_", "key"),
    [
        ("collab.message.posted", "c"),
        ("collab.channel_member.left", "c"),
        ("collab.user.updated", "u"),
        ("collab.workspace_member.joined", "w"),
        ("collab.invitation.accepted", "w"),
        ("collab.integration.removed", "w"),
        ("collab.file.shared", "f"),
        ("collab.activity.recorded", "u"),
        ("collab.typing.started", "u"),
        ("collab.notification.raised", "u"),
        ("collab.trend.window_closed", "c"),
    ],
)
def test_the_key_is_the_contracts(type_: str, key: str):
    assert key_of(type_, {"user_id": "u", "workspace_id": "w", "channel_id": "c", "file_id": "f"}) == key


@pytest.mark.parametrize("data", [{"workspace_id": "w"}, {"workspace_id": "w", "user_id": None}])
def test_an_activity_of_nobody_is_keyed_by_its_workspace(data: dict[str, str]):
    assert key_of("collab.activity.recorded", data) == "w"


def test_an_unknown_type_has_neither_topic_nor_key():
    with pytest.raises(KeyError):
        topic_of("collab.message.sent")
    with pytest.raises(KeyError):
        key_of("collab.message.sent", {})


def test_whole_events_are_described_by_one_json_schema_with_all_types():
    schema = ANY_EVENT.json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(EVENT_TYPES)
    posted = schema["$defs"]["MessagePosted"]["properties"]
    assert posted["created_at"]["format"] == "date-time"
    assert posted["message_id"]["format"] == "uuid"
    assert schema["$defs"]["CollabMessagePosted"]["properties"]["sequence"]["type"] == "string"


def test_the_models_of_whole_events_read_every_sample_and_write_it_again():
    for name, kind in EVENT_TYPES.items():
        file = f"{name}.v{kind.version}.json"
        sample = (Path(tailrace.schemas.__file__).parent / "samples" / file).read_bytes()
        event = ANY_EVENT.validate_json(sample)
        assert isinstance(event, EVENT_MODELS[name])
        assert ANY_EVENT.validate_json(event.model_dump_json()) == event


def test_models_write_times_with_all_digits_and_the_sequence_as_a_string(samples: dict[str, dict[str, object]]):
    sample = samples["collab.message.posted"] | {"time": "2026-11-20T10:00:00+01:00", "sequence": "007"}
    written = ANY_EVENT.validate_python(sample).model_dump(mode="json")
    assert (written["time"], written["sequence"]) == ("2026-11-20T09:00:00.000000Z", "7")


def test_a_model_does_not_take_another_types_data(samples: dict[str, dict[str, object]]):
    with pytest.raises(ValidationError):
        EVENT_MODELS["collab.message.posted"].model_validate(samples["collab.message.deleted"])


def test_every_refusal_code_says_what_it_means_in_one_line():
    for code in RefusalCode:
        assert re.fullmatch(r"[A-Z][^\n]{10,120}\.", code.meaning)
        assert RefusalCode(str(code)) is code
