"""What the analysts' views say about small stories whose numbers can be counted by hand."""

import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from chaos import as_log, chaos
from contract_events import CloudEvent, Given, id_of, in_world
from read_models import APPENDED, ReadModels, log_of

from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.settings import Settings

Apply = Callable[..., Awaitable[None]]
NOVEMBER, OTHERS = "messages_2026_11", {"messages_2026_08", "messages_2026_09", "messages_2026_10"}


@pytest.fixture
def models(settings: Settings) -> ReadModels:
    with connection(settings) as conn:
        migrate(conn, settings)
    return ReadModels(settings)


@pytest.fixture
def apply(models: ReadModels) -> Apply:
    """Applies events in the order given, as one log."""

    async def run(*events: CloudEvent) -> None:
        await models.apply([log_of([in_world(event) for event in events], models.settings)])

    return run


@pytest.fixture
def given() -> Given:
    return Given()


@pytest.fixture
def conn(models: ReadModels) -> Iterator[psycopg.Connection]:
    with connection(models.settings) as opened:
        yield opened


def rows(models: ReadModels, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in models.execute(query, *arguments)]


async def test_a_day_counts_what_was_sent_on_it(models: ReadModels, given: Given, apply: Apply):
    await apply(
        given.hired("ana"), given.hired("bo"), given.removed("bo"),
        given.posted("m1"), given.posted("m2", thread_id="m1", user_id="bo"), given.posted("m3"),
        given.about("deleted", "m3"), given.posted("m4", message_type="bot", user_id="bot"),
        given.posted("m5", message_type="system"), given.reacted(user_id="bo"), given.unreacted(user_id="bo"),
        given.uploaded(), given.read("m1", "13:00", user_id="cy"), given.posted("m6", time="2026-11-18 08:00"),
    )  # fmt: skip

    found = rows(
        models,
        "SELECT day_utc::text, active_users, posters, messages, replies, reactions, files, joins, leaves"
        " FROM analytics.daily_activity ORDER BY day_utc",
    )

    assert found == [
        ("2026-11-18", 1, 1, 1, 0, 0, 0, 0, 0),
        ("2026-11-19", 0, 0, 0, 0, 0, 0, 0, 0),  # a quiet day between two others is a row
        ("2026-11-20", 4, 3, 4, 1, 1, 1, 2, 1),
    ]


async def test_a_users_day_is_what_they_gave_and_got(models: ReadModels, given: Given, apply: Apply):
    await apply(
        given.posted("m1"), given.posted("m2", channel_id="c2"), given.posted("m3", thread_id="m1"), given.uploaded(),
        given.reacted("👍", "m1", "bo"), given.reacted("🎉", "m1", "bo"), given.reacted("👍", "m3", "ana"),
        given.started(time="12:00"), given.ended(time="12:09:59"),
    )  # fmt: skip

    found = rows(
        models,
        "SELECT user_id, messages, replies, reactions_given, reactions_received, channels_touched, files,"
        " time_spent_minutes FROM analytics.user_daily ORDER BY user_id",
    )

    assert found == [("ana", 3, 1, 1, 3, 2, 1, 9), ("bo", 0, 0, 2, 0, 0, 0, 0)]


async def test_weekly_and_monthly_users_are_distinct_people(models: ReadModels, given: Given, apply: Apply):
    days = {
        "ana": ("2026-10-01", "2026-10-30", "2026-11-01"),
        "bo": ("2026-10-26", "2026-10-31"),
        "cy": ("2026-10-02",),
    }
    await apply(*(given.activity(user, time=f"{day} 12:00") for user, on in days.items() for day in on))

    found = rows(
        models,
        "SELECT day_utc::text, dau, wau, mau FROM analytics.active_users"
        " WHERE day_utc IN ('2026-10-02', '2026-10-30', '2026-10-31', '2026-11-01') ORDER BY day_utc",
    )

    assert found == [
        ("2026-10-02", 1, 2, 2), ("2026-10-30", 1, 2, 3), ("2026-10-31", 1, 2, 3), ("2026-11-01", 1, 2, 2),
    ]  # fmt: skip


async def test_retention_follows_people_from_their_first_week(models: ReadModels, given: Given, apply: Apply):
    weeks = {"ana": ("11-02", "11-09", "11-16"), "bo": ("11-08", "11-20"), "cy": ("11-10",)}
    await apply(*(given.activity(user, time=f"2026-{day} 12:00") for user, on in weeks.items() for day in on))

    found = rows(
        models,
        "SELECT cohort_week::text, week_n, cohort_size, returned, ratio FROM analytics.retention_weekly ORDER BY 1, 2",
    )

    assert found == [
        ("2026-11-02", 0, 2, 2, 1), ("2026-11-02", 1, 2, 1, Decimal("0.5")), ("2026-11-02", 2, 2, 2, 1),
        ("2026-11-09", 0, 1, 1, 1), ("2026-11-09", 1, 1, 0, 0),
    ]  # fmt: skip


