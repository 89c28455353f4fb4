"""The CloudEvents SDK as an oracle: what we publish it reads, what it writes we read, structured mode."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_structured_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from tailrace.contract.event_schemas import sample
from tailrace.producer.connection import CONTENT_TYPE
from tailrace.schemas.catalogue import EVENT_TYPES, INBOUND
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.testing import RecordingProducer

VERSIONS = [(kind.name, number) for kind in EVENT_TYPES.values() for number in range(1, kind.version + 1)]
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def read_by_the_sdk(value: bytes) -> Any:
    name, content_type = CONTENT_TYPE
    return from_structured_event(KafkaMessage(headers={name: content_type}, key=None, value=value))


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_what_our_producer_writes_the_sdk_reads_to_the_letter(name: str):
    record = RecordingProducer(source="/billing", now=NOON).validate({"type": name, "data": sample(name)["data"]})

    event = read_by_the_sdk(record.value)

    assert (event.get_id(), event.get_type(), event.get_source()) == (record.event_id, name, "/billing")
    assert (event.get_specversion(), event.get_time()) == ("1.0", NOON)
    written = json.loads(record.value)
    assert event.get_subject() == written["subject"]
    assert event.get_data() == written["data"]
    assert event.get_extension("sequence") == written["sequence"]
    assert event.get_extension("workspaceid") == written.get("workspaceid")


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_what_the_sdk_writes_we_read_as_the_same_event(name: str, version: int):
    told = sample(name, version)
    attributes = {key: value for key, value in told.items() if key != "data"}
    attributes["time"] = datetime.fromisoformat(told["time"])

    message = to_structured_event(CloudEvent(attributes=attributes, data=told["data"]))

    assert message.headers == {CONTENT_TYPE[0]: CONTENT_TYPE[1]}
    event = decode(INBOUND, None, message.value, None)
    assert isinstance(event, Event)
    assert event == decode(INBOUND, None, json.dumps(told).encode(), None)


def test_the_names_of_our_attributes_are_allowed_as_extensions():
    ours = {"schemaversion": 1, "sequence": "7", "workspaceid": "w", "correlationid": "c", "causationid": "d"}
    CloudEvent(attributes={"type": "t", "source": "/s", "id": "i", "specversion": "1.0", **ours}, data={})
