"""The numbered cases of read state and caches, each in order, with every event twice, replayed and shuffled by key."""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cached import Cached, appended_now
from contract_events import CloudEvent, Given, id_of, in_world, name_of
from read_models import Log, log_of

SHUFFLES = 2
NOW = datetime.now(UTC)
ANA, BO, W1, C1, C2 = (id_of(name) for name in ("ana", "bo", "w1", "c1", "c2"))
LONG_AGO = {"created_at": "2019-01-01T00:00:00.000000Z"}


def across_keys(log: Log, seed: int) -> Log:
    """The same log, with the partitions interleaved in another way."""
    rng = random.Random(seed)
    queues: dict[Any, Log] = {}
    for record in log:
        queues.setdefault((record.topic, record.partition), []).append(record)
    mixed: Log = []
    while waiting := [queue for queue in queues.values() if queue]:
        mixed.append(rng.choice(waiting).pop(0))
    return mixed


@pytest.fixture
def told(cached: Cached) -> Callable[..., Any]:
    """Tell a story in all its forms; `look` says what must hold after each."""

    async def tell(events: Sequence[CloudEvent], look: Callable[[], None]) -> None:
        written = [in_world(event) for event in events]
        for form in ("as given", "twice", "replayed", *range(SHUFFLES)):
            doubled = [event for event in written for _ in range(2)] if form == "twice" else written
            log = appended_now(log_of(doubled, cached.settings), datetime.now(UTC))
            cached.clear()
            await cached.apply(across_keys(log, form) if isinstance(form, int) else log, size=len(log))
            if form == "replayed":
                cached.models.rewind()
                await cached.apply(log, size=1)
            assert cached.differences(log) == {}, form
            look()

    return tell


