"""Who waits behind a refused event, and in which order they go on (rule X)."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace.projections.waiting import Line, subject_of
from tailrace.schemas.event import Event

TIME = datetime(2026, 11, 21, tzinfo=UTC)


def event(id_: str, *, topic: str = "conversations", **data: Any) -> Event:
    return Event("collab.x", id_, 1, TIME, data, "/t", "s", 1, None, None, None, topic=topic)


def ids(events: list[Event]) -> str:
    return " ".join(one.id for one in events)


FIRST, LATER, LAST = (event(id_, message_id="m") for id_ in ("first", "later", "last"))
NEIGHBOUR = event("neighbour", message_id="n")


@pytest.mark.parametrize(
    ("data", "subject"),
    [
        ({"message_id": "m", "channel_id": "c", "user_id": "u"}, "m"),
        ({"file_id": "f", "message_id": "m"}, "f"),
        ({"session_id": "s", "user_id": "u", "workspace_id": "w"}, "s"),
        ({"integration_id": "i", "channel_id": "c"}, "i"),
        ({"channel_id": "c", "workspace_id": "w", "user_id": "u"}, "c/u"),
        ({"channel_id": "c", "workspace_id": "w"}, "c"),
        ({"workspace_id": "w", "user_id": "u"}, "w/u"),
        ({"workspace_id": "w", "user_id": None}, "w"),
        ({"user_id": "u"}, "u"),
    ],
)
def test_the_subject_is_what_the_data_is_about(data: dict[str, Any], subject: str):
    assert subject_of(event("e", **data)) == ("conversations", subject)


def test_nobody_waits_while_nothing_is_refused():
    assert ids(Line().admit([FIRST, NEIGHBOUR, LATER])) == "first neighbour later"


def test_later_events_of_the_subject_are_held_and_neighbours_pass():
    line = Line()
    line.refuse(FIRST)
    assert ids(line.admit([LATER, NEIGHBOUR, LAST])) == "neighbour"
    assert {id_: behind for id_, (_, behind) in line.held.items()} == {"later": "first", "last": "first"}


def test_the_same_subject_of_another_topic_passes():
    line = Line()
    line.refuse(FIRST)
    assert ids(line.admit([event("share", topic="files", message_id="m")])) == "share"


def test_the_refused_event_passes_again_and_behind_it_all_that_waited_before_what_comes_later():
    line = Line({("conversations", "m"): "first"}, {"first": [LATER]})
    assert ids(line.admit([event("held now", message_id="m"), NEIGHBOUR, FIRST, LAST])) == (
        "neighbour first later held now last"
    )
    assert line.held == {}


def test_one_that_waited_and_is_refused_in_its_turn_holds_those_behind_it():
    line = Line({("conversations", "m"): "first"}, {"first": [LATER, LAST]})
    admitted = line.admit([FIRST])
    line.refuse(admitted[1])
    assert ids(line.admit(admitted[2:])) == ""
    assert line.held["last"][1] == "later"


def test_of_several_records_of_an_event_the_first_is_held():
    line = Line({("conversations", "m"): "first"})
    records = [replace(LATER, offset=offset) for offset in (7, 5, 9)]
    assert line.admit(records) == []
    assert line.held["later"][0].offset == 5


def test_one_that_is_refused_again_holds_the_same_events_again():
    line = Line({("conversations", "m"): "first"}, {"first": [LATER]})
    admitted = line.admit([FIRST])
    line.refuse(admitted[0])
    assert ids(line.admit(admitted[1:])) == ""
    assert line.held["later"][1] == "first"
