"""SEMANTICS, cases 1 to 18: messages. Every story is told at once, event by event, twice, and replayed."""

from datetime import datetime

import pytest
from contract_events import Given, at, rfc3339
from read_models import APPENDED, ReadModels
from worlds import Tell, dead_letters


def version(content: str, edited_at: str, editor_id: str = "ana") -> dict[str, str]:
    """An entry of `edit_history`."""
    return {"content": content, "edited_at": at(edited_at).isoformat(timespec="microseconds"), "editor_id": editor_id}


async def test_1_the_same_event_twice_is_one_message(given: Given, told: Tell):
    rows = await told(given.posted("m1", "hello", time="12:00", mentions=["bo", "cy", "bo"], client_msg_id="c"))

    assert rows.message() == {
        "message_id": "m1",
        "created_at": at("12:00"),
        "workspace_id": "w1",
        "channel_id": "c1",
        "user_id": "ana",
        "content": "hello",
        "message_type": "text",
        "formatted_content": None,
        "thread_id": None,
        "reply_count": 0,
        "last_reply_at": None,
        "is_pinned": False,
        "is_deleted": False,
        "deleted_at": None,
        "reactions": {},
        "mentions": ["bo", "cy"],
        "has_files": False,
        "edited_at": None,
        "edit_count": 0,
        "edit_history": [],
        "client_msg_id": "c",
        "updated_at": at("12:00"),
    }
    assert rows.counts("message_analytics", "w1", "c1", at("12:00")) == (1, 1, 5)


async def test_1_a_second_posting_of_an_id_changes_nothing(given: Given, told: Tell):
    rows = await told(
        given.posted("m1", "first", seq=1, time="12:00"),
        given.posted("m1", "second", seq=2, time="12:01", user_id="bo", created_at=at("12:01")),
    )

    assert rows.messages() == {"m1"}
    assert rows.message()["content"] == "first"
    assert rows.counts("daily_active_users", "w1", at("12:00").date()) == (1, 1, 0, 0)


async def test_2_a_retry_under_a_new_id_is_the_same_message(given: Given, told_in_any_order: Tell):
    first = given.posted("m1", "hello", time="12:00", client_msg_id="c")
    retry = given.posted("m2", "hello", time="12:01", client_msg_id="c")

    rows = await told_in_any_order(
        first,
        retry,
        given.edited("better", "m2", time="12:02", message_created_at=rfc3339(at("12:01"))),
        given.reacted("👍", "m2", "bo", time="12:03"),
        given.posted("m3", "a reply", time="12:04", thread_id="m2", user_id="bo"),
        keep=[first, retry],
    )

    assert rows.messages() == {"m1", "m3"}
    message = rows.message("m1")
    assert (message["content"], message["edit_history"]) == ("better", [version("hello", "12:00")])
    assert message["reactions"] == {"👍": ["bo"]}
    assert (message["reply_count"], message["last_reply_at"]) == (1, at("12:04"))
    assert rows.message("m3")["thread_id"] == "m1"
    assert rows.counts("message_analytics", "w1", "c1", at("12:00")) == (2, 2, 12)


async def test_3_a_client_id_is_one_users_in_one_channel(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", client_msg_id="c"),
        given.posted("m2", client_msg_id="c", user_id="bo"),
        given.posted("m3", client_msg_id="c", channel_id="c2"),
    )

    assert rows.messages() == {"m1", "m2", "m3"}


@pytest.mark.parametrize("client_msg_id", [None, ""])
async def test_3_no_client_id_makes_no_two_messages_one(
    given: Given, told_in_any_order: Tell, client_msg_id: str | None
):
    rows = await told_in_any_order(
        given.posted("m1", client_msg_id=client_msg_id), given.posted("m2", client_msg_id=client_msg_id)
    )

    assert rows.messages() == {"m1", "m2"}


async def test_4_a_client_id_after_eight_days_is_a_new_message(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", time="2026-11-12T12:00", client_msg_id="c"),
        given.posted("m2", time="2026-11-20T12:00", client_msg_id="c"),
    )

    assert rows.messages() == {"m1", "m2"}


