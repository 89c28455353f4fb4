"""Refused records and `runtime.dead_letters` (rules P and X; 76)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from tailrace.schemas.event import Event
from tailrace.verification.compare_dead_letters import DeadLetter, Waiting, compare_dead_letters, left_out
from tailrace.verification.reading import Reading, Refused

WEEK = timedelta(days=7)


def compare(letters: list[DeadLetter], events: Sequence[Event] = (), refused: Sequence[Refused] = ()):
    events = [structs.replace(event, topic="t", partition=0, offset=offset) for offset, event in enumerate(events)]
    reading = Reading(list(events), list(refused), {("t", 0): 0}, {("t", 0): 10})
    return compare_dead_letters(reading, letters, parking_limit=WEEK, limit=9)


def letter(offset: int, code: str = "E_SCHEMA", *, projection: str = "postgres", is_resolved: bool = False):
    return DeadLetter(projection, ("t", 0, offset), code, is_resolved)


def test_one_row_or_one_per_projection_is_as_it_should_be():
    refused = [Refused("t", 0, 3, "E_SCHEMA")]
    assert compare([letter(3)], refused=refused).count == 0
    assert compare([letter(3), letter(3, projection="redis")], refused=refused).count == 0


def test_a_refused_record_without_a_dead_letter_is_a_difference():
    (difference,) = compare([], refused=[Refused("t", 0, 3, "E_SCHEMA")]).differences
    assert (difference.key, difference.expected, difference.found) == (
        {"topic": "t", "partition": 0, "offset": 3},
        {"code": "E_SCHEMA"},
        None,
    )


def test_another_code_is_a_difference():
    (difference,) = compare([letter(3, "E_DECODE")], refused=[Refused("t", 0, 3, "E_SCHEMA")]).differences
    assert difference.found == {"code": ["E_DECODE"]}


def test_a_resolved_dead_letter_still_answers_for_its_record():
    assert compare([letter(3, is_resolved=True)], refused=[Refused("t", 0, 3, "E_SCHEMA")]).count == 0


@pytest.mark.parametrize("code", ["E_SCHEMA", "E_PROJECTION", "E_STORE"])
def test_a_dead_letter_of_a_record_that_is_fine_is_a_difference_until_it_is_resolved(given: Any, code: str):
    assert compare([letter(0, code)], [given.user()]).count == 1
    assert compare([letter(0, code, is_resolved=True)], [given.user()]).count == 0


def test_dead_letters_outside_of_what_was_read_are_not_judged():
    assert compare([letter(10), DeadLetter("postgres", ("t", 5, 0), "E_SCHEMA", is_resolved=False)]).count == 0


# ── orphans ──
def test_an_orphan_whose_message_never_came_is_right(given: Any):
    assert compare([letter(0, "E_ORPHAN")], [given.edited("b")]).count == 0


def test_an_orphan_whose_message_came_within_the_limit_is_a_difference(given: Any):
    assert compare([letter(0, "E_ORPHAN")], [given.edited("b"), given.posted()]).count == 1


def test_an_orphan_whose_message_came_too_late_is_right(given: Any):
    late = given.posted(time="2026-11-28T12:00")
    assert compare([letter(0, "E_ORPHAN")], [given.edited("b"), late]).count == 0


def test_a_share_may_be_an_orphan_for_want_of_its_file_or_its_message(given: Any):
    assert compare([letter(0, "E_ORPHAN")], [given.shared(), given.posted()]).count == 0
    assert compare([letter(0, "E_ORPHAN")], [given.shared(), given.uploaded()]).count == 0
    assert compare([letter(0, "E_ORPHAN")], [given.shared(), given.uploaded(), given.posted()]).count == 1


def test_what_waits_for_nothing_is_never_an_orphan(given: Any):
    assert compare([letter(0, "E_ORPHAN")], [given.joined()]).count == 1


def test_a_refused_copy_of_a_redriven_record_has_no_letter_of_its_own():
    refused = [Refused("t", 0, 3, "E_SCHEMA"), Refused("t", 0, 7, "E_SCHEMA")]
    assert compare([replace(letter(3), again=((7, "E_SCHEMA"),))], refused=refused).count == 0
    assert compare([replace(letter(3), again=((8, "E_SCHEMA"),))], refused=refused).count == 1


# ── what the tables cannot show ──
def logged(*events: Event) -> list[Event]:
    return [structs.replace(event, topic="t", partition=0, offset=offset) for offset, event in enumerate(events)]


def offsets_left_out(events: list[Event], letters: Sequence[DeadLetter], waiting: Sequence[Waiting] = ()) -> set[int]:
    return {offset for _, _, offset in left_out(events, letters, waiting)}


def test_every_record_of_an_event_that_the_store_refuses_is_left_out(given: Any):
    event = given.user()
    events = logged(event, given.user(), event)
    assert offsets_left_out(events, [replace(letter(0, "E_STORE"), event_id=event.id)]) == {0, 2}


def test_records_before_the_one_that_was_applied_after_all_are_left_out(given: Any):
    event = given.user()
    applied = replace(letter(0, "E_PROJECTION", is_resolved=True), event_id=event.id, void_until=2)
    assert offsets_left_out(logged(event, event, event, event), [applied]) == {0, 1}


def test_events_that_wait_are_left_out_from_their_first_record_behind_the_letter_on(given: Any):
    event = given.user()
    assert offsets_left_out(logged(event, event, event), [], [Waiting(event.id, ("t", 0, 1))]) == {1, 2}


def test_an_orphan_is_left_out_until_it_was_given_up(given: Any):
    event = given.edited("b")
    given_up = replace(letter(0, "E_ORPHAN"), event_id=event.id, void_until=2)
    assert offsets_left_out(logged(event, event, event), [given_up]) == {0, 1}


def test_what_another_projection_could_not_write_is_left_in(given: Any):
    assert offsets_left_out(logged(given.user()), [letter(0, "E_STORE", projection="search")]) == set()
