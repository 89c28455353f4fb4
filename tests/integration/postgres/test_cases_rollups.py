"""SEMANTICS, cases 56 to 61: rollups."""

from datetime import timedelta

import pytest
from contract_events import Given, at, in_world
from read_models import APPENDED, ReadModels, log_of
from worlds import Tell

DAY = at("12:00").date()
NEXT = DAY + timedelta(days=1)
TODAY = ("w1", DAY)


async def test_56_the_last_microsecond_of_a_day_belongs_to_it(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", "four", time="2026-11-19T23:59:59.999999"),
        given.posted("m2", "sixsix", time="2026-11-20T00:00:00", user_id="bo"),
    )

    assert rows.counts("daily_active_users", "w1", at("2026-11-19T00:00").date()) == (1, 1, 0, 0)
    assert rows.counts("daily_active_users", "w1", DAY) == (1, 1, 0, 0)
    assert rows.counts("message_analytics", "w1", "c1", at("2026-11-19T23:00")) == (1, 1, 4)
    assert rows.counts("message_analytics", "w1", "c1", at("00:00")) == (1, 1, 6)


async def test_56_utc_days_know_no_summer_time(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.workspace(settings={"timezone": "Europe/Lisbon"}, time="2026-10-01T00:00"),
        given.posted("m1", time="2026-10-25T00:30"),
        given.posted("m2", time="2026-10-25T01:30"),
        given.posted("m3", time="2026-10-25T23:30"),
    )

    assert rows.counts("daily_active_users", "w1", at("2026-10-25T00:00").date()) == (1, 3, 0, 0)


async def test_57_an_event_for_last_years_hour_corrects_its_bucket_and_says_when(given: Given, models: ReadModels):
    log = log_of(
        map(in_world, [given.posted("m1", time="12:00"), given.posted("m2", time="2025-11-20T12:00", user_id="bo")]),
        models.settings,
    )

    models.clear()
    await models.apply([[record] for record in log])

    buckets = models.execute(
        "SELECT hour, message_count, unique_users, total_message_length, avg_message_length, revised_at"
        " FROM analytics.message_analytics ORDER BY hour"
    )
    later = timedelta(milliseconds=1)
    common = {"message_count": 1, "unique_users": 1, "total_message_length": 5, "avg_message_length": 5.0}
    assert buckets == [
        {"hour": at("2025-11-20T12:00"), **common, "revised_at": APPENDED + later},
        {"hour": at("12:00"), **common, "revised_at": APPENDED},
    ]


async def test_57_a_repeat_revises_nothing(given: Given, models: ReadModels):
    posted = in_world(given.posted("m1"))
    log = log_of([posted, posted], models.settings)

    models.clear()
    await models.apply([[record] for record in log])

    assert models.execute("SELECT revised_at FROM analytics.message_analytics") == [{"revised_at": APPENDED}]


async def test_58_a_month_replayed_twice_counts_once(given: Given, told: Tell):
    events = [given.posted(f"m{day}", time=f"2026-10-{day:02}T08:00") for day in range(1, 29)]
    rows = await told(*events)

    assert [rows.counts("daily_active_users", "w1", at(f"2026-10-{day:02}T00:00").date()) for day in range(1, 29)] == [
        (1, 1, 0, 0)
    ] * 28


async def test_59_a_message_deleted_the_next_day_was_sent(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", seq=1, time="12:00"), given.about("deleted", seq=2, time="2026-11-21T09:00")
    )

    assert rows.counts("daily_active_users", *TODAY) == (1, 1, 0, 0)
    assert rows.counts("daily_active_users", "w1", NEXT) == (0, 0, 0, 0)
    assert rows.counts("user_activity", "w1", "ana", DAY) == (1, 0, 0, 0)


async def test_59_the_length_is_that_of_the_text_as_posted_in_code_points(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", "👍🏽é\x00", seq=1, time="12:00"), given.edited("much longer than before", seq=2)
    )

    assert rows.counts("message_analytics", "w1", "c1", at("12:00")) == (1, 1, 4)


async def test_60_a_session_across_midnight_is_split(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.started("s1", "bo", time="2026-11-19T23:30"), given.ended("s1", "bo", time="2026-11-20T01:15:59")
    )

    assert rows.counts("user_activity", "w1", "bo", DAY - timedelta(days=1)) == (0, 0, 0, 30)
    assert rows.counts("user_activity", "w1", "bo", DAY) == (0, 0, 0, 75)
    assert rows.counts("daily_active_users", *TODAY) == (0, 0, 0, 0)