async def test_4_seven_days_to_the_microsecond_is_outside_and_the_nearest_in_the_log_is_meant(given: Given, told: Tell):
    rows = await told(
        given.posted("m1", time="2026-11-12T12:00", client_msg_id="c"),
        given.posted("m2", time="2026-11-19T12:00", client_msg_id="c"),
        given.posted("m3", time="2026-11-19T11:59:59.999999", client_msg_id="c"),
        given.edited("for the second", "m3"),
    )

    assert rows.messages() == {"m1", "m2"}
    assert rows.message("m1")["content"] == "hello"
    assert rows.message("m2")["content"] == "for the second"


async def test_4_another_id_of_a_message_does_not_prolong_its_seven_days(given: Given, told: Tell):
    rows = await told(
        given.posted("m1", time="2026-11-10T12:00", client_msg_id="c"),
        given.posted("m2", time="2026-11-16T12:00", client_msg_id="c"),
        given.posted("m3", time="2026-11-18T12:00", client_msg_id="c"),
    )

    assert rows.messages() == {"m1", "m3"}


async def test_5_an_edit_before_its_post_waits_for_it(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", "one", seq=1, time="12:00"), given.edited("two", seq=2, time="12:05", editor_id="bo")
    )

    message = rows.message()
    assert message["content"] == "two"
    assert (message["edit_count"], message["edit_history"]) == (1, [version("one", "12:00")])
    assert message["edited_at"] == message["updated_at"] == at("12:05")
    assert rows.parked() == set()


async def test_5_an_edit_without_its_post_waits(given: Given, told: Tell):
    rows = await told(given.edited("two", id="waiting"))

    assert rows.messages() == set()
    assert rows.parked() == {"waiting"}


async def test_6_a_late_edit_enters_the_history_at_its_place(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", "one", seq=1, time="12:00"),
        given.edited("three", seq=3, time="12:03", editor_id="cy"),
        given.edited("two", seq=2, time="12:02", editor_id="bo"),
    )

    message = rows.message()
    assert (message["content"], message["edited_at"]) == ("three", at("12:03"))
    assert message["edit_history"] == [version("one", "12:00"), version("two", "12:02", "bo")]
    assert message["edit_count"] == 2


async def test_6_an_edit_below_the_posting_is_stale(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", "posted", seq=5, time="12:00"), given.edited("older", seq=4, time="12:01")
    )

    message = rows.message()
    assert (message["content"], message["edit_history"], message["edited_at"]) == ("posted", [], None)


async def test_6_of_two_edits_of_one_sequence_the_greater_id_wins(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", "one", seq=1, time="12:00"),
        given.edited("from b", seq=2, id="b", time="12:01"),
        given.edited("from a", seq=2, id="a", time="12:02"),
    )

    message = rows.message()
    assert (message["content"], message["edited_at"]) == ("from b", at("12:01"))
    assert message["edit_history"] == [version("one", "12:00"), version("from a", "12:02")]


async def test_7_an_edit_to_the_same_text_is_a_version_but_no_history(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", "same", seq=1, time="12:00"),
        given.edited("same", seq=2, time="12:05", mentions=["bo"], formatted_content={"b": 1}),
    )

    message = rows.message()
    assert (message["edit_count"], message["edit_history"]) == (0, [])
    assert (message["edited_at"], message["mentions"]) == (at("12:05"), ["bo"])
    assert message["formatted_content"] == {"b": 1}


async def test_7_what_equals_is_judged_by_sequence_not_by_arrival(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", "a", seq=1, time="12:01"),
        given.edited("a", seq=3, time="12:03"),
        given.edited("b", seq=2, time="12:02"),
        given.edited("a", seq=4, time="12:04"),
    )

    message = rows.message()
    assert (message["content"], message["edit_count"]) == ("a", 2)
    assert message["edit_history"] == [version("a", "12:01"), version("b", "12:02")]
    assert message["edited_at"] == at("12:04")


