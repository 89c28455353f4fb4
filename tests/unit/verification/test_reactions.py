"""Reactions: a register per (message, user, emoji), and their order (rule E; 27-29, 43, 45)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

Fold = Callable[..., Any]
At = Callable[[str], datetime]


def test_removing_before_adding_in_any_order(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted(), given.reacted(seq=1, user_id="bo"), given.reacted(seq=2, user_id="bo", name="reaction.removed")
    )
    assert (tables.message()["reactions"], tables["message_reactions"]) == ({}, {})


def test_removing_what_was_never_added_leads_to_nothing(given: Any, folded: Fold):
    tables = folded(given.posted(), given.reacted(name="reaction.removed"))
    assert (tables.message()["reactions"], tables["message_reactions"]) == ({}, {})


def test_users_stand_in_the_order_of_the_adds_that_hold(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted(),
        given.reacted(user_id="ana", seq=1),
        given.reacted(user_id="bo", seq=2),
        given.reacted(user_id="ana", seq=5),
        given.reacted(user_id="cy", seq=3),
    )
    assert tables.message()["reactions"] == {"👍": ["bo", "cy", "ana"]}


def test_equal_sequences_stand_in_the_order_of_event_ids(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted(), given.reacted(user_id="ana", seq=1, id="b"), given.reacted(user_id="bo", seq=1, id="a")
    )
    assert tables.message()["reactions"] == {"👍": ["bo", "ana"]}


def test_added_at_is_the_time_of_the_add_that_holds(given: Any, folded_in_any_order: Fold, time: At):
    tables = folded_in_any_order(given.posted(), given.reacted(seq=1, time="13:00"), given.reacted(seq=5, time="12:50"))
    assert tables["message_reactions"]["m1", "ana", "👍"]["added_at"] == time("12:50")


def test_a_reaction_carries_channel_and_created_at_of_its_message(given: Any, folded: Fold, time: At):
    post = given.posted(created_at=time("2026-10-01T00:00"))
    row = folded(post, given.reacted(message_created_at=time("2000-01-01T00:00"))).row(
        "message_reactions", "m1", "ana", "👍"
    )
    assert (row["channel_id"], row["message_created_at"]) == ("c1", time("2026-10-01T00:00"))


def test_a_reaction_before_its_message_counts_when_it_comes(given: Any, folded_in_any_order: Fold):
    assert folded_in_any_order(given.reacted(user_id="bo"), given.posted()).message()["reactions"] == {"👍": ["bo"]}


def test_reactions_of_a_deleted_message_show_again_after_its_restore(given: Any, folded_in_any_order: Fold):
    post, deletion, reaction = given.posted(), given.about("message.deleted", seq=2), given.reacted(user_id="bo")
    assert folded_in_any_order(post, deletion, reaction)["message_reactions"] == {}
    tables = folded_in_any_order(post, deletion, reaction, given.about("message.restored", seq=9))
    assert set(tables["message_reactions"]) == {("m1", "bo", "👍")}


def test_names_variants_and_tones_meet_in_their_canonical_emoji(given: Any, folded: Fold):
    tables = folded(
        given.posted(),
        given.reacted("👍", user_id="ana"),
        given.reacted("+1", user_id="bo"),
        given.reacted("👍🏽", user_id="ana"),
        given.reacted("❤", user_id="ana"),
        given.reacted("❤\ufe0f", user_id="bo"),
        given.reacted(":Party:", user_id="ana"),
    )
    expected = {"👍": ["ana", "bo"], "👍🏽": ["ana"], "❤": ["ana", "bo"], ":party:": ["ana"]}
    assert tables.message()["reactions"] == expected


def test_one_user_with_two_spellings_is_one_reaction(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted(), given.reacted("❤\ufe0f", seq=1), given.reacted("❤", seq=2, name="reaction.removed")
    )
    assert tables.message()["reactions"] == {}


def test_reactions_by_an_erased_user_are_gone(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted(user_id="bo"), given.reacted(user_id="ana"), given.reacted(user_id="bo"), given.erased("ana")
    )
    assert tables.message()["reactions"] == {"👍": ["bo"]}
    assert set(tables["message_reactions"]) == {("m1", "bo", "👍")}


def test_many_reactions_on_one_message(given: Any, folded: Fold):
    reactions = [given.reacted(user_id=f"u{number:04}") for number in range(2_000)]
    tables = folded(given.posted(), *reactions[::-1])
    assert tables.message()["reactions"] == {"👍": [f"u{number:04}" for number in range(2_000)]}
