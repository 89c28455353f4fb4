"""Threads: normalised roots, and what a root counts (rule M; 21, 26-28)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

Fold = Callable[..., Any]
At = Callable[[str], datetime]


def test_a_root_counts_its_visible_replies(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted("root"),
        given.posted("r1", thread_id="root", time="13:00"),
        given.posted("r2", thread_id="root", time="14:00", message_type="system"),
        given.posted("r3", thread_id="root", time="15:00"),
        given.about("message.deleted", "r3"),
    )
    row = tables.message("root")
    assert (row["reply_count"], row["last_reply_at"]) == (2, tables.message("r2")["updated_at"])
    assert (row["thread_id"], tables.message("r1")["thread_id"]) == (None, "root")


def test_last_reply_at_is_the_newest_created_at(given: Any, folded: Fold, time: At):
    tables = folded(given.posted("root"), given.posted("r1", thread_id="root", created_at=time("2026-01-01T00:00")))
    assert tables.message("root")["last_reply_at"] == time("2026-01-01T00:00")


def test_without_visible_replies_the_count_is_zero_and_the_time_unknown(given: Any, folded: Fold):
    row = folded(
        given.posted("root"), given.posted("r1", thread_id="root"), given.about("message.deleted", "r1")
    ).message("root")
    assert (row["reply_count"], row["last_reply_at"]) == (0, None)


def test_a_restored_reply_counts_again(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted("root"),
        given.posted("r1", thread_id="root"),
        given.about("message.deleted", "r1", seq=8),
        given.about("message.restored", "r1", seq=9),
    )
    assert tables.message("root")["reply_count"] == 1


def test_a_deleted_root_keeps_counting(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted("root"), given.about("message.deleted", "root"), given.posted("r1", thread_id="root")
    )
    assert tables.message("root")["reply_count"] == 1


def test_a_reply_by_an_erased_user_does_not_count(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted("root"), given.posted("r1", thread_id="root", user_id="bo"), given.erased("bo")
    )
    assert tables.message("root")["reply_count"] == 0


def test_a_reply_to_a_reply_belongs_to_the_root_even_if_the_middle_one_comes_last(
    given: Any, folded_in_any_order: Fold
):
    tables = folded_in_any_order(
        given.posted("root"), given.posted("r1", thread_id="root"), given.posted("r2", thread_id="r1")
    )
    assert tables.message("r2")["thread_id"] == "root"
    assert (tables.message("root")["reply_count"], tables.message("r1")["reply_count"]) == (2, 0)


def test_a_long_chain_of_replies_has_one_root(given: Any, folded: Fold):
    chain = [given.posted("m0"), *(given.posted(f"m{n}", thread_id=f"m{n - 1}") for n in range(1, 300))]
    for log in (chain, chain[::-1]):
        tables = folded(*log)
        assert {tables.message(f"m{n}")["thread_id"] for n in range(1, 300)} == {"m0"}
        assert tables.message("m0")["reply_count"] == 299


def test_an_unknown_parent_is_stored_as_given_and_ends_the_chain(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(given.posted("r1", thread_id="gone"), given.posted("r2", thread_id="r1"))
    assert (tables.message("r1")["thread_id"], tables.message("r2")["thread_id"]) == ("gone", "gone")


def test_a_message_that_names_itself_is_a_root(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(given.posted("m1", thread_id="m1"), given.posted("m2", thread_id="m1"))
    row = tables.message("m1")
    assert (row["thread_id"], row["reply_count"], tables.message("m2")["thread_id"]) == (None, 1, "m1")


def test_a_message_that_names_its_own_alias_is_a_root(given: Any, folded: Fold):
    tables = folded(given.posted("m1", client_msg_id="x", thread_id="m2"), given.posted("m2", client_msg_id="x"))
    assert tables.message("m1")["thread_id"] is None


def test_in_a_cycle_nobody_is_normalised_nor_who_hangs_on_it(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted("a", thread_id="b"),
        given.posted("b", thread_id="c"),
        given.posted("c", thread_id="a"),
        given.posted("d", thread_id="a"),
        given.posted("e", thread_id="d"),
    )
    assert {m: tables.message(m)["thread_id"] for m in "abcde"} == {"a": "b", "b": "c", "c": "a", "d": "a", "e": "d"}


def test_a_parent_in_another_channel_is_stored_as_given_and_counts_nowhere(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted("root", channel_id="c2"), given.posted("r1", thread_id="root"), given.posted("r2", thread_id="r1")
    )
    assert (tables.message("r1")["thread_id"], tables.message("root")["reply_count"]) == ("root", 0)
    assert tables.message("r2")["thread_id"] == "root"


@pytest.mark.parametrize("position", range(4))
def test_a_root_that_turns_out_to_be_a_reply_hands_its_replies_on(given: Any, folded: Fold, position: int):
    others = [given.posted("r1", thread_id="middle"), given.posted("r2", thread_id="middle"), given.posted("root")]
    middle = given.posted("middle", thread_id="root")
    tables = folded(*others[:position], middle, *others[position:])
    assert (tables.message("root")["reply_count"], tables.message("middle")["reply_count"]) == (3, 0)