@pytest.mark.parametrize("edit_sequence", [2, 4])
async def test_8_an_edit_of_a_deleted_message_shows_nothing(given: Given, told_in_any_order: Tell, edit_sequence: int):
    rows = await told_in_any_order(
        given.posted("m1", "one", seq=1, time="12:00"),
        given.about("deleted", seq=3, time="12:03"),
        given.edited("two", seq=edit_sequence, time="12:04"),
    )

    message = rows.message()
    assert (message["is_deleted"], message["deleted_at"]) == (True, at("12:03"))
    assert message["content"] == "two"
    assert rows.visible() == set()


async def test_8_only_a_restore_brings_it_back_with_everything_that_was_valid_meanwhile(
    given: Given, told_in_any_order: Tell
):
    rows = await told_in_any_order(
        given.posted("m1", "one", seq=1, time="12:00"),
        given.about("deleted", seq=3, time="12:03"),
        given.edited("two", seq=4, time="12:04"),
        given.reacted("🎉", user_id="bo", seq=5),
        given.about("pinned", seq=6, time="12:06", user_id="cy"),
        given.about("restored", seq=7, time="12:07"),
    )

    message = rows.message()
    assert (message["is_deleted"], message["deleted_at"], message["content"]) == (False, None, "two")
    assert (message["reactions"], message["is_pinned"]) == ({"🎉": ["bo"]}, True)
    assert rows.reactions() == {("m1", "bo", "🎉")}
    assert rows["channel_pins"] == {
        ("c1", "m1"): {"channel_id": "c1", "message_id": "m1", "pinned_by": "cy", "pinned_at": at("12:06")}
    }


async def test_9_a_delete_before_its_post_deletes_it(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.channel(time="11:00"),
        given.posted("m1", seq=10, time="12:00"),
        given.about("deleted", seq=11, time="12:01"),
    )

    assert (rows.message()["is_deleted"], rows.message()["deleted_at"]) == (True, at("12:01"))
    assert rows.channel()["last_message_at"] is None
    assert rows.counts("message_analytics", "w1", "c1", at("12:00")) == (1, 1, 5)


