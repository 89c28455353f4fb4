"""Reading through: right whether Redis has the key or not, and one question to PostgreSQL for many askers."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cached import Cached
from contract_events import Given, id_of, in_world
from read_models import log_of

from tailrace.caches import Caches, open_caches

ANA, BO, W1, C1 = (id_of(name) for name in ("ana", "bo", "w1", "c1"))


@pytest.fixture
async def filled(cached: Cached, given: Given) -> Cached:
    cached.clear()
    events = [
        given.channel("c1"), given.joined("ana"), given.joined("bo"), given.posted("m1", user_id="bo"),
        given.posted("m2", user_id="bo"),
    ]  # fmt: skip
    await cached.apply(log_of([in_world(event) for event in events], cached.settings))
    return cached


@pytest.fixture
async def caches(filled: Cached) -> AsyncIterator[Caches]:
    async with open_caches(filled.settings) as opened:
        yield opened


async def everything(caches: Caches) -> tuple[Any, ...]:
    messages = [message["message_id"] for message in await caches.recent_messages(C1)]
    return messages, await caches.channel_members(C1), await caches.unread_counts(ANA, W1)


EXPECTED = ([id_of("m2"), id_of("m1")], sorted([ANA, BO]), {C1: 2})


async def test_what_redis_lost_is_read_from_postgres_and_put_back(filled: Cached, caches: Caches):
    assert await everything(caches) == EXPECTED
    filled.empty()

    assert await everything(caches) == EXPECTED
    assert [json.loads(item)["message_id"] for item in filled.value("recent_messages", C1)] == EXPECTED[0]
    assert filled.value("unread_counts", ANA, W1) == {C1: "2"}


async def test_counts_that_were_asked_for_are_kept_in_step(filled: Cached, caches: Caches, given: Given):
    assert await caches.unread_counts(ANA, W1) == {C1: 2}
    row = filled.models.execute("SELECT count(*) AS n FROM runtime.warm_users")
    assert row == [{"n": 1}]


async def test_without_redis_postgres_answers(filled: Cached):
    unreachable = filled.settings.model_copy(deep=True)
    unreachable.redis.url = type(unreachable.postgres.dsn)("redis://127.0.0.1:1/0")
    async with open_caches(unreachable) as caches:
        assert await everything(caches) == EXPECTED


async def test_a_reader_that_may_not_write_gets_counts_and_leaves_nothing(filled: Cached):
    filled.empty()
    filled.models.execute("DELETE FROM runtime.warm_users")
    settings = filled.settings.model_copy(deep=True)
    dsn = filled.models.dsn
    separator = "&" if "?" in dsn else "?"
    settings.postgres.dsn = type(settings.postgres.dsn)(f"{dsn}{separator}options=-cdefault_transaction_read_only%3Don")
    async with open_caches(settings) as caches:
        assert await caches.unread_counts(ANA, W1) == {C1: 2}
    assert filled.value("unread_counts", ANA, W1) is None
