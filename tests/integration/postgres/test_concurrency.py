"""Two workers on partitions of their own, at the same time in one database, with effects that cross between them."""

import asyncio
import os
import random
from collections.abc import Callable, Iterable, Sequence

import pytest
from chaos import chaos
from contract_events import CloudEvent, Given, at, in_world
from read_models import Log, Reader, ReadModels, log_of, partition_of

from tailrace.consumers.applying import Applier
from tailrace.consumers.batch import TopicPartition

SEEDS = int(os.environ.get("TAILRACE_CHAOS_SEEDS", "25"))
RACE_TIMEOUT_S = 60
WORLDS = 40
"""So many times a race is run, all of them in one log."""
MIXED = 3
"""So few worlds are mixed at a time, so that both workers meet in the same one."""
PARTITIONS = 4

Story = Callable[[Given], list[CloudEvent]]


class Worker:
    """One worker's side: its claims, and the runtime's own way of applying for certain."""

    def __init__(self, models: ReadModels) -> None:
        self._sink = models.sink()
        self._reader = Reader(models, self._sink)
        self.lost: set[TopicPartition] = set()
        self._applier = Applier(self._sink, models.settings.worker, self.lost.update)

    async def claim(self, partitions: Iterable[TopicPartition]) -> None:
        await self._reader.claim(partitions)

    async def apply(self, records: Log) -> None:
        if records:
            batch = self._reader.batch(records)
            await self._applier.apply(batch, {tp: span.epoch for tp, span in batch.spans.items()})

    async def close(self) -> None:
        await self._sink.close()


