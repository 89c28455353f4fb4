"""Names of projections, and a log whose signals have lost their beginning."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tailrace.errors import PreconditionError, UsageError
from tailrace.verification.compare import compare_rows
from tailrace.verification.reading import Reading
from tailrace.verification.tables import DEAD_LETTERS, TABLES, chosen
from tailrace.verification.verify import comparable, must_be_whole

Fold = Callable[..., Any]
At = Callable[[str], datetime]

ALL = {table.name for table in TABLES} | {DEAD_LETTERS}
NOON, HALF = "2026-11-20T12:00", "2026-11-20T12:30"


# ── names ──
def test_no_name_and_postgres_mean_every_table():
    assert chosen([]) == chosen(["postgres"]) == ALL


def test_groups_and_tables_add_up():
    assert chosen(["users", "analytics"]) == {"users"} | {name for name in ALL if name.startswith("analytics.")}


def test_tables_of_analytics_may_be_named_without_their_schema():
    assert chosen(["user_activity"]) == chosen(["analytics.user_activity"]) == {"analytics.user_activity"}


def test_an_unknown_name_is_refused_with_the_list_of_known_ones():
    with pytest.raises(UsageError, match="nonsense") as refusal:
        chosen(["users", "nonsense"])
    assert set(refusal.value.fix.removeprefix("one or more of ").split(", ")) >= ALL


# ── what was read ──
def test_nobody_waits_for_the_repr_of_a_log(given: Any):
    assert len(repr(Reading([given.posted()] * 1_000))) < 200  # asyncio.run makes one of what it returns


# ── a log without its beginning ──
def cut(tables: Any):
    reading = Reading(first_offsets={("signals", 0): 7, ("files", 0): 0})
    return {spec.name: (spec, table) for spec, table in comparable(tables.all, reading)}


def test_a_whole_log_is_compared_in_full(given: Any, folded: Fold):
    tables = folded(given.started(time=NOON), given.ended(time=HALF), given.hired())
    whole = Reading(first_offsets={("signals", 0): 0})
    assert {spec.name: table for spec, table in comparable(tables.all, whole)} == tables.all


def test_sessions_that_expired_from_the_log_are_no_difference(given: Any, folded: Fold, time: At):
    spec, table = cut(folded(given.ended("s1", time=HALF)))["sessions"]
    known = ("s1", "ana", "w1", time("12:00"), time("12:30"))
    older = ("s0", "bo", "w1", time("08:00"), time("09:00"))
    assert compare_rows(spec, table, [known, older], limit=9).count == 0
    assert compare_rows(spec, table, [], limit=9).count == 1
    assert compare_rows(spec, table, [(*known[:4], time("12:31"))], limit=9).count == 1


def test_time_spent_is_not_compared_but_the_other_counts_are(given: Any, folded: Fold, time: At):
    day = time(NOON).date()
    spec, table = cut(folded(given.started(time=NOON), given.ended(time=HALF), given.posted(user_id="bo")))[
        "analytics.user_activity"
    ]
    bo, ana = ("w1", "bo", day, 1, 0, 0, 99), ("w1", "ana", day, 0, 0, 0, 99)
    assert compare_rows(spec, table, [bo, ana], limit=9).count == 0
    assert compare_rows(spec, table, [bo], limit=9).count == 0
    assert compare_rows(spec, table, [("w1", "bo", day, 2, 0, 0, 99)], limit=9).count == 1


def test_last_seen_is_not_compared(given: Any, folded: Fold):
    _, table = cut(folded(given.hired(), given.started()))["workspace_members"]
    assert "last_seen_at" not in table["w1", "ana"]


def test_topics_that_are_kept_for_ever_must_be_whole():
    must_be_whole(Reading(first_offsets={("signals", 0): 7, ("files", 0): 0}))
    with pytest.raises(PreconditionError, match="files"):
        must_be_whole(Reading(first_offsets={("files", 0): 0, ("files", 1): 3}))
