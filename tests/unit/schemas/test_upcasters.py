import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from tailrace.schemas.catalogue import EVENT_TYPES
from tailrace.schemas.conversations import MessageRef
from tailrace.schemas.decode import Decoder
from tailrace.schemas.event import Event, Refusal
from tailrace.schemas.fields import Data, Id, Timestamp
from tailrace.schemas.upcasters import UPCASTERS, Upcaster, Upcasters

POSTED = "collab.message.posted"
EDITED = "collab.message.edited"

Fields = dict[str, Any]


class Author(Data):
    id: Id
    nickname: str | None = None


class Version2(MessageRef):
    author: Author
    content: str
    message_type: str
    mentions: list[Id]
    file_ids: list[Id]
    created_at: Timestamp


class Version1(MessageRef):
    author: Author
    text: str
    message_type: str
    mentions: list[Id]
    file_ids: list[Id]
    created_at: Timestamp


def text_to_content(data: Fields) -> Fields:
    """Version 1 called it `text`."""
    return {**{name: value for name, value in data.items() if name != "text"}, "content": data["text"]}


def author_to_user(data: Fields) -> Fields:
    """Version 2 had the author as an object."""
    return {**data, "user_id": data["author"]["id"]}


TYPES = {
    name: replace(kind, older=(Version1, Version2) if name == POSTED else ()) for name, kind in EVENT_TYPES.items()
}
STEPS = (Upcaster(POSTED, 2, 3, author_to_user), Upcaster(POSTED, 1, 2, text_to_content, sunset=date(2027, 1, 31)))


@pytest.fixture
def version_1(event: Callable[..., Fields]) -> Fields:
    record = event(schemaversion=1)
    record["data"]["text"] = record["data"].pop("content")
    record["data"]["author"] = {"id": record["data"].pop("user_id")}
    return record


def read(record: Fields, steps: tuple[Upcaster, ...] = STEPS) -> Event | Refusal | None:
    decoder = Decoder(Upcasters(steps, TYPES))
    key = record["data"]["channel_id"].encode()
    return decoder.decode("conversations", key, json.dumps(record).encode(), datetime(2026, 11, 21, tzinfo=UTC))


def optional_left_out(record: Fields) -> Fields:
    """What the older versions of these tests do not have."""
    names = ("formatted_content", "thread_id", "client_msg_id")
    return {**record, "data": {name: value for name, value in record["data"].items() if name not in names}}


def test_the_steps_in_force_lead_to_the_models():
    assert {name: UPCASTERS.current(name) for name in EVENT_TYPES} == {
        name: kind.version for name, kind in EVENT_TYPES.items()
    }


def test_the_current_version_is_one_above_the_last_step():
    steps = Upcasters(STEPS, TYPES)
    assert (steps.current(POSTED), steps.current(EDITED)) == (3, 1)


def test_an_old_event_comes_out_as_a_current_one(version_1: Fields, event: Callable[..., Fields]):
    old, new = read(version_1), read(optional_left_out(event(schemaversion=3)))
    assert isinstance(old, Event)
    assert old == new
    assert old.schemaversion == 3


def test_an_event_from_between_takes_the_rest_of_the_way(version_1: Fields):
    version_2 = {**version_1, "schemaversion": 2, "data": text_to_content(version_1["data"])}
    assert read(version_2) == read(version_1)


def test_an_absent_version_is_one_even_where_the_data_would_fit_the_current_model(event: Callable[..., Fields]):
    record = event()
    del record["schemaversion"]
    refusal = read(record)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.reason) == ("E_SCHEMA", "data.author: missing; data.text: missing")


def test_the_step_after_the_current_version_is_from_the_future(event: Callable[..., Fields]):
    refusal = read(event(schemaversion=4))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "E_VERSION"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"text": 5}, "data.text: expected a string"),
        ({"text": None}, "data.text: expected a string"),
        ({"author": None}, "data.author: expected an object"),
        ({"author": []}, "data.author: expected an object"),
        ({"author": {}}, "data.author.id: missing"),
        ({"author": {"id": "ana"}}, "data.author.id: expected a UUID in canonical lower case"),
        ({"created_at": 5}, "data.created_at: expected an RFC 3339 time with seconds and offset"),
    ],
)
def test_a_fault_of_old_data_is_named_as_its_producer_knows_it(fault: Fields, reason: str, version_1: Fields):
    refusal = read({**version_1, "data": {**version_1["data"], **fault}})
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.reason) == ("E_SCHEMA", reason)


def test_what_the_steps_make_is_validated_too(version_1: Fields):
    refusal = read({**version_1, "data": {**version_1["data"], "message_type": "telegram"}})
    assert isinstance(refusal, Refusal)
    assert refusal.reason.startswith("data.message_type: expected ")


def test_nested_data_comes_out_as_plain_values_with_every_field():
    seen: list[Fields] = []

    def author_to_user_seen(data: Fields) -> Fields:
        seen.append(data)
        return author_to_user(data)

    record = {"author": {"id": "0199c1d2-0020-7000-8000-000000000001", "unknown": 1}}
    sample = {"specversion": "1.0", "id": "0199c1d2-00e0-7000-8000-00000000001c", "type": POSTED, "source": "/s"}
    sample |= {"subject": "s", "time": "2026-11-20T09:16:30Z", "sequence": "1", "schemaversion": 2}
    ids = dict.fromkeys(("message_id", "channel_id", "workspace_id"), "0199c1d2-0040-7000-8000-000000000002")
    text = {"content": "a", "message_type": "text", "mentions": [], "file_ids": [], "created_at": sample["time"]}
    outcome = read(
        {**sample, "data": {**ids, **text, **record}}, (STEPS[1], Upcaster(POSTED, 2, 3, author_to_user_seen))
    )
    assert isinstance(outcome, Event)
    assert seen[0]["author"] == {"id": record["author"]["id"], "nickname": None}


def test_a_version_has_its_sunset_and_the_newest_has_none():
    steps = Upcasters(STEPS, TYPES)
    assert [steps.sunset(POSTED, version) for version in (1, 2, 3)] == [date(2027, 1, 31), None, None]


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ((Upcaster(POSTED, 2, 3, author_to_user),), "a gap: there is none from version 1"),
        ((Upcaster(POSTED, 1, 2, text_to_content),), "a gap: upcasters lead to version 2, its model is version 3"),
        ((Upcaster(POSTED, 1, 3, text_to_content),), "a gap: it leaves a version out"),
        ((*STEPS, Upcaster(POSTED, 3, 4, author_to_user)), "upcasters lead to version 4, its model is version 3"),
        ((*STEPS, Upcaster(POSTED, 3, 1, author_to_user)), "a cycle"),
        ((*STEPS, Upcaster(POSTED, 2, 2, author_to_user)), "a cycle"),
        ((*STEPS, Upcaster(POSTED, 1, 2, author_to_user)), "there twice"),
        ((*STEPS, Upcaster(EDITED, 1, 2, author_to_user)), "upcasters lead to version 2, its model is version 1"),
        ((*STEPS, Upcaster(POSTED, 0, 1, author_to_user)), "there twice"),
        ((*STEPS, Upcaster("collab.message.sent", 1, 2, author_to_user)), "not in the catalogue"),
    ],
)
def test_a_set_of_steps_with_a_fault_does_not_start(steps: tuple[Upcaster, ...], why: str):
    with pytest.raises(ValueError, match=why):
        Upcasters(steps, TYPES)
