"""Redis loses its memory, somebody spoils a key, a rebuild is interrupted: in the end every key is right again."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from cached import Cached, appended_now, live_events
from chaos import chaos
from read_models import Log, log_of

from tailrace.consumers.redis.filling import STAGES, Filler, Rebuild
from tailrace.consumers.redis.store import Store
from tailrace.consumers.redis.writing import CacheWriter, utc_now
from tailrace.operations.caches import are_whole, rebuild, repair, warm
from tailrace.projections.caches import Keys, version_stamp
from tailrace.verification.compare_redis import IDS, RedisKeys

ENDS_ALL = {"collab.workspace.deleted", "collab.user.erased", "collab.channel.deleted", "collab.workspace_member.left"}
"""Left out, so that there is much to keep."""


@pytest.fixture(scope="module")
def log(cached: Cached) -> Log:
    now = datetime.now(UTC)
    events = [event for event in live_events(chaos(7, 400), 7, now) if event["type"] not in ENDS_ALL]
    return appended_now(log_of(events, cached.settings), now)


@pytest.fixture
async def filled(cached: Cached, log: Log) -> Cached:
    cached.clear()
    await cached.fill()
    await cached.apply(log)
    return cached


def keys_of(cached: Cached) -> dict[str, set[tuple[str, ...]]]:
    with RedisKeys(cached.settings) as keys:
        return {family: {key for key, _ in keys.family(family)} for family in IDS}


async def test_an_emptied_redis_is_noticed_and_filled(filled: Cached, log: Log):
    assert await are_whole(filled.settings)
    filled.empty()
    assert not await are_whole(filled.settings)
    await filled.fill()

    assert await are_whole(filled.settings)
    assert filled.differences(log) == {}


async def test_two_caretakers_fill_once(filled: Cached):
    filled.empty()
    both = filled.caretaker("one"), filled.caretaker("other")
    done = await asyncio.gather(*(caretaker.look() for caretaker in both))
    for caretaker in both:
        await caretaker.close()

    assert sorted(done) == [False, True]


async def test_warm_fills_everybodys_counts(filled: Cached, log: Log):
    before = keys_of(filled)
    filled.empty()
    done = await warm(filled.settings)

    rows = filled.models.execute("SELECT count(*) AS n FROM runtime.channel_versions")
    assert done.channels == rows[0]["n"]
    assert done.users > 0
    assert keys_of(filled)["unread_counts"] >= before["unread_counts"]
    assert filled.differences(log).keys() <= {"session", "connection", "presence"}


SPOILED = {
    "recent_messages": lambda redis, name: redis.lset(name, 0, '{"message_id": "x"}'),
    "unread_counts": lambda redis, name: redis.hset(name, redis.hkeys(name)[0], 99),
    "channel_members": lambda redis, name: redis.set(name, '{"members": [], "member_count": 0}', keepttl=True),
    "session": lambda redis, name: redis.set(name, "{}", keepttl=True),
}


async def spoil(cached: Cached) -> None:
    """Change a key of each family behind everybody's back, and add one that has no reason."""
    for family, harm in SPOILED.items():
        name = next(cached.redis.scan_iter(match=f"{cached.prefix}{family}:*", count=1_000))
        harm(cached.redis, name)
    cached.redis.rpush(f"{cached.prefix}recent_messages:{'0' * 8}-0000-0000-0000-{'0' * 12}", "{}")


async def test_repair_mends_exactly_what_differs(filled: Cached, log: Log):
    await warm(filled.settings)
    await spoil(filled)
    found = filled.differences(log)
    assert set(found) == set(SPOILED)
    wrong = [(family, tuple(key.values())) for family, rows in found.items() for key, _, _ in rows]

    assert await repair(filled.settings, wrong) == len(SPOILED) + 1
    assert filled.differences(log) == {}


async def test_a_rebuild_of_everything_mends_and_removes(filled: Cached, log: Log):
    await warm(filled.settings)
    await spoil(filled)
    await rebuild(filled.settings)

    assert filled.differences(log) == {}


@pytest.mark.parametrize("scope", ["channel", "user", "workspace"])
async def test_a_rebuild_of_one_changes_that_one(filled: Cached, log: Log, scope: str):
    columns = {"channel": "channel_id", "user": "user_id", "workspace": "workspace_id"}
    await warm(filled.settings)
    family = "unread_counts" if scope == "user" else "recent_messages"
    name = next(filled.redis.scan_iter(match=f"{filled.prefix}{family}:*", count=1_000))
    SPOILED[family](filled.redis, name)
    one = name.removeprefix(f"{filled.prefix}{family}:").split(":")[0]
    if scope == "workspace":
        rows = filled.models.execute("SELECT workspace_id::text AS w FROM collab.messages WHERE channel_id = %s", one)
        one = rows[0]["w"]
    assert set(filled.differences(log)) == {family}, columns
    await rebuild(filled.settings, scope, one)

    assert filled.differences(log) == {}


async def test_an_interrupted_rebuild_goes_on_where_it_was(filled: Cached, log: Log):
    await warm(filled.settings)
    reader = await filled.reader()
    made = await reader.fetch("open_rebuild", "everything", None, "asked for", "killed")
    first = Rebuild(made[0]["generation"], "everything", None)
    store = Store(filled.url)
    filler = Filler(reader, CacheWriter(store, Keys(filled.prefix), utc_now), "killed", utc_now)

    def kill(stage: str, *_: Any) -> None:
        if stage == STAGES[1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await filler.run(first, kill)
    await store.close()
    await reader.connection.close()
    filled.models.execute("UPDATE runtime.cache_rebuilds SET heartbeat_at = now() - interval '1 minute'")
    stages: list[str] = []
    second = await rebuild(filled.settings, watch=lambda stage, *_: stages.append(stage))

    assert second.generation == first.generation
    assert STAGES[0] not in stages
    assert filled.differences(log) == {}


async def test_a_worker_of_an_older_generation_is_refused(filled: Cached):
    name = next(filled.redis.scan_iter(match=f"{filled.prefix}recent_messages:*", count=1_000))
    channel_id = name.rpartition(":")[2]
    await rebuild(filled.settings, "channel", channel_id)
    before = filled.value("recent_messages", channel_id)
    store = Store(filled.url)
    late = ("recent_put", Keys(filled.prefix).pair("recent_messages", channel_id), (version_stamp(0, 10**9), "old"))

    assert await store.call([late]) == [b"OLDER"]
    assert filled.value("recent_messages", channel_id) == before
    await store.close()


async def test_a_key_of_a_foreign_type_is_replaced(filled: Cached, log: Log):
    name = next(filled.redis.scan_iter(match=f"{filled.prefix}recent_messages:*", count=1_000))
    filled.redis.set(name, "no list")
    await rebuild(filled.settings, "channel", name.rpartition(":")[2])

    assert filled.differences(log) == {}


async def test_a_hash_that_was_deleted_by_hand_is_whole_when_it_is_back(filled: Cached, log: Log):
    await warm(filled.settings)
    name = next(filled.redis.scan_iter(match=f"{filled.prefix}unread_counts:*", count=1_000))
    filled.redis.delete(name)
    await warm(filled.settings)

    assert name in {f"{filled.prefix}unread_counts:{':'.join(key)}" for key in keys_of(filled)["unread_counts"]}
    assert filled.differences(log) == {}
