"""Messages: content and its history, deletion, pins, erasure (16-23, 31, 34, 39, 40a, 40b)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

Fold = Callable[..., Any]
At = Callable[[str], datetime]


def entry(content: str, edited_at: datetime, editor_id: str = "ana"):
    return {"content": content, "edited_at": edited_at, "editor_id": editor_id}


# ── content ──
def test_a_posting_makes_the_row(given: Any, folded: Fold):
    post = given.posted(content="hello", mentions=["bo"], formatted_content={"a": 1})
    row = folded(post).message()
    assert (row["content"], row["mentions"], row["formatted_content"]) == ("hello", ["bo"], {"a": 1})
    assert (row["edit_count"], row["edit_history"], row["edited_at"]) == (0, [], None)
    assert (row["reply_count"], row["reactions"], row["has_files"], row["is_pinned"]) == (0, {}, False, False)


def test_created_at_is_that_of_the_posting_and_not_its_time(given: Any, folded: Fold, time: At):
    tables = folded(given.posted(time="2026-11-20T12:00", created_at=time("2019-03-04T05:06")))
    assert set(tables["messages"]) == {("m1", time("2019-03-04T05:06"))}


def test_mentions_are_distinct_in_the_order_of_their_first_appearance(given: Any, folded: Fold):
    assert folded(given.posted(mentions=["bo", "cy", "bo"])).message()["mentions"] == ["bo", "cy"]


def test_edits_in_any_order_build_the_same_history(given: Any, folded_in_any_order: Fold):
    post = given.posted(content="a", seq=1, user_id="ana")
    first = given.edited("b", seq=2, editor_id="bo")
    second = given.edited("c", seq=3, editor_id="cy")
    row = folded_in_any_order(post, first, second).message()
    assert row["content"] == "c"
    assert row["edit_history"] == [entry("a", post.data["created_at"]), entry("b", first.data["edited_at"], "bo")]
    assert (row["edit_count"], row["edited_at"]) == (2, second.data["edited_at"])


def test_an_edit_to_the_same_text_changes_edited_at_and_mentions_but_not_the_history(
    given: Any, folded_in_any_order: Fold
):
    again = given.edited("a", seq=2, mentions=["bo"], formatted_content={"b": 1})
    row = folded_in_any_order(given.posted(content="a", seq=1), again).message()
    assert (row["edit_count"], row["edit_history"]) == (0, [])
    assert (row["edited_at"], row["mentions"], row["formatted_content"]) == (again.data["edited_at"], ["bo"], {"b": 1})


def test_neighbours_of_the_sorted_chain_collapse_and_a_late_edit_parts_them(given: Any, folded_in_any_order: Fold):
    post, same = given.posted(content="a", seq=1), given.edited("a", seq=3, editor_id="cy")
    assert folded_in_any_order(post, same).message()["edit_count"] == 0
    between = given.edited("b", seq=2, editor_id="bo")
    row = folded_in_any_order(post, same, between).message()
    assert row["content"] == "a"
    assert row["edit_history"] == [entry("a", post.data["created_at"]), entry("b", between.data["edited_at"], "bo")]


def test_of_collapsed_neighbours_the_one_that_introduced_the_text_is_described(given: Any, folded_in_any_order: Fold):
    introduced = given.edited("b", seq=2, editor_id="bo")
    repeated = given.edited("b", seq=3, editor_id="cy")
    replaced = given.edited("c", seq=4)
    row = folded_in_any_order(given.posted(content="a", seq=1), introduced, repeated, replaced).message()
    assert row["edit_history"][1] == entry("b", introduced.data["edited_at"], "bo")
    assert row["edit_count"] == 2


def test_an_edit_below_the_posting_is_in_neither_content_nor_history(given: Any, folded_in_any_order: Fold):
    row = folded_in_any_order(given.posted(content="a", seq=5), given.edited("old", seq=4)).message()
    assert (row["content"], row["edit_history"], row["edited_at"]) == ("a", [], None)


def test_an_edit_of_equal_sequence_is_judged_by_its_event_id(given: Any, folded_in_any_order: Fold):
    post = given.posted(content="a", seq=5, id="m")
    assert folded_in_any_order(post, given.edited("b", seq=5, id="n")).message()["content"] == "b"
    assert folded_in_any_order(post, given.edited("b", seq=5, id="l")).message()["content"] == "a"


def test_the_hint_of_an_event_about_a_message_may_be_wrong(given: Any, folded: Fold, time: At):
    row = folded(given.posted(), given.edited("b", message_created_at=time("2001-01-01T00:00"))).message()
    assert row["content"] == "b"


def test_events_about_a_message_that_never_came_lead_to_nothing(given: Any, folded: Fold):
    tables = folded(given.edited("b"), given.about("message.pinned"), given.reacted(), given.about("message.deleted"))
    assert {name: table for name, table in tables.all.items() if table} == {}


# ── repeated postings ──
def test_the_first_posting_of_an_id_counts_and_later_ones_change_nothing(given: Any, folded: Fold, time: At):
    first = given.posted(content="first", seq=1)
    second = given.posted(
        content="second", seq=9, created_at=time("2020-01-01T00:00"), user_id="bo", message_type="bot"
    )
    assert folded(first, second).all == folded(first).all


# ── deletion ──
def test_delete_and_restore_are_one_register(given: Any, folded_in_any_order: Fold):
    post, deletion = given.posted(), given.about("message.deleted", seq=2)
    row = folded_in_any_order(post, deletion).message()
    assert (row["is_deleted"], row["deleted_at"]) == (True, deletion.time)
    row = folded_in_any_order(post, deletion, given.about("message.restored", seq=3)).message()
    assert (row["is_deleted"], row["deleted_at"]) == (False, None)


def test_a_delete_is_not_compared_with_the_posting(given: Any, folded_in_any_order: Fold):
    assert (
        folded_in_any_order(given.posted(seq=9), given.about("message.deleted", seq=1)).message()["is_deleted"] is True
    )


@pytest.mark.parametrize("edit_seq", [2, 4])
def test_a_deleted_message_keeps_following_its_registers(given: Any, folded_in_any_order: Fold, edit_seq: int):
    tables = folded_in_any_order(
        given.posted("m1", content="a", seq=1),
        given.about("message.deleted", seq=3),
        given.edited("b", seq=edit_seq),
        given.reacted("👍", user_id="bo"),
        given.posted("m2", thread_id="m1"),
    )
    row = tables.message("m1")
    assert (row["is_deleted"], row["content"], row["edit_count"]) == (True, "b", 1)
    assert (row["reactions"], row["reply_count"]) == ({"👍": ["bo"]}, 1)
    assert tables["message_reactions"] == {}


def test_post_and_delete_alone_leave_a_deleted_row(given: Any, folded_in_any_order: Fold):
    assert folded_in_any_order(given.posted(), given.about("message.deleted")).message()["is_deleted"] is True


# ── pins ──
def test_pins_table_and_column_agree(given: Any, folded_in_any_order: Fold):
    pin = given.about("message.pinned", user_id="bo")
    tables = folded_in_any_order(given.posted(), pin)
    assert tables.message()["is_pinned"] is True
    assert tables["channel_pins"] == {("c1", "m1"): {"pinned_by": "bo", "pinned_at": pin.time}}


def test_an_unpinned_message_has_no_pin(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted(), given.about("message.pinned", seq=2), given.about("message.unpinned", seq=3)
    )
    assert (tables.message()["is_pinned"], tables["channel_pins"]) == (False, {})


def test_a_pin_hides_while_the_message_is_deleted_and_comes_back(given: Any, folded_in_any_order: Fold):
    post, pin, deletion = given.posted(), given.about("message.pinned"), given.about("message.deleted", seq=10)
    tables = folded_in_any_order(post, pin, deletion)
    assert (tables.message()["is_pinned"], tables["channel_pins"]) == (False, {})
    tables = folded_in_any_order(post, pin, deletion, given.about("message.restored", seq=11))
    assert (tables.message()["is_pinned"], set(tables["channel_pins"])) == (True, {("c1", "m1")})


def test_a_pin_made_while_deleted_shows_after_the_restore(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted(),
        given.about("message.deleted", seq=2),
        given.about("message.pinned", seq=3),
        given.about("message.restored", seq=4),
    )
    assert set(tables["channel_pins"]) == {("c1", "m1")}


# ── updated_at ──
def test_updated_at_is_the_newest_time_of_posting_edit_deletion_and_pin(
    given: Any, folded_in_any_order: Fold, time: At
):
    row = folded_in_any_order(
        given.posted(seq=1, time="10:00"),
        given.edited("b", seq=3, time="10:10"),
        given.edited("late", seq=2, time="11:00"),
        given.about("message.pinned", seq=4, time="10:20"),
        given.reacted(time="12:00"),
    ).message()
    assert row["updated_at"] == time("10:20")


@pytest.mark.parametrize("register", ["edit", "deletion", "restore", "pin", "unpin"])
def test_each_register_of_a_message_moves_updated_at(given: Any, folded_in_any_order: Fold, time: At, register: str):
    event = {
        "edit": lambda: given.edited("b", time="13:00"),
        "deletion": lambda: given.about("message.deleted", time="13:00"),
        "restore": lambda: given.about("message.restored", time="13:00"),
        "pin": lambda: given.about("message.pinned", time="13:00"),
        "unpin": lambda: given.about("message.unpinned", time="13:00"),
    }[register]
    assert folded_in_any_order(given.posted(time="12:00"), event()).message()["updated_at"] == time("13:00")


# ── erasure of the author ──
def test_messages_of_an_erased_author_are_empty_and_deleted_whenever_they_come(given: Any, folded_in_any_order: Fold):
    erasure = given.erased("ana", time="15:00")
    tables = folded_in_any_order(
        given.posted("m1", content="before", formatted_content={"a": 1}, seq=1),
        given.edited("edited", seq=2),
        erasure,
        given.posted("m2", content="after", time="16:00"),
        given.posted("m3", content="another's", user_id="bo"),
    )
    for message_id in ("m1", "m2"):
        row = tables.message(message_id)
        assert (row["content"], row["formatted_content"], row["edit_history"], row["edit_count"]) == ("", None, [], 0)
        assert (row["is_deleted"], row["deleted_at"]) == (True, erasure.time)
        assert not {"edited_at", "mentions", "has_files"} & row.keys()
    assert tables.message("m3")["content"] == "another's"


def test_an_own_delete_keeps_its_time_when_the_author_is_erased(given: Any, folded_in_any_order: Fold):
    deletion = given.about("message.deleted")
    assert folded_in_any_order(given.posted(), deletion, given.erased("ana")).message()["deleted_at"] == deletion.time


def test_a_restore_does_not_bring_back_an_erased_authors_message(given: Any, folded_in_any_order: Fold):
    erasure = given.erased("ana")
    row = folded_in_any_order(
        given.posted(), given.about("message.deleted", seq=2), given.about("message.restored", seq=3), erasure
    ).message()
    assert (row["is_deleted"], row["deleted_at"]) == (True, erasure.time)


def test_reactions_by_others_on_an_erased_authors_message_stay_facts(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(given.posted(), given.reacted(user_id="bo"), given.erased("ana"))
    assert tables.message()["reactions"] == {"👍": ["bo"]}
    assert tables["message_reactions"] == {}


def test_erasure_moves_updated_at(given: Any, folded_in_any_order: Fold, time: At):
    row = folded_in_any_order(given.posted(time="10:00"), given.erased("ana", time="11:00")).message()
    assert row["updated_at"] == time("11:00")