async def test_9_a_delete_of_lower_sequence_than_the_posting_deletes_it_too(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(given.posted("m1", seq=10), given.about("deleted", seq=1, time="12:01"))

    assert rows.message()["is_deleted"] is True


async def test_10_a_deleted_message_is_not_pinned(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", seq=1), given.about("pinned", seq=2), given.about("deleted", seq=3)
    )

    assert rows.message()["is_pinned"] is False
    assert rows["channel_pins"] == {}


async def test_10_an_unpinned_message_has_no_pin_whatever_came_last(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", seq=1), given.about("unpinned", seq=3), given.about("pinned", seq=2)
    )

    assert rows.message()["is_pinned"] is False
    assert rows["channel_pins"] == {}


async def test_11_a_message_of_an_unknown_channel_is_stored(given: Given, told: Tell):
    rows = await told(given.posted("m1"))

    assert rows.visible() == {"m1"}
    assert rows["channels"] == {}


async def test_11_the_channel_that_comes_later_knows_its_last_message(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", time="12:00"), given.posted("m2", time="12:30"), given.channel(kind="updated")
    )

    assert rows.channel()["last_message_at"] == at("12:30")
    assert rows.channel()["name"] == "c1"
    assert rows.channel()["created_at"] is None


async def test_12_a_message_by_somebody_who_left_stays(given: Given, told_across_keys: Tell):
    rows = await told_across_keys(
        given.user("ana"),
        given.hired("ana"),
        given.joined("ana"),
        given.left("ana"),
        given.posted("m1", user_id="ana"),
        given.removed("ana"),
    )

    assert rows.visible() == {"m1"}
    assert rows.member("ana")["is_active"] is False


async def test_13_the_last_microsecond_of_a_month_lies_in_its_month(
    given: Given, told_in_any_order: Tell, models: ReadModels
):
    last = at("2026-10-31T23:59:59.999999")
    rows = await told_in_any_order(given.posted("m1", time="2026-11-01T00:00"), given.posted("m2", time=last))

    assert rows.message("m2")["created_at"] == last
    partitions = models.execute("SELECT DISTINCT message_id, tableoid::regclass::text AS t FROM collab.messages")
    assert {(row["message_id"], row["t"]) for row in partitions} == {
        ("m1", "collab.messages_2026_11"),
        ("m2", "collab.messages_2026_10"),
    }
    assert rows.counts("message_analytics", "w1", "c1", at("2026-10-31T23:00")) == (1, 1, 5)


async def test_14_a_message_of_the_future_or_of_1970_is_a_dead_letter(given: Given, told: Tell, models: ReadModels):
    ahead = given.posted("m2", created_at=rfc3339(APPENDED.replace(minute=20)))
    ancient = given.posted("m3", created_at="1970-01-01T00:00:00Z")
    rows = await told(
        given.posted("m1"),
        ahead,
        ancient,
        given.posted("m4", time=APPENDED.replace(minute=9)),
        given.posted("m5", time="2000-01-01T00:00:00"),
    )

    assert rows.messages() == {"m1", "m4", "m5"}
    assert dead_letters(models, ahead) == dead_letters(models, ancient) == {"E_TIME"}


async def test_16_a_post_older_than_every_partition_is_stored(given: Given, told: Tell, models: ReadModels):
    rows = await told(given.posted("m1", time="2003-05-17T08:00"))

    assert rows.visible() == {"m1"}
    assert models.execute("SELECT DISTINCT tableoid::regclass::text AS t FROM collab.messages") == [
        {"t": "collab.messages_2003_05"}
    ]
    assert rows.counts("message_analytics", "w1", "c1", at("2003-05-17T08:00")) == (1, 1, 5)


async def test_17_what_postgresql_cannot_store_is_replaced(given: Given, told: Tell):
    rows = await told(
        given.posted("m1", "nul \x00 here", formatted_content={"k\x00": ["\x00"]}),
        given.posted("m2", "lone \ud83d and \udc00"),
        given.edited("again \x00", "m2"),
    )

    assert rows.message("m1")["content"] == "nul \ufffd here"
    assert rows.message("m1")["formatted_content"] == {"k\ufffd": ["\ufffd"]}
    assert rows.message("m2")["content"] == "again \ufffd"
    assert rows.message("m2")["edit_history"][0]["content"] == "lone \ufffd and \ufffd"


async def test_17_an_empty_text_with_a_file_is_a_message(given: Given, told_across_keys: Tell):
    rows = await told_across_keys(
        given.posted("m1", "", message_type="file", file_ids=["f1"], time="12:00"),
        given.uploaded("f1"),
        given.shared("f1", "m1"),
    )

    assert (rows.message()["content"], rows.message()["has_files"]) == ("", True)
    assert rows.counts("message_analytics", "w1", "c1", at("12:00")) == (1, 1, 0)
    assert rows.row("analytics.message_analytics", "w1", "c1", at("12:00"))["avg_message_length"] == 0


async def test_18_post_and_delete_in_one_batch(given: Given, told: Tell):
    rows = await told(
        given.channel(),
        given.posted("m1", time="12:00"),
        given.about("pinned"),
        given.about("deleted", time="12:01"),
    )

    assert (rows.message()["is_deleted"], rows.message()["deleted_at"]) == (True, at("12:01"))
    assert rows["channel_pins"] == {}
    assert rows.channel()["last_message_at"] is None
    assert rows.counts("daily_active_users", "w1", at("12:00").date()) == (1, 1, 0, 0)


async def test_the_hint_where_to_look_may_be_wrong(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", time="2026-10-05T12:00"),
        given.edited("found", message_created_at="2026-11-05T12:00:00Z"),
        given.reacted("👍", message_created_at="2026-09-05T12:00:00Z"),
    )

    assert (rows.message()["content"], rows.message()["reactions"]) == ("found", {"👍": ["ana"]})


@pytest.mark.parametrize("edited_at", ["9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z"])
async def test_an_edit_at_either_end_of_the_calendar_keeps_its_time(
    given: Given, told_in_any_order: Tell, edited_at: str
):
    rows = await told_in_any_order(given.posted("m1", seq=1), given.edited("x", seq=2, edited_at=edited_at))

    assert rows.message()["edited_at"] == datetime.fromisoformat(edited_at)