async def test_local_days_have_the_hours_of_the_clock_change(models: ReadModels, given: Given, apply: Apply):
    lisbon = given.workspace(settings={"timezone": "Europe/Lisbon"})
    moments = ("24 22:59:59.999999", "24 23:00", "25 00:30", "25 01:30", "25 23:59:59.999999", "26 00:00")
    await apply(lisbon, *(given.posted(f"m{n}", time=f"2026-10-{at}") for n, at in enumerate(moments)))

    days = (
        "SELECT day_local::text, hours::float8, messages FROM analytics.daily_activity_local"
        " WHERE messages > 0 ORDER BY 1"
    )
    hours = "SELECT hour_local, messages FROM analytics.hourly_activity_local WHERE day_local = '2026-10-25' ORDER BY 1"

    assert rows(models, days) == [("2026-10-24", 24, 1), ("2026-10-25", 25, 4), ("2026-10-26", 24, 1)]
    assert rows(models, hours) == [(0, 1), (1, 2), (23, 1)]  # 00:30 and 01:30 UTC are both half past one


async def test_midnight_that_comes_twice_belongs_to_the_new_day(models: ReadModels, given: Given, apply: Apply):
    havana = given.workspace(settings={"timezone": "America/Havana"})  # 2026-11-01 01:00 → 00:00
    moments = ("03:59", "04:30", "05:30", "06:30")
    await apply(havana, *(given.posted(f"m{n}", time=f"2026-11-01 {at}") for n, at in enumerate(moments)))

    days = "SELECT day_local::text, messages FROM analytics.daily_activity_local WHERE messages > 0 ORDER BY 1"

    assert rows(models, days) == [("2026-10-31", 1), ("2026-11-01", 3)]


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Asia/Kathmandu", "2026-11-21"), ("UTC", "2026-11-20"), ("Mars/Olympus", "2026-11-20"),
        ("XYZ-9", "2026-11-20"), ("CET", "2026-11-20"), (None, "2026-11-20"), ("", "2026-11-20"),
    ],
)  # fmt: skip
async def test_a_zone_is_an_iana_name_or_utc(
    zone: str | None, day: str, models: ReadModels, given: Given, apply: Apply
):
    await apply(given.workspace(settings={"timezone": zone}), given.posted(time="2026-11-20 18:20"))

    days = "SELECT day_local::text FROM analytics.daily_activity_local WHERE messages > 0"

    assert rows(models, days) == [(day,)]


async def test_the_old_short_zones_have_daylight_saving(models: ReadModels, given: Given, apply: Apply):
    await apply(given.workspace(settings={"timezone": "CET"}), given.posted(time="2026-07-20 22:30"))

    assert rows(models, "SELECT day_local::text FROM analytics.daily_activity_local WHERE messages > 0") == [
        ("2026-07-21",)
    ]


async def test_another_zone_moves_past_days_too(models: ReadModels, given: Given, apply: Apply):
    days = "SELECT zone, day_local::text FROM analytics.daily_activity_local WHERE messages > 0"
    first = [given.workspace(settings={"timezone": "Asia/Tokyo"}), given.posted(time="2026-11-20 18:00")]
    await apply(*first)
    assert rows(models, days) == [("Asia/Tokyo", "2026-11-21")]

    models.rewind()
    await apply(*first, given.workspace(kind="updated", settings={"timezone": "America/Lima"}))

    assert rows(models, days) == [("America/Lima", "2026-11-20")]


async def test_a_response_is_another_persons_first_answer(models: ReadModels, given: Given, apply: Apply):
    def reply(name: str, time: str, **more: Any) -> CloudEvent:
        return given.posted(name, time=time, thread_id="m1", **more)

    await apply(
        given.posted("m1", time="12:00"), reply("r1", "12:01"), reply("r2", "12:02", user_id="bot", message_type="bot"),
        reply("r3", "12:03", user_id="bo"), given.about("deleted", "r3"), reply("r4", "12:05", user_id="cy"),
        given.posted("m2", time="13:00"),
    )  # fmt: skip

    threads = "SELECT replies, participants, first_reply_seconds, first_response_seconds FROM analytics.thread_stats"
    times = "SELECT day_utc::text, threads, answered, p50_s, p90_s FROM analytics.response_times"

    assert rows(models, threads) == [(3, 3, 60, 300)]
    assert rows(models, times) == [("2026-11-20", 1, 1, 300, 300)]


