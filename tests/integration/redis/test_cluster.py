"""A cluster of three real masters: every key right, also when one is emptied or restarted, or slots move meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator
from functools import partial

import pytest
from cached import Cached
from contract_events import Given, id_of, in_world
from late_owners import live_through, published
from read_models import Log, log_of
from redis.crc import key_slot
from redis_servers import Cluster, RedisServer, ask

from tailrace.caches import Caches, open_caches
from tailrace.consumers.redis.nodes import RETRYABLE
from tailrace.consumers.redis.reading import Reader, Wanted
from tailrace.consumers.redis.state import CacheState
from tailrace.consumers.redis.store import Store
from tailrace.consumers.redis.writing import CacheWriter
from tailrace.operations.caches import are_whole, rebuild, repair, warm
from tailrace.operations.glimpses import keys_seen
from tailrace.projections.caches import version_stamp

EVENTS = 150
ANA, BO, W1, C1 = (id_of(name) for name in ("ana", "bo", "w1", "c1"))


def keys_by_master(cluster: Cluster) -> list[set[str]]:
    found = [set(one.client.scan_iter(match="*", count=1_000)) for one in cluster.masters]
    return [{name for name in names if ":state:" not in name} for names in found]


async def test_late_owners_and_repeats_leave_no_difference(clustered: Cached, redis_cluster: Cluster):
    log = published(1, clustered, 2 * EVENTS)
    await live_through(clustered, log, random.Random(1), [clustered.fill])

    assert clustered.differences(log) == {}
    assert all(len(keys) > 5 for keys in keys_by_master(redis_cluster))
    names = {name.removeprefix(clustered.prefix) for name in clustered.redis.scan_iter(match=f"{clustered.prefix}*")}
    guards = {name for name in names if name.partition(":")[0].endswith("_v")}

    assert len(guards) > 10
    # A key and its guard share a slot.
    assert {key_slot(name.encode()) - key_slot(name.replace("_v:", ":", 1).encode()) for name in guards} == {0}
    assert all("{" in name for name in names)


async def test_one_emptied_master_after_the_other_is_filled_again(clustered: Cached, redis_cluster: Cluster):
    disturbances = [partial(emptied, master) for master in redis_cluster.masters]
    log = published(10, clustered, EVENTS)
    await live_through(clustered, log, random.Random(10), disturbances)

    assert clustered.differences(log) == {}


async def emptied(master: RedisServer) -> None:
    ask(master, "FLUSHALL")


async def test_an_emptied_master_is_noticed_without_any_event(clustered: Cached, redis_cluster: Cluster):
    log = published(3, clustered, EVENTS)
    await live_through(clustered, log, random.Random(3))
    for master in redis_cluster.masters:
        assert await are_whole(clustered.settings)
        ask(master, "FLUSHALL")
        assert not await are_whole(clustered.settings)
        assert clustered.differences(log) != {}
        await clustered.fill()
        assert clustered.differences(log) == {}


async def test_a_restarted_master_is_filled_again(clustered: Cached, redis_cluster: Cluster):
    async def restarted() -> None:
        redis_cluster.masters[1].kill()
        asyncio.get_running_loop().call_later(0.5, redis_cluster.masters[1].start)

    log = published(4, clustered, EVENTS)
    await live_through(clustered, log, random.Random(4), [restarted])
    redis_cluster.settle()

    assert clustered.differences(log) == {}


async def test_slots_that_move_meanwhile_take_their_keys_along(clustered: Cached, redis_cluster: Cluster):
    """Whatever has keys goes to the next master, some slots at once, each open for several batches."""
    moved = []

    async def moves() -> None:
        names = list(clustered.redis.scan_iter(match=f"{clustered.prefix}recent_messages*"))
        for slot in sorted({key_slot(name.encode()) for name in names})[:4]:
            source = redis_cluster.owner_of(slot)
            target = redis_cluster.masters[redis_cluster.masters.index(source) - 1]
            redis_cluster.begin_move(slot, source, target)
            moved.append([slot, source, target, 0])
            under_way.append(asyncio.create_task(ends(moved[-1])))

    async def ends(move: list) -> None:
        slot, source, target, _ = move
        for _ in range(3):
            await asyncio.sleep(0.03)  # batches meet an open slot, with a part of its keys here and a part there
            move[3] += redis_cluster.move_keys(slot, source, target, keys_max=1)
        while count := redis_cluster.move_keys(slot, source, target):
            move[3] += count
        redis_cluster.end_move(slot, target)

    under_way: list[asyncio.Task[None]] = []
    log = published(5, clustered, EVENTS)
    await live_through(clustered, log, random.Random(5), [moves, moves])
    await asyncio.gather(*under_way)

    assert sum(count for *_, count in moved) > 4
    assert await are_whole(clustered.settings)
    assert clustered.differences(log) == {}


async def test_a_function_that_was_ended_half_way_is_mended_by_the_same_call(clustered: Cached, redis_cluster: Cluster):
    """It replaces a list whose slot is leaving: once removed, the list may only be made where the slot goes."""
    store = Store(clustered.url, cluster=True)
    keys = clustered.keys.pair("recent_messages", "nobody")
    calls = [("recent_put", keys, (version_stamp(0, version), f"text {version}")) for version in (1, 1, 2)]
    assert await store.call(calls[:2]) == [b"AGAIN", b"OK"]
    slot, source = key_slot(keys[0].encode()), redis_cluster.owner(keys[0])
    target = redis_cluster.masters[redis_cluster.masters.index(source) - 1]
    redis_cluster.begin_move(slot, source, target)
    with pytest.raises(RETRYABLE):
        await store.call(calls[2:])
    assert ask(source, "CLUSTER", "COUNTKEYSINSLOT", slot) == 1
    redis_cluster.move_keys(slot, source, target)
    redis_cluster.end_move(slot, target)

    assert await store.call(calls[2:]) == [b"OK"]
    assert ask(target, "LRANGE", keys[0], 0, -1) == ["text 2"]
    ask(target, "DEL", *keys)
    await store.close()


async def test_calls_for_an_open_slot_wait_until_it_is_settled(clustered: Cached, redis_cluster: Cluster):
    """Neither master takes a call whose keys are not there yet: it is told to try again."""
    store = Store(clustered.url, cluster=True)
    keys = clustered.keys.pair("recent_messages", "nobody")
    call = "recent_put", keys, (version_stamp(0, 1), "text")
    slot, source = key_slot(keys[0].encode()), redis_cluster.owner(keys[0])
    target = redis_cluster.masters[redis_cluster.masters.index(source) - 1]
    redis_cluster.begin_move(slot, source, target)
    with pytest.raises(RETRYABLE):
        await store.call([call])
    redis_cluster.end_move(slot, target)

    assert await store.call([call, call]) == [b"AGAIN", b"OK"]
    assert ask(target, "LLEN", keys[0]) == 1
    ask(target, "DEL", *keys)
    await store.close()


async def test_a_master_that_is_away_for_long_costs_no_connection(clustered: Cached, redis_cluster: Cluster):
    store = Store(clustered.url, cluster=True)
    marks = CacheState(store, clustered.keys).names
    away = redis_cluster.masters[2]
    away.kill()
    for _ in range(150):
        with pytest.raises(RETRYABLE):
            await store.run([("GET", name) for name in marks], marks)
    away.start()
    redis_cluster.settle()

    assert await store.run([("GET", name) for name in marks], marks)
    await store.close()


# ── commands and readers ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def small(clustered: Cached, given: Given) -> tuple[Cached, Log]:
    clustered.clear()
    await clustered.fill()
    told = [given.channel("c1"), given.joined("ana"), given.joined("bo")]
    told += [given.posted(name, user_id="bo") for name in ("m1", "m2", "m3")]
    log = log_of([in_world(event) for event in told], clustered.settings)
    await clustered.apply(log)
    return clustered, log


@pytest.fixture
async def caches(small: tuple[Cached, Log]) -> AsyncIterator[Caches]:
    async with open_caches(small[0].settings) as opened:
        yield opened


async def test_many_readers_at_once_are_one_fill(
    small: tuple[Cached, Log], caches: Caches, monkeypatch: pytest.MonkeyPatch
):
    cached, log = small
    fills: list[Wanted] = []
    refresh = CacheWriter.refresh

    async def counted(writer: CacheWriter, reader: Reader, wanted: Wanted) -> None:
        fills.append(wanted)
        await refresh(writer, reader, wanted)

    monkeypatch.setattr(CacheWriter, "refresh", counted)
    cached.empty()
    answers = await asyncio.gather(*(caches.recent_messages(C1) for _ in range(50)))
    counts = await asyncio.gather(*(caches.unread_counts(ANA, W1) for _ in range(50)))

    assert {tuple(message["message_id"] for message in answer) for answer in answers} == {
        tuple(id_of(name) for name in ("m3", "m2", "m1"))
    }
    assert counts == [{C1: 3}] * 50
    assert [wanted.lists for wanted in fills] == [{C1}]
    assert await caches.channel_members(C1) == sorted([ANA, BO])
    assert cached.value("unread_counts", ANA, W1) == {C1: "3"}
    await cached.fill()
    assert cached.differences(log) == {}


async def test_spoilt_keys_are_found_and_repaired(small: tuple[Cached, Log]):
    cached, log = small
    await warm(cached.settings)
    cached.redis.lset(cached.keys.name("recent_messages", C1), 0, '{"message_id": "x"}')
    cached.redis.hset(cached.keys.name("unread_counts", ANA, W1), C1, 99)
    cached.redis.rpush(cached.keys.name("recent_messages", id_of("c9")), "{}")
    found = cached.differences(log)
    assert {family: len(rows) for family, rows in found.items()} == {"recent_messages": 2, "unread_counts": 1}

    wrong = [(family, tuple(key.values())) for family, rows in found.items() for key, _, _ in rows]
    assert await repair(cached.settings, wrong) == 3
    assert cached.differences(log) == {}


async def test_a_rebuild_of_everything_removes_what_nobody_knows(small: tuple[Cached, Log]):
    cached, log = small
    for name in ("c7", "c8", "c9"):
        cached.redis.rpush(cached.keys.name("recent_messages", id_of(name)), "{}")
    await rebuild(cached.settings)

    assert cached.differences(log) == {}


async def test_a_look_at_single_keys_finds_them_wherever_they_are(small: tuple[Cached, Log]):
    cached, _ = small
    names = [cached.keys.name("recent_messages", id_of(name)) for name in ("c1", "c9")]
    seen = await keys_seen(cached.settings, names)

    assert [seen[name]["exists"] for name in names] == [True, False]