async def test_60_a_session_never_ended_or_never_started_counts_nothing(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(given.started("s1", "bo"), given.ended("s2", "bo"))

    assert rows["analytics.user_activity"] == {}
    assert set(rows["sessions"]) == {("s1",), ("s2",)}


async def test_60_a_session_is_at_most_a_day_long(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.started("s1", "bo", time="2026-11-10T06:00"), given.ended("s1", "bo", time="2026-11-15T06:00")
    )

    assert rows.counts("user_activity", "w1", "bo", at("2026-11-10T00:00").date()) == (0, 0, 0, 18 * 60)
    assert rows.counts("user_activity", "w1", "bo", at("2026-11-11T00:00").date()) == (0, 0, 0, 6 * 60)
    assert rows.counts("user_activity", "w1", "bo", at("2026-11-12T00:00").date()) == (0, 0, 0, 0)


async def test_60_overlapping_sessions_add_up_and_their_seconds_too(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.started("s1", "bo", time="12:00:00"),
        given.ended("s1", "bo", time="12:01:40"),
        given.started("s2", "bo", time="12:00:30"),
        given.ended("s2", "bo", time="12:01:20"),
    )

    assert rows.counts("user_activity", "w1", "bo", DAY) == (0, 0, 0, 2)


async def test_60_a_session_that_ends_before_it_starts_has_no_length(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.started("s1", "bo", time="12:30"), given.ended("s1", "bo", time="12:00"), given.activity("bo")
    )

    assert rows.counts("user_activity", "w1", "bo", DAY) == (0, 0, 0, 0)


async def test_60_a_corrected_end_moves_the_time_spent(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.started("s1", "bo", seq=1, time="2026-11-19T23:00"),
        given.ended("s1", "bo", seq=2, time="2026-11-20T02:00"),
        given.ended("s1", "bo", seq=3, time="2026-11-19T23:10"),
    )

    assert rows.counts("user_activity", "w1", "bo", at("2026-11-19T00:00").date()) == (0, 0, 0, 10)
    assert rows.counts("user_activity", "w1", "bo", DAY) == (0, 0, 0, 0)


@pytest.mark.parametrize(("message_type", "counted"), [("text", 1), ("file", 1), ("bot", 1), ("system", 0)])
async def test_61_messages_of_people_and_bots_count_and_those_of_the_system_do_not(
    given: Given, told: Tell, message_type: str, counted: int
):
    rows = await told(given.posted("m1", message_type=message_type, time="12:00"))

    assert rows.counts("daily_active_users", *TODAY) == (counted, counted, 0, 0)
    assert rows.counts("message_analytics", "w1", "c1", at("12:00")) == (counted, counted, 5 * counted)
    assert rows.counts("user_activity", "w1", "ana", DAY) == (counted, 0, 0, 0)


async def test_a_reaction_counts_on_the_day_of_its_earliest_add_which_may_come_late(
    given: Given, told_in_any_order: Tell
):
    rows = await told_in_any_order(
        given.posted("m1", time="2026-11-19T12:00"),
        given.reacted("🎉", user_id="bo", seq=9, time="2026-11-20T12:00"),
        given.reacted("🎉", user_id="bo", seq=2, time="2026-11-19T13:00"),
        given.unreacted("🎉", user_id="bo", seq=10),
    )

    assert rows.counts("daily_active_users", "w1", DAY - timedelta(days=1)) == (2, 1, 1, 0)
    assert rows.counts("daily_active_users", *TODAY) == (1, 0, 0, 0)
    assert rows.counts("user_activity", "w1", "bo", DAY - timedelta(days=1)) == (0, 1, 0, 0)


async def test_a_file_counts_once_at_its_earliest_upload_and_stays_counted(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.uploaded("f1", seq=2, time="2026-11-20T12:00", uploader_id="bo"),
        given.uploaded("f1", seq=1, time="2026-11-19T12:00", uploader_id="ana"),
        given.file("deleted", seq=3),
    )

    assert rows.counts("daily_active_users", "w1", DAY - timedelta(days=1)) == (1, 0, 0, 1)
    assert rows.counts("daily_active_users", *TODAY) == (1, 0, 0, 0)
    assert rows.counts("user_activity", "w1", "ana", DAY - timedelta(days=1)) == (0, 0, 1, 0)


async def test_who_is_active_and_who_is_not(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", user_id="poster", seq=1),
        given.reacted(user_id="reactor"),
        given.uploaded("f1", uploader_id="uploader"),
        given.read("m1", "12:00", "reader"),
        given.activity("actor"),
        given.activity(None),
        given.edited("x", editor_id="editor"),
        given.about("pinned", user_id="pinner"),
        given.about("deleted", actor_id="deleter"),
        given.file("accessed", user_id="downloader"),
        given.joined("joiner"),
        given.logged_in("login"),
        given.started("s1", "session"),
        given.unreacted(user_id="remover"),
    )

    assert rows.counts("daily_active_users", *TODAY) == (5, 1, 1, 1)


async def test_activity_is_stored_once_with_what_it_says(given: Given, told: Tell):
    rows = await told(
        given.activity("bo", id="act", time="12:00", metadata={"n": 1.5, "big": 2**60, "deep": [{"a": None}]})
    )

    assert rows["analytics.events"] == {
        ("act", at("12:00")): {
            "event_id": "act",
            "created_at": at("12:00"),
            "workspace_id": "w1",
            "user_id": "bo",
            "event_type": "opened",
            "metadata": {"n": 1.5, "big": 2**60, "deep": [{"a": None}]},
        }
    }