async def test_reactions_count_once_at_their_earliest_add(models: ReadModels, given: Given, apply: Apply):
    await apply(
        given.posted(), given.reacted("+1", user_id="bo", time="2026-11-20 09:00"),
        given.reacted("👍", user_id="bo", time="2026-11-19 23:00", seq=1), given.reacted(":Party:", user_id="cy"),
        given.unreacted(":party:", user_id="cy"),
    )  # fmt: skip

    top = "SELECT day_utc::text, emoji, shortcode, count, distinct_users FROM analytics.top_reactions ORDER BY 2"
    found = rows(models, top)
    by_hour = "SELECT sum(reactions) AS r, sum(messages) AS m FROM analytics.hourly_channel_activity"

    assert found == [("2026-11-20", ":party:", "party", 1, 1), ("2026-11-19", "👍", "+1", 1, 1)]
    assert rows(models, by_hour) == [(2, 1)]


async def test_every_stay_in_a_channel_is_told_whatever_ended_it(models: ReadModels, given: Given, apply: Apply):
    story = [
        given.hired("bo", time="2026-10-01 10:00"), given.channel(), given.joined("bo", time="2026-11-01 10:00"),
        given.joined("bo", role="admin", time="2026-11-02 10:00"), given.left("bo", time="2026-11-03 10:00"),
        given.joined("bo", time="2026-11-05 10:00"), given.removed("bo", time="2026-11-06 10:00"),
        given.hired("bo", time="2026-11-08 10:00"), given.joined("bo", time="2026-11-08 10:00"),
    ]  # fmt: skip
    await apply(*reversed(story), *story)

    history = """SELECT role, joined_at::date::text, left_at::date::text, is_active
                 FROM analytics.channel_members_history ORDER BY joined_at"""
    growth = "SELECT day_utc::text, joins, leaves, members_end FROM analytics.channel_growth ORDER BY 1"

    assert rows(models, history) == [
        ("admin", "2026-11-02", "2026-11-03", False),
        ("member", "2026-11-05", "2026-11-06", False),
        ("member", "2026-11-08", None, True),
    ]
    assert rows(models, growth) == [
        ("2026-11-02", 1, 0, 1), ("2026-11-03", 0, 1, 0), ("2026-11-05", 1, 0, 1), ("2026-11-06", 0, 1, 0),
        ("2026-11-08", 1, 0, 1),
    ]  # fmt: skip


async def test_a_stay_ends_with_the_first_removal_after_it_began(models: ReadModels, given: Given, apply: Apply):
    await apply(
        given.hired("bo", time="2026-10-01 10:00"), given.hired("cy", time="2026-10-01 10:00"), given.channel(),
        given.joined("bo", time="2026-11-01 10:00"), given.joined("cy", time="2026-11-01 10:00"),
        given.removed("bo", time="2026-11-03 10:00"), given.hired("bo", time="2026-11-05 10:00"),
        given.removed("bo", time="2026-11-07 10:00"),
        given.removed("cy", time="2026-11-03 11:00"), given.left("cy", time="2026-11-08 10:00"),
    )  # fmt: skip

    history = "SELECT user_id, left_at::date::text, is_active FROM analytics.channel_members_history ORDER BY user_id"
    growth = "SELECT day_utc::text, joins, leaves, members_end FROM analytics.channel_growth ORDER BY 1"

    assert rows(models, history) == [("bo", "2026-11-03", False), ("cy", "2026-11-03", False)]
    assert rows(models, growth) == [("2026-11-01", 2, 0, 2), ("2026-11-03", 0, 2, 0)]


async def test_a_channel_grows_by_its_stays(models: ReadModels, given: Given, apply: Apply):
    await apply(
        given.channel(), given.joined("ana", time="2026-11-01 10:00"), given.joined("bo", time="2026-11-01 10:00"),
        given.left("bo", time="2026-11-03 10:00"), given.joined("cy", time="2026-11-03 10:00"),
    )  # fmt: skip

    growth = "SELECT day_utc::text, joins, leaves, members_end FROM analytics.channel_growth ORDER BY 1"
    current = "SELECT user_id FROM analytics.channel_members_current ORDER BY 1"

    assert rows(models, growth) == [("2026-11-01", 2, 0, 2), ("2026-11-03", 1, 1, 2)]
    assert rows(models, current) == [("ana",), ("cy",)]
    assert rows(models, "SELECT member_count FROM analytics.channels") == [(2,)]