def ago(**delta: float) -> str:
    return (NOW - timedelta(**delta)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def session(given: Given, user_id: str = "ana", session_id: str = "s1", **more: Any) -> CloudEvent:
    return given.started(session_id, user_id, time=NOW - timedelta(hours=1), **more)


def typing(given: Given, user_id: str, channel_id: str, time: datetime) -> CloudEvent:
    return given.event("typing.started", channel_id=channel_id, user_id=user_id, time=time)


def room(given: Given, *users: str) -> list[CloudEvent]:
    return [given.channel("c1"), *(given.joined(user) for user in users), *(session(given, u, f"s{u}") for u in users)]


def names(cached: Cached) -> list[str]:
    return [name_of(json.loads(item)["message_id"]) for item in cached.value("recent_messages", C1) or ()]


def unread(cached: Cached, user_id: str = ANA) -> int:
    return int((cached.value("unread_counts", user_id, W1) or {}).get(C1, 0))


async def test_43_reads_only_go_forward_and_mark_unread_goes_back(cached: Cached, told: Any, given: Given):
    story = [*room(given, "ana", "bo"), *(given.posted(f"m{n}", user_id="bo", time=f"13:0{n}") for n in range(5))]
    read = [given.read("m3", "13:03"), given.read("m1", "13:01")]
    await told([*story, *read], lambda: unread_is(cached, 1))
    await told([*story, *read, given.read("m1", "13:01", mark_unread=True)], lambda: unread_is(cached, 3))


def unread_is(cached: Cached, count: int) -> None:
    assert unread(cached) == count


async def test_45_own_messages_and_those_of_the_system_do_not_count(cached: Cached, told: Any, given: Given):
    story = [*room(given, "ana", "bo"), given.posted("m1"), given.posted("m2", user_id="bo", message_type="system")]
    await told([*story, given.posted("m3", user_id="bo", message_type="bot")], lambda: unread_is(cached, 1))


async def test_46_a_deleted_message_does_not_count_until_it_is_restored(cached: Cached, told: Any, given: Given):
    story = [*room(given, "ana", "bo"), given.posted("m1", user_id="bo"), given.about("deleted", "m1")]
    await told(story, lambda: unread_is(cached, 0))
    await told([*story, given.about("restored", "m1")], lambda: unread_is(cached, 1))


async def test_leaving_ends_the_count_and_rejoining_begins_anew(cached: Cached, told: Any, given: Given):
    story = [*room(given, "ana", "bo"), given.posted("m1", user_id="bo"), given.left("ana")]
    await told(story, lambda: unread_is(cached, 0))
    again = [given.joined("ana"), given.posted("m2", user_id="bo")]
    await told([*story, *again], lambda: unread_is(cached, 1))


async def test_removal_from_the_workspace_takes_counts_members_and_sessions(cached: Cached, told: Any, given: Given):
    story = [*room(given, "ana", "bo"), given.hired("ana"), given.posted("m1", user_id="bo")]

    def gone() -> None:
        assert unread(cached) == 0
        assert cached.value("session", id_of("sana")) is None
        assert json.loads(cached.value("channel_members", C1))["members"] == [BO]

    await told([*story, given.removed("ana", time=NOW - timedelta(minutes=5))], gone)


async def test_erasure_takes_messages_reactions_counts_and_sessions(cached: Cached, told: Any, given: Given):
    story = [*room(given, "ana", "bo"), given.posted("m1", user_id="bo"), given.posted("m2"), given.reacted("👍", "m1")]

    def gone() -> None:
        assert names(cached) == ["m1"]
        assert json.loads(cached.value("recent_messages", C1)[0])["reactions"] == {}
        assert cached.value("session", id_of("sana")) is None
        assert cached.value("unread_counts", ANA, W1) is None

    await told([*story, given.erased("ana")], gone)


@pytest.mark.parametrize("what", ["channel", "workspace"])
async def test_a_deleted_channel_or_workspace_has_no_keys(cached: Cached, told: Any, given: Given, what: str):
    end = given.channel("c1", "deleted") if what == "channel" else given.workspace_deleted()
    story = [*room(given, "ana", "bo"), given.posted("m1", user_id="bo"), end, given.posted("m2", user_id="bo")]

    def gone() -> None:
        assert cached.value("recent_messages", C1) is None
        assert cached.value("channel_members", C1) is None
        assert unread(cached) == 0

    await told(story, gone)


@pytest.mark.parametrize("described", ["c1 c2", ""])
async def test_39_typing_and_rates_go_with_their_workspace_and_stay_away(
    cached: Cached, told: Any, given: Given, described: str
):
    soon = datetime.now(UTC) + timedelta(minutes=5)
    rooms = [given.channel(c, workspace_id=c.replace("c", "w")) for c in described.split()]
    before = [given.posted("m1", time=soon, **LONG_AGO), typing(given, "bo", "c1", soon)]
    after = [given.posted("m2", time=soon), typing(given, "cy", "c1", soon)]
    neighbours = given.posted("m3", channel_id="c2", workspace_id="w2", time=soon), typing(given, "bo", "c2", soon)

    def gone() -> None:
        kept = [name.removeprefix(cached.prefix) for name in cached.redis.scan_iter(match=f"{cached.prefix}*:*")]
        found = {name for name in kept if name.startswith(("typing:", "message_rate:"))}
        minute = int(soon.timestamp()) // 60
        assert found == {f"typing:{C2}:{BO}", f"message_rate:{ANA}:{C2}:{minute}"}

    await told([*rooms, *before, *neighbours, given.workspace_deleted(), *after], gone)


async def test_50_the_list_is_the_newest_hundred_by_creation_and_is_refilled(cached: Cached, told: Any, given: Given):
    made = datetime(2026, 11, 1, tzinfo=UTC)
    posts = [given.posted(f"m{n:03}", created_at=made + timedelta(minutes=n)) for n in range(103)]
    story = [given.channel("c1"), *posts, given.posted("old", created_at=made - timedelta(days=90))]
    deleted = [given.about("deleted", f"m{n:03}") for n in (102, 50)]
    imported = given.posted("between", created_at=made + timedelta(minutes=60, seconds=30))

    def newest() -> None:
        kept = [f"m{n:03}" for n in range(101, 1, -1) if n != 50]
        kept.insert(kept.index("m060"), "between")
        assert names(cached) == kept[:100]

    await told([*story, *deleted, imported], newest)


async def test_edits_reactions_and_threads_show_in_the_list(cached: Cached, told: Any, given: Given):
    events = [
        given.posted("m1", "before"), given.posted("m2", thread_id="m1", user_id="bo"), given.edited("after"),
        given.reacted("👍", "m1", "bo"), given.reacted("👍", "m1", "ana"), given.unreacted("👍", "m1", "bo"),
    ]  # fmt: skip

    def shows() -> None:
        reply, root = (json.loads(item) for item in cached.value("recent_messages", C1))
        assert (root["content"], root["reactions"]) == ("after", {"👍": [ANA]})
        assert reply["thread_id"] == root["message_id"]
        assert root["created_at"].endswith("Z")
        assert len(root["created_at"]) == len("2026-11-21T00:00:00.000000Z")

    await told([given.channel("c1"), *events], shows)


async def test_51_typing_ends_with_the_message_and_heartbeats_follow_their_sequence(
    cached: Cached, told: Any, given: Given
):
    soon = datetime.now(UTC) + timedelta(minutes=4)
    presence = {"user_id": "ana", "workspace_id": "w1", "device_type": "web"}
    events = [
        given.event("typing.started", channel_id="c1", user_id="ana", time=soon),
        given.posted("m1", time=soon),
        given.event("typing.started", channel_id="c1", user_id="bo", time=soon),
        given.event("presence.changed", status="away", seq=7, time=soon, **presence),
        given.event("presence.changed", status="active", seq=6, time=soon + timedelta(seconds=1), **presence),
    ]

    def shows() -> None:
        assert cached.value("typing", C1, ANA) is None
        assert cached.value("typing", C1, BO) == "1"
        assert json.loads(cached.value("presence", ANA, W1))["status"] == "away"

    await told(events, shows)


async def test_signals_of_the_past_make_no_keys(cached: Cached, told: Any, given: Given):
    long_ago = NOW - timedelta(hours=25)
    story = [given.started("s1", "ana", time=long_ago), given.joined("ana"), given.channel("c1")]

    def nothing() -> None:
        assert cached.value("session", id_of("s1")) is None

    await told(story, nothing)


async def test_an_ended_session_stays_ended(cached: Cached, told: Any, given: Given):
    end = given.ended("s1", "ana", time=NOW - timedelta(hours=2))
    await told(
        [end, session(given), session(given)],
        lambda: [] if cached.value("session", id_of("s1")) is None else pytest.fail("the session came back"),
    )


async def test_messages_of_a_minute_are_counted_once_each(cached: Cached, told: Any, given: Given):
    soon = (datetime.now(UTC) + timedelta(minutes=4)).replace(second=5)
    posts = [given.posted(f"m{n}", time=soon + timedelta(seconds=n)) for n in range(3)]
    retried = [given.posted(f"a{n}", time=soon, client_msg_id="x") for n in range(2)]
    imported = given.posted("old", time=soon, **LONG_AGO)
    minute = str(int(soon.timestamp()) // 60)

    def counted() -> None:
        assert cached.value("message_rate", ANA, C1, minute) == "5"

    await told([given.channel("c1"), *posts, *retried, imported], counted)


@pytest.mark.parametrize("late_created", [{}, LONG_AGO], ids=["late", "late import"])
@pytest.mark.parametrize("newer_created", [{}, LONG_AGO], ids=["newer", "newer import"])
async def test_a_message_that_comes_late_counts_in_a_minute_that_a_newer_one_keeps(
    cached: Cached, given: Given, newer_created: dict[str, str], late_created: dict[str, str]
):
    if (second := datetime.now(UTC).second) >= 45:
        await asyncio.sleep(60 - second)  # the newer one is past at the end of the next minute
    minute = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
    newer = given.posted("m1", time=minute + timedelta(seconds=55), **newer_created)
    late = given.posted("m2", time=minute, **late_created)
    cached.clear()
    await cached.fill()
    log = log_of([in_world(e) for e in (given.channel("c1"), newer, late)], cached.settings)
    log = appended_now(log, datetime.now(UTC))
    name = f"{cached.prefix}message_rate:{ANA}:{C1}:{int(minute.timestamp()) // 60}"
    await cached.apply(log[:2])
    await cached.apply(log[2:])
    assert cached.redis.get(name) == "2"
    assert 0 < cached.redis.ttl(name) <= 55

    cached.empty()
    await cached.fill()
    assert cached.redis.get(name) == "2"
    assert 0 < cached.redis.ttl(name) <= 55


async def test_48_members_are_whole_also_when_their_key_had_ended(cached: Cached, given: Given):
    cached.clear()
    log = log_of([in_world(e) for e in (given.channel("c1"), given.joined("ana"), given.joined("bo"))], cached.settings)
    await cached.apply(log[:2])
    assert cached.redis.delete(f"{cached.prefix}channel_members:{C1}") == 1
    cached.models.rewind()
    await cached.apply(log)

    value = json.loads(cached.value("channel_members", C1))
    assert (value["members"], value["member_count"]) == (sorted([ANA, BO]), 2)
    assert 0 < cached.redis.ttl(f"{cached.prefix}channel_members:{C1}") <= 1_800
