import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tailrace.schemas.catalogue import EVENT_TYPES
from tailrace.schemas.decode import Decoder
from tailrace.schemas.event import Event, Refusal
from tailrace.schemas.upcasters import UPCASTERS, Upcaster, Upcasters

POSTED = "collab.message.posted"
EDITED = "collab.message.edited"

Data = dict[str, Any]


def text_to_content(data: Data) -> Data:
    """Version 1 called it `text`."""
    return {**{name: value for name, value in data.items() if name != "text"}, "content": data["text"]}


def author_to_user(data: Data) -> Data:
    """Version 2 had the author as an object."""
    return {**data, "user_id": data["author"]["id"]}


STEPS = (Upcaster(POSTED, 2, author_to_user), Upcaster(POSTED, 1, text_to_content))


@pytest.fixture
def version_1(event: Callable[..., Data]) -> Data:
    record = event(schemaversion=1)
    record["data"]["text"] = record["data"].pop("content")
    record["data"]["author"] = {"id": record["data"].pop("user_id")}
    return record


def read(record: Data, steps: tuple[Upcaster, ...] = STEPS) -> Event | Refusal | None:
    decoder = Decoder(Upcasters(steps, EVENT_TYPES))
    key = record["data"]["channel_id"].encode()
    return decoder.decode("conversations", key, json.dumps(record).encode(), datetime(2026, 11, 21, tzinfo=UTC))


def test_every_type_is_at_version_one_today():
    assert {UPCASTERS.current(name) for name in EVENT_TYPES} == {1}


def test_the_current_version_is_one_above_the_last_step():
    steps = Upcasters(STEPS, EVENT_TYPES)
    assert (steps.current(POSTED), steps.current(EDITED)) == (3, 1)


def test_an_old_event_comes_out_as_a_current_one(version_1: Data, event: Callable[..., Data]):
    old, new = read(version_1), read(event(schemaversion=3))
    assert isinstance(old, Event)
    assert old == new
    assert old.schemaversion == 3


def test_an_event_from_between_takes_the_rest_of_the_way(version_1: Data):
    version_2 = {**version_1, "schemaversion": 2, "data": text_to_content(version_1["data"])}
    assert read(version_2) == read(version_1)


def test_an_absent_version_is_one_even_where_the_data_would_fit_the_current_model(event: Callable[..., Data]):
    record = event()
    del record["schemaversion"]
    refusal = read(record)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.reason) == ("E_SCHEMA", "data: does not fit version 1 of its type")


def test_the_step_after_the_current_version_is_from_the_future(event: Callable[..., Data]):
    refusal = read(event(schemaversion=4))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "E_VERSION"


@pytest.mark.parametrize("fault", [{"text": 5}, {"text": None}])
def test_what_the_steps_let_through_is_still_validated(fault: Data, version_1: Data):
    refusal = read({**version_1, "data": {**version_1["data"], **fault}})
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.reason) == ("E_SCHEMA", "data.content: expected a string")


@pytest.mark.parametrize("author", [None, 5, "ana", [], {}])
def test_old_data_that_a_step_cannot_read_is_e_schema(author: object, version_1: Data):
    refusal = read({**version_1, "data": {**version_1["data"], "author": author}})
    assert isinstance(refusal, Refusal)
    assert refusal.code == "E_SCHEMA"


@pytest.mark.parametrize(
    "steps",
    [
        (Upcaster(POSTED, 2, author_to_user),),
        (Upcaster(POSTED, 1, text_to_content), Upcaster(POSTED, 3, author_to_user)),
        (Upcaster(POSTED, 1, text_to_content), Upcaster(POSTED, 1, author_to_user)),
        (Upcaster(POSTED, 0, text_to_content),),
        (Upcaster("collab.message.sent", 1, text_to_content),),
    ],
    ids=["starts late", "gap", "fork", "below one", "unknown type"],
)
def test_a_set_of_steps_with_a_fault_does_not_start(steps: tuple[Upcaster, ...]):
    with pytest.raises(ValueError, match=r"upcaster"):
        Upcasters(steps, EVENT_TYPES)
