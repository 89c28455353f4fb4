"""What a replay may touch."""

import json
from datetime import UTC, datetime

import pytest

from tailrace.errors import InvalidInputError, UsageError
from tailrace.mending.scope import Scope, offsets_of


def test_a_scope_comes_back_from_its_plan():
    scope = Scope(("messages",), "w", "c", "m", datetime(2026, 11, 18, tzinfo=UTC), None, {"files/0": (1, 9)})
    assert Scope.of(json.loads(json.dumps(scope.document()))) == scope
    assert Scope.of(Scope().document()) == Scope()


def test_everything_and_postgres_are_all_tables_and_a_table_brings_its_own_facts():
    assert Scope().relations is None
    assert Scope(("postgres",)).relations is None
    assert Scope(("messages",)).relations == {
        "collab.messages", "collab.messages_archive", "runtime.message_ids", "runtime.thread_edges",
    }  # fmt: skip
    assert Scope(("daily_active_users",)).relations == {"analytics.daily_active_users", "runtime.day_members"}
    with pytest.raises(UsageError):
        assert Scope(("nonsense",)).relations


def test_stores_are_those_that_are_named():
    assert Scope(("redis.session",)).stores == ("redis.session",)
    assert Scope(("redis.session",)).relations == frozenset()
    assert Scope(("messages",)).stores == ()
    assert "search.users" in Scope().stores


def test_offsets_are_ends_exclusive_by_partition():
    assert offsets_of('{"conversations/3": [1200, 1500]}') == {"conversations/3": (1200, 1500)}
    for text in ("", "[]", '{"files/0": 3}', '{"files/0": ["a", "b"]}'):
        with pytest.raises(InvalidInputError):
            offsets_of(text)
