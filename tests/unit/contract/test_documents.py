"""The committed documents are what the models say, and what the specifications call valid."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from tailrace.contract.asyncapi import asyncapi
from tailrace.contract.documents import DOCS, REGENERATE, committed, drift, exported, write
from tailrace.contract.event_schemas import event_schema, event_type, sample
from tailrace.errors import NotFoundError
from tailrace.schemas.catalogue import DERIVED, EVENT_TYPES, INBOUND, TOPICS, key_of
from tailrace.schemas.dead_letters import DeadLetter, dead_letter_headers
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event

ROOT = Path(__file__).parents[3]
VERSIONS = [(kind.name, number) for kind in EVENT_TYPES.values() for number in range(1, kind.version + 1)]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return asyncapi()


def test_the_committed_documents_are_what_the_models_say():
    assert drift(ROOT / DOCS) == (), f"run `{REGENERATE}` and commit what it writes"


@pytest.mark.slow
def test_writing_again_changes_nothing_and_drift_is_named(tmp_path: Path):
    assert set(write(committed(), tmp_path)) == set(committed())
    assert write(committed(), tmp_path) == ()
    (tmp_path / "catalogue.md").write_text("edited")
    (tmp_path / "contract/schemas/collab.message.sent.v1.json").write_text("{}")
    assert drift(tmp_path) == ("catalogue.md", "contract/schemas/collab.message.sent.v1.json")


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_a_schema_is_valid_takes_its_sample_and_the_sample_decodes(
    name: str, version: int, validators: Any, decoded: Any
):
    Draft202012Validator.check_schema(event_schema(name, version))
    event = sample(name, version)
    assert list(validators[name, version].iter_errors(event)) == []
    assert event["schemaversion"] == version
    assert isinstance(decoded(event), Event)


def test_the_asyncapi_document_is_valid_by_the_official_schema():
    official = json.loads((Path(__file__).parent / "asyncapi-3.0.0.schema.json").read_text())
    errors = sorted(Draft7Validator(official).iter_errors(asyncapi()), key=lambda error: list(error.path))
    assert [(list(error.path), error.message) for error in errors] == []


def test_the_official_schema_would_see_a_fault():
    official = json.loads((Path(__file__).parent / "asyncapi-3.0.0.schema.json").read_text())
    broken = asyncapi()
    broken["channels"]["files"]["bindings"]["kafka"]["partitions"] = "many"
    assert not Draft7Validator(official).is_valid(broken)


def test_every_reference_in_the_asyncapi_document_leads_somewhere():
    document = asyncapi()

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            return [node["$ref"]] if "$ref" in node else [it for inner in node.values() for it in references(inner)]
        return [it for inner in node for it in references(inner)] if isinstance(node, list) else []

    for reference in references(document):
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_every_channel_has_its_topics_messages_with_the_contracts_keys():
    document = asyncapi()
    assert set(document["channels"]) == {topic.name for topic in TOPICS}
    for name, version in VERSIONS:
        kind = EVENT_TYPES[name]
        assert f"{name}.v{version}" in document["channels"][kind.topic]["messages"]
        message = document["components"]["messages"][f"{name}.v{version}"]
        assert kind.key[0] in message["bindings"]["kafka"]["key"]["description"]


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_a_message_of_the_asyncapi_document_takes_its_own_example_and_no_other_types(
    name: str, version: int, document: Any
):
    message = document["components"]["messages"][f"{name}.v{version}"]
    validator = Draft7Validator(message["payload"] | {"components": document["components"]})
    assert validator.is_valid(message["examples"][0]["payload"])
    assert not validator.is_valid(sample("user.erased" if name != "collab.user.erased" else "file.deleted"))


def test_the_catalogue_page_tells_of_every_type_its_key_and_its_readers():
    page = committed()["catalogue.md"]
    for name in EVENT_TYPES:
        section = page.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
        assert "Key: `data." in section
        assert "Changes: " in section
        assert "Sent twice: unchanged, nothing; " in section
        assert json.dumps(sample(name)["id"]) in section
    assert "What happens when I send this twice" in page


def test_the_key_in_the_documents_is_the_key_of_the_sample():
    for name, kind in EVENT_TYPES.items():
        data = sample(name)["data"]
        assert key_of(name, data) == data[kind.key[0]]


def test_what_is_exported_is_what_is_committed():
    assert {f"contract/{path}": text for path, text in exported().items()}.items() <= committed().items()


def test_a_type_may_be_named_without_its_prefix_and_an_unknown_one_is_not_found():
    assert event_type("message.posted").name == "collab.message.posted"
    with pytest.raises(NotFoundError):
        event_type("message.sent")
    with pytest.raises(NotFoundError):
        event_schema("message.posted", 99)


def test_who_reads_only_the_asyncapi_document_is_understood():
    """A producer of another language: topic, key, subject and a valid value from the committed file, nothing else."""
    document = json.loads((ROOT / DOCS / "contract/asyncapi.json").read_text("utf-8"))
    understood = set()
    for channel, described in document["channels"].items():
        for name in described["messages"]:
            message = document["components"]["messages"][name]
            if "x-key" not in message:
                continue
            value = message["examples"][0]["payload"] | {"id": "0199c1d2-00e0-7000-8000-0000000000ff", "sequence": "1"}
            value["subject"] = "/".join(str(value["data"][field]) for field in message["x-subject"])
            key = next(value["data"][field] for field in message["x-key"] if value["data"].get(field))
            topic = described["address"].removeprefix("collab.")
            event = decode(topic, key.encode(), json.dumps(value).encode(), None)
            assert isinstance(event, Event), (name, event)
            assert topic == channel == message["x-topic"]
            understood.add(event.type)
    assert understood == set(EVENT_TYPES)


def test_the_headers_of_a_dead_letter_are_those_that_are_written(document: Any):
    letter = DeadLetter(
        "collab.files", 0, 0, (), "E_KEY", "key: expected", "postgres", 1, datetime(2026, 1, 1, tzinfo=UTC)
    )
    described = document["components"]["messages"]["dead-letter"]["headers"]

    written = [name for name, _ in dead_letter_headers(letter)]

    assert written == list(described["properties"]) == described["required"]


def test_topics_that_only_the_streams_write_are_sent_to_readers(document: Any):
    sent = {name.removeprefix("send-") for name, it in document["operations"].items() if it["action"] == "send"}
    assert sent == {*DERIVED, "dead-letters"}


def test_an_event_of_the_inbound_example_needs_only_what_the_gateway_adds():
    message = asyncapi()["components"]["messages"]["inbound"]
    short = message["examples"][0]["payload"]
    assert not {"id", "time", "sequence"} & short.keys()
    whole = short | {"id": "0199c1d2-00e0-7000-8000-0000000000ff", "sequence": "1", "time": "2026-11-20T09:15:00Z"}
    assert isinstance(decode(INBOUND, None, json.dumps(whole).encode(), None), Event)