async def test_only_public_channels_show_their_names(models: ReadModels, given: Given, apply: Apply):
    await apply(given.channel("c1", name="town"), given.channel("c2", name="layoffs", channel_type="private"))

    assert rows(models, "SELECT channel_name, label FROM analytics.channels ORDER BY channel_id") == [
        ("town", "#town"),
        (None, f"private {id_of('c2')[:8]}"),
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_a_recount_of_the_facts_gives_the_rollups(seed: int, models: ReadModels):
    log = as_log(
        chaos(seed, 400), topic_prefix=models.settings.kafka.topic_prefix, partitions=2, appended=APPENDED
    )  # fmt: skip
    await models.apply([log])

    assert rows(models, "SELECT sum(message_count) > 0 FROM analytics.daily_active_users") == [(True,)]
    assert rows(models, "SELECT * FROM analytics.rollup_differences") == []


async def test_a_wrong_rollup_shows_as_a_difference(models: ReadModels, given: Given, apply: Apply):
    await apply(given.posted(), given.started(time="2026-11-19 12:00"), given.ended(time="12:30"))
    models.execute("UPDATE analytics.daily_active_users SET message_count = 5")
    models.execute(
        "UPDATE analytics.user_activity SET time_spent_us = 0 WHERE date = '2026-11-20' AND time_spent_us > 0"
    )
    models.execute("DELETE FROM runtime.hour_members")  # no fact of message_analytics, whose recount is of messages

    found = rows(
        models, "SELECT metric, user_id, bucket::text, rollup, recount FROM analytics.rollup_differences ORDER BY 1"
    )

    noon = 12 * 3_600 * 1_000_000
    assert found == [
        ("day.messages", None, "2026-11-20 00:00:00+00", 5, 1),
        ("user.time_spent_us", "ana", "2026-11-20 00:00:00+00", 0, noon),
    ]


async def test_freshness_says_how_far_the_data_goes(models: ReadModels, given: Given, apply: Apply):
    await apply(given.posted(), {**given.posted("m2"), "time": "2031-01-01T00:00:00Z"}, given.edited("x", "m9"))

    (found,) = models.execute("SELECT * FROM analytics.freshness")
    (dead,) = models.execute("SELECT code, type, attempts FROM analytics.dead_letters")

    assert (found["projection"], found["state"], found["parked_events"], found["open_dead_letters"]) == (
        "postgres", "quiet" if found["lag_seconds"] > 60 else "current", 1, 1,
    )  # fmt: skip
    assert (found["data_to"] - APPENDED).total_seconds() == pytest.approx(0.002)
    assert dead["code"] == "E_TIME"


def test_every_column_is_explained_and_every_number_has_its_rules(models: ReadModels):
    unexplained = (
        'SELECT view, "column" FROM analytics.data_dictionary WHERE meaning IS NULL OR'
        " (type IN ('integer', 'bigint', 'numeric', 'double precision')"
        " AND (deletes IS NULL OR bots IS NULL OR late IS NULL))"
    )

    assert rows(models, unexplained) == []
    assert rows(models, "SELECT count(DISTINCT view) > 20, max(version) FROM analytics.data_dictionary") == [(True, 1)]


def executed(conn: psycopg.Connection, query: str) -> set[str]:
    """Tables that a query really read, by its plan."""
    (plan,) = conn.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}".encode()).fetchone() or ("[]",)
    found: set[str] = set()
    nodes = [one["Plan"] for one in (json.loads(plan) if isinstance(plan, str) else plan)]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node["Actual Loops"] and "Relation Name" in node:
            found.add(node["Relation Name"])
    return found


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM analytics.messages WHERE created_at >= '2026-11-01' AND created_at < '2026-12-01'",
        "SELECT replies FROM analytics.thread_stats WHERE started_at BETWEEN '2026-11-02' AND '2026-11-29'",
        "SELECT * FROM analytics.response_times WHERE day_utc BETWEEN '2026-11-01' AND '2026-11-30'",
        "SELECT count(*) FROM analytics.messages_text WHERE created_at >= '2026-11-01' AND created_at < '2026-12-01'",
    ],
)
async def test_a_filter_on_the_time_leaves_other_months_alone(
    query: str, models: ReadModels, conn: psycopg.Connection, given: Given, apply: Apply
):
    months = ("08", "09", "10", "11")
    for month in months:
        conn.execute("SELECT runtime.ensure_month('collab.messages', %s)", [date(2026, int(month), 1)])
    await apply(
        *(given.posted(f"m{month}", time=f"2026-{month}-10 10:00") for month in months),
        *(
            given.posted(f"r{month}", time=f"2026-{month}-10 11:00", thread_id=f"m{month}", user_id="bo")
            for month in months
        ),
    )

    read = executed(conn, query)

    assert NOVEMBER in read
    assert read & OTHERS == set()
