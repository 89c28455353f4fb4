"""client_msg_id: a retried posting is the same message under another id (rule M; 24, 25, 59)."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

Fold = Callable[..., Any]
At = Callable[[str], datetime]


def test_a_retry_under_a_new_id_is_no_message_of_its_own(given: Any, folded: Fold):
    tables = folded(given.posted("m1", "a", client_msg_id="x"), given.posted("m2", "b", client_msg_id="x"))
    assert tables.messages() == {"m1"}
    assert tables.message("m1")["content"] == "a"


def test_events_about_the_alias_go_to_the_first_wherever_they_stand(given: Any, folded: Fold):
    first, retry = given.posted("m1", "a", client_msg_id="x"), given.posted("m2", "a", client_msg_id="x")
    about = [
        given.edited("b", "m2"),
        given.reacted("👍", "m2", user_id="bo"),
        given.about("message.pinned", "m2"),
        given.posted("m3", thread_id="m2"),
        given.uploaded("f1"),
        given.shared("f1", "m2"),
    ]
    for log in ([first, retry, *about], [*about, first, retry], [first, *about, retry]):
        tables = folded(*log)
        row = tables.message("m1")
        assert (row["content"], row["reactions"], row["is_pinned"]) == ("b", {"👍": ["bo"]}, True)
        assert (row["reply_count"], row["has_files"]) == (1, True)
        assert tables.message("m3")["thread_id"] == "m1"
        assert set(tables["message_files"]) == {("m1", "f1")}


def test_registers_of_both_names_are_one(given: Any, folded: Fold):
    tables = folded(
        given.posted("m1", client_msg_id="x"),
        given.posted("m2", client_msg_id="x"),
        given.reacted("👍", "m1", user_id="bo", seq=5),
        given.reacted("👍", "m2", user_id="bo", seq=6, name="reaction.removed"),
        given.about("message.deleted", "m2", seq=7),
        given.about("message.restored", "m1", seq=8),
    )
    assert (tables.message("m1")["reactions"], tables.message("m1")["is_deleted"]) == ({}, False)


@pytest.mark.parametrize("other", [{"user_id": "bo"}, {"channel_id": "c2"}, {"client_msg_id": "y"}])
def test_the_same_id_by_another_user_or_in_another_channel_is_another_message(
    given: Any, folded: Fold, other: dict[str, str]
):
    tables = folded(given.posted("m1", client_msg_id="x"), given.posted("m2", **({"client_msg_id": "x"} | other)))
    assert tables.messages() == {"m1", "m2"}


@pytest.mark.parametrize("client_msg_id", [None, ""])
def test_null_and_empty_are_no_ids(given: Any, folded: Fold, client_msg_id: str | None):
    tables = folded(given.posted("m1", client_msg_id=client_msg_id), given.posted("m2", client_msg_id=client_msg_id))
    assert tables.messages() == {"m1", "m2"}


@pytest.mark.parametrize(
    ("distance", "messages"),
    [
        (timedelta(days=7) - timedelta(microseconds=1), {"m1"}),
        (timedelta(days=7), {"m1", "m2"}),
        (timedelta(days=8), {"m1", "m2"}),
        (timedelta(days=-7) + timedelta(microseconds=1), {"m1"}),
        (timedelta(days=-7), {"m1", "m2"}),
    ],
)
def test_the_window_is_less_than_seven_days_of_event_time_on_both_sides(
    given: Any, folded: Fold, time: At, distance: timedelta, messages: set[str]
):
    first, second = given.posted("m1", client_msg_id="x"), given.posted("m2", client_msg_id="x")
    second.time = first.time + distance
    assert folded(first, second).messages() == messages


def test_created_at_does_not_decide_the_window(given: Any, folded: Fold, time: At):
    first = given.posted("m1", client_msg_id="x", created_at=time("2020-01-01T00:00"))
    assert folded(first, given.posted("m2", client_msg_id="x")).messages() == {"m1"}


def test_an_alias_does_not_prolong_the_window(given: Any, folded: Fold):
    tables = folded(
        given.posted("m1", client_msg_id="x", time="2026-11-01T00:00"),
        given.posted("m2", client_msg_id="x", time="2026-11-06T00:00"),
        given.posted("m3", client_msg_id="x", time="2026-11-11T00:00"),
    )
    assert tables.messages() == {"m1", "m3"}


def test_of_several_primaries_in_reach_the_latest_in_the_log_is_meant(given: Any, folded: Fold):
    tables = folded(
        given.posted("m1", client_msg_id="x", time="2026-11-01T00:00"),
        given.posted("m2", client_msg_id="x", time="2026-11-10T00:00"),
        given.posted("m3", client_msg_id="x", time="2026-11-05T00:00"),
        given.edited("changed", "m3"),
    )
    assert tables.messages() == {"m1", "m2"}
    assert [tables.message(m)["edit_count"] for m in ("m1", "m2")] == [0, 1]


def test_the_log_decides_who_is_first_and_not_the_time(given: Any, folded: Fold):
    later = given.posted("m1", client_msg_id="x", time="14:00")
    earlier = given.posted("m2", client_msg_id="x", time="13:00")
    assert folded(later, earlier).messages() == {"m1"}


def test_a_repeated_posting_of_an_alias_stays_an_alias(given: Any, folded: Fold):
    tables = folded(
        given.posted("m1", client_msg_id="x"),
        given.posted("m2", client_msg_id="x"),
        given.posted("m2", client_msg_id=None),
    )
    assert tables.messages() == {"m1"}


def test_aliases_and_repeated_postings_count_nowhere(given: Any, folded: Fold, time: At):
    first = given.posted("m1", "four", client_msg_id="x")
    alias = given.posted("m2", "four", client_msg_id="x", time="2026-11-21T12:00")
    repeated = given.posted("m1", "four", user_id="bo", time="2026-11-22T12:00")
    tables, alone = folded(first, alias, repeated), folded(first)
    for table in ("daily_active_users", "message_analytics", "user_activity"):
        assert tables[f"analytics.{table}"] == alone[f"analytics.{table}"]


def test_an_id_that_many_use_is_judged_within_each_user_and_channel(given: Any, folded: Fold):
    """As clients that number their messages in each channel use it."""
    places = [("c1", "ana"), ("c2", "ana"), ("c1", "bo"), ("c2", "bo")]
    events = []
    for days in (0, 3, 8):  # a retry, and one that is too late for one
        for number, (channel_id, user_id) in enumerate(places):
            event = given.posted(f"m{number}-{days}", channel_id=channel_id, user_id=user_id, client_msg_id="1")
            event.time += timedelta(days=days)
            events.append(event)
    assert folded(*events).messages() == {f"m{number}-{days}" for number in range(4) for days in (0, 8)}
