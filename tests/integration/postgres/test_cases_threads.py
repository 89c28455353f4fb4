"""SEMANTICS, cases 19 to 22: threads."""

import pytest
from contract_events import Given, at
from worlds import Tell


async def test_19_a_reply_before_its_root_is_counted_when_the_root_comes(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", time="12:00"), given.posted("m2", time="12:01", thread_id="m1", user_id="bo")
    )

    assert rows.message("m2")["thread_id"] == "m1"
    assert (rows.message("m1")["reply_count"], rows.message("m1")["last_reply_at"]) == (1, at("12:01"))


async def test_19_a_reply_whose_root_never_comes_keeps_what_was_given(given: Given, told: Tell):
    rows = await told(given.posted("m2", thread_id="m1"))

    assert rows.messages() == {"m2"}
    assert rows.message("m2")["thread_id"] == "m1"


async def test_20_a_deleted_reply_is_not_counted(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", time="12:00"),
        given.posted("m2", time="12:01", thread_id="m1"),
        given.posted("m3", time="12:02", thread_id="m1"),
        given.about("deleted", "m3"),
    )

    assert (rows.message("m1")["reply_count"], rows.message("m1")["last_reply_at"]) == (1, at("12:01"))


async def test_20_a_restored_reply_counts_again(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", time="12:00"),
        given.posted("m2", time="12:01", thread_id="m1"),
        given.about("deleted", "m2", seq=3),
        given.about("restored", "m2", seq=4),
    )

    assert (rows.message("m1")["reply_count"], rows.message("m1")["last_reply_at"]) == (1, at("12:01"))


async def test_20_the_only_reply_deleted_leaves_none(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(given.posted("m1"), given.posted("m2", thread_id="m1"), given.about("deleted", "m2"))

    assert (rows.message("m1")["reply_count"], rows.message("m1")["last_reply_at"]) == (0, None)


async def test_21_a_deleted_root_keeps_counting_its_replies(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", time="12:00"),
        given.posted("m2", time="12:01", thread_id="m1"),
        given.about("deleted", "m1"),
        given.posted("m3", time="12:03", thread_id="m1"),
    )

    root = rows.message("m1")
    assert (root["is_deleted"], root["reply_count"], root["last_reply_at"]) == (True, 2, at("12:03"))
    assert rows.visible() == {"m2", "m3"}


async def test_22_a_reply_to_a_reply_belongs_to_the_root_in_whatever_order_they_come(
    given: Given, told_in_any_order: Tell
):
    rows = await told_in_any_order(
        given.posted("m1", time="12:00"),
        given.posted("m2", time="12:01", thread_id="m1"),
        given.posted("m3", time="12:02", thread_id="m2"),
    )

    assert {m: rows.message(m)["thread_id"] for m in ("m1", "m2", "m3")} == {"m1": None, "m2": "m1", "m3": "m1"}
    assert [rows.message(m)["reply_count"] for m in ("m1", "m2", "m3")] == [2, 0, 0]
    assert rows.message("m1")["last_reply_at"] == at("12:02")


async def test_22_a_chain_of_six_hangs_on_its_first(given: Given, told_in_any_order: Tell):
    chain = [given.posted(f"m{n}", thread_id=f"m{n - 1}" if n > 1 else None) for n in range(1, 7)]
    rows = await told_in_any_order(*chain)

    assert {rows.message(f"m{n}")["thread_id"] for n in range(2, 7)} == {"m1"}
    assert rows.message("m1")["reply_count"] == 5


async def test_22_a_chain_whose_middle_never_comes_hangs_on_what_is_unknown(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1"), given.posted("m3", thread_id="m2"), given.posted("m4", thread_id="m3")
    )

    assert (rows.message("m3")["thread_id"], rows.message("m4")["thread_id"]) == ("m2", "m2")
    assert rows.message("m1")["reply_count"] == 0


async def test_22_a_reply_to_another_id_of_a_reply_belongs_to_the_root(given: Given, told_in_any_order: Tell):
    first = given.posted("m2", thread_id="m1", client_msg_id="c")
    retry = given.posted("m3", thread_id="m1", client_msg_id="c")
    rows = await told_in_any_order(
        given.posted("m1"), first, retry, given.posted("m4", thread_id="m3", user_id="bo"), keep=[first, retry]
    )

    assert rows.messages() == {"m1", "m2", "m4"}
    assert rows.message("m4")["thread_id"] == "m1"
    assert rows.message("m1")["reply_count"] == 2


async def test_a_message_that_names_itself_is_a_root(given: Given, told: Tell):
    rows = await told(given.posted("m1", thread_id="m1"))

    assert (rows.message("m1")["thread_id"], rows.message("m1")["reply_count"]) == (None, 0)


async def test_in_a_cycle_nobody_is_normalised(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", thread_id="m3"), given.posted("m2", thread_id="m1"), given.posted("m3", thread_id="m2")
    )

    assert {m: rows.message(m)["thread_id"] for m in ("m1", "m2", "m3")} == {"m1": "m3", "m2": "m1", "m3": "m2"}


async def test_a_root_in_another_channel_is_named_and_not_counted(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(given.posted("m1"), given.posted("m2", thread_id="m1", channel_id="c2"))

    assert rows.message("m2")["thread_id"] == "m1"
    assert rows.message("m1")["reply_count"] == 0


@pytest.mark.parametrize("message_type", ["text", "file", "system", "bot"])
async def test_replies_of_every_type_count(given: Given, told_in_any_order: Tell, message_type: str):
    rows = await told_in_any_order(given.posted("m1"), given.posted("m2", thread_id="m1", message_type=message_type))

    assert rows.message("m1")["reply_count"] == 1
