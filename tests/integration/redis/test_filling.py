"""Redis loses its memory, somebody spoils a key, a rebuild is interrupted: in the end every key is right again."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cached import Cached, appended_now, live_events
from chaos import chaos
from read_models import Log, log_of

from tailrace.consumers.redis import filling
from tailrace.consumers.redis.filling import STAGES, Filler, Rebuild
from tailrace.consumers.redis.reading import Reader
from tailrace.consumers.redis.store import Store
from tailrace.consumers.redis.values import GUARD_KEPT_MS
from tailrace.consumers.redis.writing import CacheWriter, utc_now
from tailrace.operations.caches import are_whole, rebuild, repair, warm
from tailrace.projections.caches import Keys, version_stamp
from tailrace.verification.compare_redis import IDS, RedisKeys

TIMES = ("created_at", "last_activity")
USER = "01234567-89ab-4cde-8f01-23456789abcd"
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


@pytest.mark.parametrize("kept", [0, filling.NAMES_KEPT_MAX])
async def test_a_rebuild_of_everything_mends_and_removes(
    filled: Cached, log: Log, monkeypatch: pytest.MonkeyPatch, kept: int
):
    monkeypatch.setattr(filling, "NAMES_KEPT_MAX", kept)
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


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages so small that several are worked on at every moment."""
    for name in ("PAGE_CHANNELS", "PAGE_USERS", "PAGE_COUNTS", "PAGE_LIVING"):
        monkeypatch.setattr(filling, name, 1)
    monkeypatch.setattr(filling, "PAGE_NAMES", 50)
    monkeypatch.setattr(filling, "NAMES_KEPT_MAX", 50)


async def opened(cached: Cached) -> Rebuild:
    """A rebuild of everything that somebody has just begun."""
    reader = await cached.reader()
    made = await reader.fetch("open_rebuild", "everything", None, "asked for", "killed")
    await reader.connection.close()
    return Rebuild(made[0]["generation"], "everything", None)


async def killed(cached: Cached, begun: Rebuild, watch: filling.Watch) -> None:
    """Run it until it ends or somebody stops it; then let time pass until it may be taken."""
    reader, store = await cached.reader(), Store(cached.url)
    writer = CacheWriter(store, Keys(cached.prefix), utc_now)
    try:
        await Filler(reader, cached.reader, writer, "killed", utc_now).run(begun, watch)
    finally:
        await store.close()
        await reader.connection.close()
        cached.models.execute("UPDATE runtime.cache_rebuilds SET heartbeat_at = now() - interval '1 minute'")


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "posts"])
async def test_an_interrupted_rebuild_goes_on_where_it_was(filled: Cached, log: Log, stage: str):
    await warm(filled.settings)
    await spoil(filled)
    first = await opened(filled)

    def kill(reached: str, *_: Any) -> None:
        if reached == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await killed(filled, first, kill)
    stages: list[str] = []
    second = await rebuild(filled.settings, watch=lambda reached, *_: stages.append(reached))

    assert second.generation == first.generation
    assert not set(STAGES[: STAGES.index(stage)]) & set(stages)
    assert filled.differences(log) == {}


@pytest.mark.usefixtures("small_pages")
async def test_a_page_that_fails_is_told_and_written_when_the_rebuild_goes_on(
    filled: Cached, log: Log, monkeypatch: pytest.MonkeyPatch
):
    await warm(filled.settings)
    await spoil(filled)
    whole = Reader.members
    asked: list[str] = []

    async def members(reader: Reader, channels: Any) -> Any:
        asked.extend(sorted(channels)[:1])
        if len(asked) == 3:
            raise OSError("the connection is gone")
        return await whole(reader, channels)

    first = await opened(filled)
    with monkeypatch.context() as patched:
        patched.setattr(Reader, "members", members)
        with pytest.raises(OSError, match="gone"):
            await killed(filled, first, lambda *_: None)
    reached = first.after_key
    await rebuild(filled.settings)

    assert (first.stage, reached < asked[2]) == (0, True)
    assert filled.differences(log) == {}


