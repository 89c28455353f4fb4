"""Rollups, activity events and sessions (rule A; 56-65b)."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest

Fold = Callable[..., Any]
At = Callable[[str], datetime]

DAY = date(2026, 11, 20)
NEXT = date(2026, 11, 21)


def daily(tables: Any, day: date = DAY, workspace_id: str = "w1"):
    return tables["analytics.daily_active_users"].get((workspace_id, day))


def activity(tables: Any, user_id: str = "ana", day: date = DAY):
    return tables["analytics.user_activity"].get(("w1", user_id, day))


# ── analytics.events ──
def test_an_activity_is_a_row_of_its_own(given: Any, folded: Fold):
    event = given.activity(metadata={"page": 1})
    row = {"workspace_id": "w1", "user_id": "ana", "event_type": "opened", "metadata": {"page": 1}}
    assert folded(event)["analytics.events"] == {(event.id, event.time): row}


# ── messages ──
def test_buckets_are_by_event_time_in_utc_and_not_by_created_at(given: Any, folded: Fold, time: At):
    post = given.posted(time="2026-11-20T23:59:59.999999", created_at=time("2019-01-01T00:00"))
    tables = folded(post)
    assert set(tables["analytics.daily_active_users"]) == {("w1", DAY)}
    assert set(tables["analytics.message_analytics"]) == {("w1", "c1", time("23:00"))}


def test_an_hour_counts_messages_authors_and_lengths(given: Any, folded_in_any_order: Fold, time: At):
    posts = [
        given.posted("m1", "four", time="12:00", user_id="ana"),
        given.posted("m2", "👍🏽", time="12:30", user_id="bo"),
        given.posted("m3", "", time="12:59:59", user_id="ana"),
    ]
    row = folded_in_any_order(*posts).row("analytics.message_analytics", "w1", "c1", time("12:00"))
    assert (row["message_count"], row["unique_users"]) == (3, 2)
    assert (row["total_message_length"], row["avg_message_length"]) == (6, 2)
    assert row["revised_at"] == posts[2].appended_at


def test_deletes_edits_and_erasure_leave_the_count_and_the_length_as_posted(
    given: Any, folded_in_any_order: Fold, time: At
):
    tables = folded_in_any_order(
        given.posted(content="hello", time="12:00", seq=1),
        given.edited("a much longer text", seq=2, time="12:10"),
        given.about("message.deleted", time="2026-11-21T12:00"),
        given.erased("ana", time="2026-11-21T13:00"),
    )
    row = tables.row("analytics.message_analytics", "w1", "c1", time("12:00"))
    assert (row["message_count"], row["total_message_length"]) == (1, 5)
    assert (daily(tables)["message_count"], activity(tables)["messages_sent"]) == (1, 1)


@pytest.mark.parametrize(("message_type", "rows"), [("text", 1), ("file", 1), ("bot", 1), ("system", 0)])
def test_system_messages_count_nowhere(given: Any, folded: Fold, message_type: str, rows: int):
    tables = folded(given.posted(message_type=message_type))
    for table in ("daily_active_users", "message_analytics", "user_activity"):
        assert len(tables[f"analytics.{table}"]) == rows


def test_a_late_event_corrects_its_bucket(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(given.posted("m1"), given.posted("m2", time="2025-01-02T03:04"))
    assert daily(tables, date(2025, 1, 2))["message_count"] == 1


# ── who is active ──
def test_posting_reacting_uploading_reading_and_activities_make_a_user_active(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted(user_id="ana"),
        given.reacted(user_id="bo"),
        given.uploaded(uploader_id="cy"),
        given.read("m1", "12:00", user_id="di"),
        given.activity(user_id="ed"),
        given.activity(user_id=None),
    )
    assert daily(tables) == {"user_count": 5, "message_count": 1, "reaction_count": 1, "file_upload_count": 1}


def test_other_events_make_nobody_active(given: Any, folded: Fold):
    tables = folded(
        given.posted(message_type="system"),
        given.edited("b"),
        given.about("message.pinned"),
        given.about("message.deleted"),
        given.uploaded(time="2026-11-21T00:00", uploader_id="cy"),
        given.file("file.accessed"),
        given.started(),
        given.joined(),
        given.hired(),
        given.user(),
        given.logged_in(),
        given.reacted(name="reaction.removed"),
    )
    assert daily(tables) is None


@pytest.mark.parametrize("more", [{"mark_unread": True}, {"seq": 0}])
def test_every_read_makes_its_user_active(given: Any, folded: Fold, more: dict[str, Any]):
    tables = folded(given.read("m2", "12:30", time="2026-11-21T12:00", seq=5), given.read("m1", "12:00", **more))
    assert daily(tables)["user_count"] == 1


# ── reactions ──
def test_a_reaction_counts_once_on_the_day_of_its_earliest_add(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted(user_id="bo", time="2026-11-20T00:00"),
        given.reacted(seq=1, time="2026-11-21T10:00"),
        given.reacted(seq=2, time="2026-11-21T11:00", name="reaction.removed"),
        given.reacted(seq=3, time="2026-11-20T10:00"),
    )
    assert (daily(tables)["reaction_count"], daily(tables, NEXT)["reaction_count"]) == (1, 0)
    assert (activity(tables)["reactions_given"], activity(tables, day=NEXT)) == (1, None)


def test_every_add_makes_its_user_active_on_its_own_day_stale_ones_too(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.posted(user_id="bo", time="2026-11-01T00:00"),
        given.reacted(seq=2, time="2026-11-20T10:00"),
        given.reacted(seq=1, time="2026-11-21T10:00"),
    )
    assert (daily(tables)["user_count"], daily(tables, NEXT)["user_count"]) == (1, 1)


def test_a_reaction_whose_message_never_comes_counts_nowhere(given: Any, folded: Fold):
    assert folded(given.reacted())["analytics.daily_active_users"] == {}


def test_a_reaction_on_a_deleted_message_counts(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(given.posted(), given.about("message.deleted"), given.reacted(user_id="bo"))
    assert activity(tables, "bo")["reactions_given"] == 1


def test_spellings_of_one_emoji_are_one_reaction_and_tones_are_two(given: Any, folded: Fold):
    tables = folded(given.posted(), given.reacted("+1"), given.reacted("👍"), given.reacted("👍🏽"))
    assert activity(tables)["reactions_given"] == 2


# ── files ──
def test_a_file_counts_once_at_its_earliest_upload_and_stays_counted(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.uploaded(seq=1, time="2026-11-21T10:00", uploader_id="bo"),
        given.uploaded(seq=2, time="2026-11-20T10:00"),
        given.file("file.deleted", time="2026-11-21T12:00"),
    )
    assert (daily(tables)["file_upload_count"], activity(tables)["files_uploaded"]) == (1, 1)
    assert daily(tables, NEXT)["file_upload_count"] == 0
    # …but everybody who uploads is active on the day of it.
    assert (daily(tables)["user_count"], daily(tables, NEXT)["user_count"]) == (1, 1)


def test_of_uploads_at_one_instant_the_lesser_uploader_is_credited(given: Any, folded_in_any_order: Fold):
    at_ten = [given.uploaded(seq=seq, uploader_id=user, time="10:00") for seq, user in ((1, "bo"), (2, "ana"))]
    tables = folded_in_any_order(*at_ten)
    assert (activity(tables)["files_uploaded"], activity(tables, "bo")) == (1, None)


# ── sessions ──
def test_a_session_needs_both_ends(given: Any, folded: Fold):
    assert folded(given.started())["analytics.user_activity"] == {}
    assert folded(given.ended())["analytics.user_activity"] == {}


def test_time_is_split_over_utc_days_and_rounded_down(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(given.started(time="2026-11-20T23:58:30"), given.ended(time="2026-11-21T01:00:59"))
    assert (activity(tables)["time_spent_minutes"], activity(tables, day=NEXT)["time_spent_minutes"]) == (1, 60)


def test_a_session_counts_at_most_24_hours_from_its_start(given: Any, folded: Fold):
    tables = folded(given.started(time="2026-11-20T12:00"), given.ended(time="2026-11-23T12:00"))
    minutes = {key[2]: row["time_spent_minutes"] for key, row in tables["analytics.user_activity"].items()}
    assert minutes == {DAY: 720, NEXT: 720}


def test_a_session_that_ends_before_its_start_counts_nothing(given: Any, folded: Fold):
    assert folded(given.started(time="13:00"), given.ended(time="12:00"))["analytics.user_activity"] == {}


def test_less_than_a_minute_is_no_row(given: Any, folded: Fold):
    tables = folded(given.started(time="12:00:00"), given.ended(time="12:00:59"))
    assert tables["analytics.user_activity"] == {}


def test_overlapping_sessions_are_summed_before_rounding(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.started("s1", time="12:00:00"),
        given.ended("s1", time="12:10:30"),
        given.started("s2", time="12:05:00"),
        given.ended("s2", time="12:10:30"),
    )
    assert activity(tables)["time_spent_minutes"] == 16


def test_the_highest_end_counts(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.started(time="12:00"), given.ended(seq=9, time="12:30"), given.ended(seq=8, time="12:50")
    )
    assert activity(tables)["time_spent_minutes"] == 30
    assert tables.row("sessions", "s1")["ended_at"] == tables.row("sessions", "s1")["started_at"] + timedelta(
        minutes=30
    )


def test_an_end_without_its_start_is_kept(given: Any, folded: Fold):
    end = given.ended()
    row = folded(end).row("sessions", "s1")
    assert (row["started_at"], row["ended_at"]) == (None, end.time)


def test_an_erased_users_counts_stay(given: Any, folded_in_any_order: Fold):
    events = [given.posted(), given.reacted(), given.uploaded()]
    before = folded_in_any_order(*events)
    after = folded_in_any_order(*events, given.erased("ana"))
    for table in ("daily_active_users", "message_analytics", "user_activity"):
        assert after[f"analytics.{table}"] == before[f"analytics.{table}"]
