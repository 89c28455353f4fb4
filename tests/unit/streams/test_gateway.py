import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import pytest

import tailrace.schemas
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event, Refusal
from tailrace.streams.gateway import forward
from tailrace.streams.records import Record, sequence_of

SOURCE = "collab.inbound"
SAMPLES = sorted((Path(tailrace.schemas.__file__).parent / "samples").glob("*.json"))
APPENDED_MS = 1_795_300_000_123


def record(value: bytes | None, *, offset: int = 7, key: bytes | None = b"any", headers=()) -> Record:
    return Record("inbound", 3, offset, APPENDED_MS, key, value, headers)


def posted(**changes: object) -> dict[str, object]:
    event = {
        "specversion": "1.0",
        "id": "0199c1d2-0000-7000-8000-000000000001",
        "type": "collab.message.posted",
        "source": "/erp",
        "subject": "0199c1d2-0000-7000-8000-00000000000a",
        "time": "2026-11-18T12:00:00Z",
        "sequence": "5",
        "data": {
            "message_id": "0199c1d2-0000-7000-8000-00000000000a",
            "channel_id": "0199c1d2-0000-7000-8000-00000000000b",
            "workspace_id": "0199c1d2-0000-7000-8000-00000000000c",
            "user_id": "0199c1d2-0000-7000-8000-00000000000d",
            "content": "hi",
            "message_type": "text",
            "mentions": [],
            "file_ids": [],
            "created_at": "2026-11-18T12:00:00Z",
        },
    }
    return {name: value for name, value in (event | changes).items() if value is not ...}


def bytes_of(event: dict[str, object]) -> bytes:
    return json.dumps(event).encode()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_type_of_the_contract_goes_to_its_topic_under_its_key(sample):
    value = sample.read_bytes()
    (output,) = forward(record(value), SOURCE)

    assert isinstance(decode(output.topic, output.key, output.value, None), Event)
    assert output.value == value


def test_what_is_missing_is_filled_in_from_the_source_record():
    (output,) = forward(record(bytes_of(posted(id=..., time=..., sequence=...))), SOURCE)
    event = decode(output.topic, output.key, output.value, None)

    assert isinstance(event, Event)
    assert event.id == str(uuid5(NAMESPACE_URL, "collab.inbound/3/7"))
    assert event.time == datetime.fromtimestamp(APPENDED_MS / 1000, UTC)
    assert event.sequence == APPENDED_MS * 2_048_000 + 7


@pytest.mark.parametrize("name", ["id", "time", "sequence"])
def test_what_is_there_stays_when_another_attribute_is_missing_or_null(name):
    for gone in (..., None):
        (output,) = forward(record(bytes_of(posted(**{name: gone}))), SOURCE)
        event = decode(output.topic, output.key, output.value, None)

        assert isinstance(event, Event)
        kept = {"id": event.id, "sequence": str(event.sequence), "time": event.time.isoformat()[:10]}
        del kept[name]
        assert kept.items() <= {"id": posted()["id"], "sequence": "5", "time": "2026-11-18"}.items()


def test_filling_in_twice_gives_the_same_bytes():
    value = bytes_of(posted(id=..., sequence=...))

    assert forward(record(value), SOURCE) == forward(record(value), SOURCE)


def test_filled_in_sequences_rise_with_the_append_time_and_then_with_the_offset():
    records = [Record("inbound", 0, offset, ms, None, b"") for ms in (1_000, 1_001) for offset in (4_095, 4_096, 9_000)]
    sequences = [sequence_of(one) for one in records]

    assert sequences == sorted(set(sequences))


def test_a_later_attribute_of_the_same_name_does_not_hide_what_was_filled_in():
    value = b'{"sequence": null, ' + bytes_of(posted(sequence=...))[1:-1] + b"  }\n"
    (output,) = forward(record(value), SOURCE)

    assert isinstance(decode(output.topic, output.key, output.value, None), Event)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"\xff", "E_DECODE"),
        (b"[]", "E_SCHEMA"),
        (b"{}", "E_SCHEMA"),
        (bytes_of(posted(type="collab.message.sung")), "E_UNKNOWN_TYPE"),
        (bytes_of(posted(type=...)), "E_SCHEMA"),
        (bytes_of(posted(schemaversion=99)), "E_VERSION"),
        (bytes_of(posted(time="1999-12-31T23:59:59Z")), "E_TIME"),
        (bytes_of(posted(id="not an id")), "E_SCHEMA"),
        (b" " * 1_048_577, "E_SIZE"),
    ],
)
def test_what_is_no_event_is_refused_with_its_code(value, code):
    outcome = forward(record(value), SOURCE)

    assert isinstance(outcome, Refusal)
    assert outcome.code == code


def test_an_event_that_grows_too_large_by_what_is_filled_in_is_refused():
    data = posted()["data"] | {"content": "x" * (1_048_576 - 600)}
    event = posted(id=..., sequence=..., data=data)
    value = bytes_of(event | {"source": "/" + "y" * (1_048_576 - len(bytes_of(event)) - 20)})

    assert len(value) <= 1_048_576
    assert forward(record(value), SOURCE).code == "E_SIZE"


def test_a_null_value_goes_nowhere():
    assert list(forward(record(None), SOURCE)) == []


def test_the_producers_headers_go_along_and_ours_cannot_be_forged():
    headers = (("trace", b"1"), ("content-type", b"text/plain"), ("tr-source-offset", b"9"))
    (output,) = forward(record(bytes_of(posted()), headers=headers), SOURCE)

    assert output.headers == (("content-type", b"application/cloudevents+json"), ("trace", b"1"))