@pytest.mark.usefixtures("small_pages")
async def test_what_comes_while_everything_is_rebuilt_is_not_lost(cached: Cached, log: Log):
    cached.clear()
    await cached.fill()
    half = len(log) // 2
    await cached.apply(log[:half])
    await warm(cached.settings)

    async def again_and_again(live: asyncio.Task[None]) -> int:
        rebuilt = 0
        while not live.done():
            await rebuild(cached.settings)
            rebuilt += 1
        return rebuilt

    live = asyncio.create_task(cached.apply(log, size=40))
    rebuilt = await again_and_again(live)
    await live

    assert rebuilt
    assert cached.differences(log) == {}


@pytest.mark.parametrize(("family", "place"), [("unread_counts", "f" * 72), ("session", "session:ffffffff")])
async def test_a_place_of_another_order_begins_its_stage_anew(filled: Cached, log: Log, family: str, place: str):
    await warm(filled.settings)
    await spoil(filled)
    await opened(filled)
    filled.models.execute(
        "UPDATE runtime.cache_rebuilds SET stage = %s, after_key = %s,"
        " heartbeat_at = now() - interval '1 minute' WHERE finished_at IS NULL",
        STAGES.index("counts" if family == "unread_counts" else "living"), place,
    )  # fmt: skip
    await rebuild(filled.settings)

    assert family not in filled.differences(log)


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


async def test_guards_of_living_keys_end_after_their_keys_and_those_of_lists_never(filled: Cached):
    filled.empty()
    await filled.fill()

    def guards(families: tuple[str, ...]) -> dict[str, int]:
        found = [name for one in families for name in filled.redis.scan_iter(f"{filled.prefix}{one}_v:*", 1_000)]
        return {name: filled.redis.pexpiretime(name) for name in found}

    living, lasting = guards(("session", "connection", "presence")), guards(("recent_messages", "channel_members"))
    shown = {name: filled.redis.pexpiretime(name.replace("_v:", ":", 1)) for name in living}

    assert {living[name] - end for name, end in shown.items() if end > 0} == {GUARD_KEPT_MS}
    assert min(living.values()) > 0
    assert set(lasting.values()) == {-1}


async def test_a_guard_that_was_made_for_a_value_that_is_long_past_ends_too(cached: Cached):
    cached.clear()
    store = Store(cached.url)
    pair = cached.keys.pair("session", "somebody")
    await store.make_guards([pair[1]])
    put = ("value_put", pair, (version_stamp(1, 1), "{}", "PXAT", 1, 1 + GUARD_KEPT_MS))

    assert await store.call([put]) == [b"OK"]
    assert cached.value("session", "somebody") is None
    assert 0 < cached.redis.pttl(pair[1]) <= GUARD_KEPT_MS
    await store.close()


async def test_guards_that_are_there_stay_as_they_are(cached: Cached):
    cached.clear()
    store = Store(cached.url)
    held, missing = (cached.keys.pair("session", name)[1] for name in ("one", "other"))
    cached.redis.set(held, version_stamp(1, 1), px=GUARD_KEPT_MS)
    await store.make_guards([held, missing])

    assert cached.redis.mget(held, missing) == [version_stamp(1, 1), version_stamp(0, 0)]
    assert cached.redis.pttl(held) > 0
    await store.close()


@pytest.mark.parametrize(
    ("kind", "fields", "added"),
    [
        ("session", {"user_agent": 'a "quoted" \\ ü', "permissions": []}, ("user_id", "workspace_id", *TIMES)),
        ("connection", {"channels": [USER]}, ("user_id", "workspace_id", "connected_at")),
        ("presence", {"status": "away", "custom_status": None}, ("last_seen",)),
    ],
)
@pytest.mark.parametrize("workspace_id", [USER, None])
async def test_a_living_value_is_json_of_its_fields_and_of_what_its_row_says(
    cached: Cached, kind: str, fields: dict[str, Any], added: tuple[str, ...], workspace_id: str | None
):
    rows = cached.models.execute(
        "SELECT runtime.living_value(%s, %s, %s, %s, '2026-01-02 03:04:05.6+01', '2026-01-02 03:04:05Z') AS text",
        kind, json.dumps(fields), USER, workspace_id,
    )  # fmt: skip
    began, last = "2026-01-02T02:04:05.600000Z", "2026-01-02T03:04:05.000000Z"
    row = {
        "user_id": USER, "workspace_id": workspace_id, "created_at": began, "last_activity": last,
        "connected_at": began, "last_seen": began,
    }  # fmt: skip

    assert json.loads(rows[0]["text"]) == fields | {name: row[name] for name in added}


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