async def race(models: ReadModels, log: Log, seed: int, *, window_max: int = 12) -> None:
    """Deal the partitions out to two workers, which apply their parts of one stretch of the log at the same time."""
    rng = random.Random(seed)
    partitions = sorted({partition_of(record) for record in log})
    of_one = set(rng.sample(partitions, len(partitions) // 2))
    one, other = Worker(models), Worker(models)
    models.clear()
    await one.claim(of_one)
    await other.claim(set(partitions) - of_one)
    start = 0
    async with asyncio.timeout(RACE_TIMEOUT_S):
        while start < len(log):
            window = log[start : start + rng.randint(2, window_max)]
            start += len(window)
            mine = [record for record in window if partition_of(record) in of_one]
            others = [record for record in window if partition_of(record) not in of_one]
            await asyncio.gather(one.apply(mine), other.apply(others))
    await one.close()
    await other.close()
    assert one.lost | other.lost == set()


def many_times(story: Sequence[CloudEvent], models: ReadModels, seed: int) -> Log:
    """A log in which many worlds live through the story, each in an order of its own, few of them at a time."""
    rng = random.Random(seed)
    left = [[in_world(event, world) for event in rng.sample(story, len(story))] for world in range(WORLDS)]
    events = []
    while left:
        events.append(rng.choice(left[:MIXED]).pop())
        left = [world for world in left if world]
    return log_of(events, models.settings, partitions=PARTITIONS)


@pytest.mark.parametrize("seed", range(SEEDS // 2))
async def test_random_events_on_two_workers_equal_the_log(models: ReadModels, seed: int):
    rng = random.Random(seed)
    events = chaos(1_000 + seed, 300)
    log = log_of(rng.sample(events, len(events)), models.settings, partitions=PARTITIONS)

    await race(models, log, seed, window_max=rng.choice([4, 12, 60]))

    assert models.differences(log) == {}


def scattered(log: Log, rng: random.Random) -> Log:
    """The records in any partition of their topic, as after another partitioner, or before partitions were added."""
    offsets: dict[tuple[str, int], int] = {}
    found = []
    for record in log:
        partition = rng.randrange(PARTITIONS)
        offset = offsets.get((record.topic, partition), 0)
        offsets[record.topic, partition] = offset + 1
        is_astray = partition != record.partition
        found.append(record._replace(partition=partition, offset=offset, is_astray=is_astray))
    return found


@pytest.mark.parametrize("seed", range(SEEDS // 4))
async def test_a_key_in_two_partitions_loses_no_update(models: ReadModels, given: Given, seed: int):
    rng = random.Random(seed)
    events = [
        *(given.channel("c1", "updated", seq=n, name=f"name {n}") for n in range(9)),
        *(given.read(f"m{n}", f"12:{n + 10}", "bo", seq=n) for n in range(9)),
        *(given.joined("bo", seq=n, time=f"12:{n + 10}") for n in range(9)),
        given.posted("m1"),
        *(given.reacted("👍", "m1", user) for user in ("bo", "cy", "di")),
        *(given.edited(f"text {n}", seq=20 + n) for n in range(9)),
    ]
    log = scattered(log_of([in_world(event, 0) for event in rng.sample(events, len(events))], models.settings), rng)

    await race(models, log, seed, window_max=20)

    assert models.differences(log) == {}


def erasure(given: Given) -> list[CloudEvent]:
    return [
        given.user("bo"),
        given.hired("bo", time="12:01"),
        given.channel("c1", time="11:00"),
        given.channel("c2", time="11:00"),
        given.joined("bo", "c1", time="12:02"),
        given.posted("m1", user_id="bo"),
        given.posted("m2", user_id="ana", channel_id="c2"),
        given.posted("m3", user_id="bo", channel_id="c2", thread_id="m2"),
        given.reacted(user_id="bo", message_id="m2", channel_id="c2"),
        given.about("pinned", "m1", seq=90),
        given.uploaded("f1", uploader_id="bo"),
        given.shared("f1", "m2", channel_id="c2"),
        given.erased("bo", time="12:30"),
    ]


def removal(given: Given) -> list[CloudEvent]:
    return [
        given.workspace(),
        given.hired("bo", seq=1, time="12:01"),
        *(given.channel(f"c{n}") for n in range(4)),
        *(given.joined("bo", f"c{n}", time="12:02") for n in range(4)),
        *(given.joined("cy", f"c{n}", time="12:02") for n in range(4)),
        given.removed("bo", seq=2, time="12:30"),
    ]


def sharing(given: Given) -> list[CloudEvent]:
    return [
        given.posted("m1"),
        given.posted("m2", channel_id="c2"),
        given.uploaded("f1"),
        given.uploaded("f2"),
        given.shared("f1", "m1"),
        given.shared("f2", "m2", channel_id="c2"),
        given.shared("f1", "m2", channel_id="c2"),
        given.file("deleted", "f2"),
    ]


def generals(given: Given) -> list[CloudEvent]:
    return [
        *(given.channel(f"c{n}", seq=n, is_general=True) for n in range(1, 6)),
        given.channel("c5", "updated", seq=9, is_general=False),
        given.channel("c4", "deleted", seq=10),
    ]


def ending(given: Given) -> list[CloudEvent]:
    return [
        given.workspace(),
        given.workspace_deleted(time="12:30"),
        *(given.channel(f"c{n}") for n in range(3)),
        *(given.hired(user) for user in ("bo", "cy")),
        *(given.joined(user, f"c{n}") for user in ("bo", "cy") for n in range(3)),
    ]


def being_there(given: Given) -> list[CloudEvent]:
    return [
        given.hired("bo", time="12:00"),
        given.activity("bo", time="12:10"),
        given.started("s1", "bo", time="12:05"),
        given.ended("s1", "bo", time="12:20"),
        *(given.posted(f"m{n}", user_id="bo", channel_id=f"c{n}", time="12:15") for n in range(4)),
        given.uploaded("f1", uploader_id="bo", time="12:16"),
    ]


@pytest.mark.parametrize("story", [erasure, removal, sharing, generals, ending, being_there], ids=lambda s: s.__name__)
async def test_a_race_ends_the_same_in_every_world(models: ReadModels, given: Given, story: Story):
    events = story(given)
    log = many_times(events, models, seed=7)

    await race(models, log, seed=7)

    assert models.differences(log) == {}
    worlds = models.worlds()
    assert len(worlds) == WORLDS
    assert all(tables.all == worlds[0].all for tables in worlds.values())
    assert worlds[0].parked() == set()


@pytest.mark.parametrize("seed", range(6))
async def test_26_two_users_react_at_once_and_two_workers_both_believe_in_their_claim(
    models: ReadModels, given: Given, seed: int
):
    """The one that lost the partition applies nothing, whoever comes first; claimed again it finds the rest."""
    both = [given.reacted("👍", "m1", "bo"), given.reacted("👍", "m1", "cy"), given.reacted("🎉", "m1", "bo")]
    log = log_of(map(in_world, [given.posted("m1"), *both]), models.settings)
    (partition,) = {partition_of(record) for record in log}
    models.clear()
    old, new = Worker(models), Worker(models)
    await old.claim({partition})
    await old.apply(log[:1])
    await new.claim({partition})
    attempts = [old.apply(log[1:2]), new.apply(log[1:3])]
    await asyncio.gather(*(attempts if seed % 2 else attempts[::-1]))
    assert (old.lost, new.lost) == ({partition}, set())
    await old.claim({partition})
    await asyncio.gather(new.apply(log[3:]), old.apply(log[3:]))
    await asyncio.gather(old.close(), new.close())

    assert new.lost == {partition}
    assert models.worlds()[0].message("m1")["reactions"] == {"👍": ["bo", "cy"], "🎉": ["bo"]}
    assert models.differences(log) == {}


async def test_all_of_one_workspaces_channels_count_into_its_day_at_once(models: ReadModels, given: Given):
    events = [given.posted(f"m{n}", channel_id=f"c{n % 8}", user_id=f"u{n % 20}", time="12:00") for n in range(400)]
    log = log_of(map(in_world, events), models.settings, partitions=PARTITIONS)

    await race(models, log, seed=1, window_max=40)

    (tables,) = models.worlds().values()
    assert tables.counts("daily_active_users", "w1", at("12:00").date()) == (20, 400, 0, 0)
