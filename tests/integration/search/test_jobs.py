"""Renames, moves and rebuilds, beside live indexing."""

import asyncio
from typing import Any

import pytest
from contract_events import Given, id_of
from following import Story
from read_models import Reader, partition_of
from searched import Searched

from tailrace.consumers.batch import Batch
from tailrace.consumers.search.beside import make_tools, perform
from tailrace.consumers.search.jobs import claim
from tailrace.consumers.search.reading import Database
from tailrace.operations import indices
from tailrace.projections.documents import shared_number

W1 = id_of("w1")
HOME = f"messages_shared_{shared_number(W1)}"
OWN = f"messages_workspace_{W1}"


@pytest.fixture
def story(searched: Searched) -> Story:
    searched.begin(inline_max=10, own_index_members=3, own_index_members_low=2)
    return Story(searched)


def founding(given: Given, messages: int) -> list[Any]:
    events = [given.workspace(), given.user(), given.hired(), given.channel(), given.joined()]
    return events + [given.posted(f"m{n}", f"text {n}") for n in range(messages)]


async def names(story: Story, field: str = "username") -> set[str]:
    return {source[field] for source in (await story.searched.sources()).values()}


async def test_a_name_that_many_documents_hold_is_spread_by_a_job(story: Story, given: Given):
    await story.tell(*founding(given, 30))

    await story.tell(given.user(kind="updated", username="anna", display_name="Anna"), jobs=False)
    assert await names(story) == {"ana"}
    await story.tell(given.posted("late", "written with the new name"), jobs=False)
    assert await names(story) == {"ana", "anna"}
    assert await story.searched.jobs() == 1

    assert await names(story) == {"anna"}
    assert story.differences() == {}


async def test_a_name_that_changes_back_while_it_is_spread_ends_right(story: Story, given: Given):
    await story.tell(*founding(given, 30))
    await story.tell(given.user(kind="updated", username="anna", display_name="Anna"), jobs=False)
    settings = story.searched.settings
    client, database = story.searched.client(), Database(story.searched.models.dsn, settings.postgres, "tests")
    renamed = asyncio.Event()
    tools = make_tools(client, database, settings.elasticsearch, lambda *_: renamed.set())

    job = await claim(tools, "tests")
    assert job is not None
    spreading = asyncio.create_task(perform(tools, job, settings.elasticsearch))
    await renamed.wait()
    await story.tell(given.user(kind="updated"), jobs=False)
    await spreading
    await database.close()
    await client.close()
    await story.searched.jobs()

    assert await names(story) == {"ana"}
    assert story.differences() == {}


async def test_a_channels_new_name_reaches_its_old_messages(story: Story, given: Given):
    await story.tell(*founding(given, 30))

    await story.tell(given.channel(kind="updated", name="money"))

    assert await names(story, "channel_name") == {"money"}
    assert story.differences() == {}


async def test_a_deleted_workspace_leaves_its_neighbour_in_the_shared_index_alone(story: Story, given: Given):
    neighbour = [
        given.workspace("w2"), given.channel("c2", workspace_id="w2"),
        given.posted("other", "stays", channel_id="c2", workspace_id="w2"),
    ]  # fmt: skip
    await story.tell(*founding(given, 15), *neighbour)

    await story.tell(given.workspace_deleted(), given.posted("late", "after the end"))

    assert set(await story.searched.sources()) == {id_of("other")}
    assert await story.searched.sources("users") == {}
    assert story.differences() == {}


async def test_a_workspace_that_grows_moves_to_its_own_index_and_back(story: Story, given: Given):
    await story.tell(*founding(given, 15))
    assert HOME in await story.searched.indices()

    await story.tell(*(given.hired(user) for user in ("bo", "cy", "di")))
    assert OWN in await story.searched.indices()
    assert {hit["_index"] for hit in await hits(story)} == {f"{story.searched.prefix}{OWN}"}
    assert story.differences() == {}

    await story.tell(given.removed("di"), given.removed("cy"))
    await story.tell(given.posted("between", "between the limits it stays"))
    assert OWN in await story.searched.indices()

    await story.tell(given.removed("bo"))
    assert OWN not in await story.searched.indices()
    assert {hit["_index"] for hit in await hits(story)} == {f"{story.searched.prefix}{HOME}"}
    assert story.differences() == {}


async def hits(story: Story) -> list[Any]:
    async with story.searched.client() as client:
        await client.indices.refresh(index=f"{story.searched.prefix}messages")
        answer = await client.search(index=f"{story.searched.prefix}messages", size=1_000)
        return list(answer["hits"]["hits"])


async def test_while_a_workspace_moves_every_message_is_found_exactly_once(story: Story, given: Given):
    await story.tell(*founding(given, 40))
    stop, seen = asyncio.Event(), []

    async def look() -> None:
        async with story.searched.client() as client:
            while not stop.is_set():
                answer = await client.search(index=f"{story.searched.prefix}messages", size=1_000)
                seen.append(sorted(hit["_id"] for hit in answer["hits"]["hits"]))

    await hits(story)
    looking = asyncio.create_task(look())
    await story.tell(*(given.hired(user) for user in ("bo", "cy", "di")))
    stop.set()
    await looking

    everything = sorted(id_of(f"m{n}") for n in range(40))
    assert len(seen) > 5
    assert all(found == everything for found in seen)


async def test_a_high_volume_workspace_has_an_index_a_month(story: Story, given: Given):
    await story.tell(*founding(given, 3), given.posted("old", created_at="2026-09-03T10:00:00Z"))

    await indices.mark_high_volume(story.searched.settings, W1, is_high_volume=True)
    await story.searched.jobs()
    await story.tell(given.posted("older", created_at="2026-08-03T10:00:00Z"))

    monthly = {f"messages_{W1}_2026_{month}" for month in ("08", "09", "11")}
    assert monthly <= set(await story.searched.indices())
    assert story.differences() == {}


async def test_a_rebuild_beside_live_writes_switches_and_goes_back(story: Story, given: Given):
    await story.tell(*founding(given, 30))
    before = await story.searched.sources()
    settings = story.searched.settings

    built = await indices.rebuild(settings, "messages")
    assert (built.generation, built.compared, built.mended) == (2, 30, 0)
    await story.tell(given.posted("late", "written to both"), given.about("deleted", "m0"))
    assert await indices.switch(settings, "messages") == 2

    live = {
        index for index, aliases in (await story.searched.indices()).items() if aliases and index.startswith("mess")
    }
    assert live == {f"messages_shared_{n}_v2" for n in range(10)}
    after = await story.searched.sources()
    assert {key: value for key, value in after.items() if key in before} == {
        key: value for key, value in before.items() if key != id_of("m0")
    }
    assert story.differences() == {}

    await story.tell(given.edited("edited after the switch"))
    assert await indices.roll_back(settings, "messages") == 1
    assert story.differences() == {}

    await indices.roll_back(settings, "messages")
    assert await indices.drop(settings, "messages") == [1]
    assert story.differences() == {}
    async with story.searched.client() as client:
        assert (await client.get(index=f"{story.searched.prefix}{HOME}", id=id_of("m1")))["found"]


async def test_lost_indices_are_filled_again(story: Story, given: Given):
    await story.tell(*founding(given, 5))
    async with story.searched.client() as client:
        for index in await story.searched.indices():
            await client.indices.delete(index=f"{story.searched.prefix}{index}")

    await story.tell(given.posted("late", "comes after the loss"))

    assert story.differences() == {}


async def test_two_workers_that_begin_together_take_no_index_for_lost(story: Story):
    sinks = [story.searched.sink() for _ in range(2)]

    await asyncio.gather(*(sink.apply(Batch()) for sink in sinks))
    for sink in sinks:
        await sink.close()

    assert HOME in await story.searched.indices()
    assert await story.searched.jobs() == 0


async def test_an_index_that_is_lost_in_the_middle_of_a_batch_is_filled_again(
    story: Story, given: Given, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tailrace.consumers.search.prefetching.PART_DOCUMENTS", 2)
    await story.tell(*founding(given, 10))
    new = story.more(*(given.posted(f"n{n}", f"new {n}") for n in range(20)))
    await story.searched.models.apply([new])
    sink = story.searched.sink()
    reader = Reader(story.searched.models, sink)
    await reader.claim({partition_of(record) for record in new})
    try:
        await sink.apply(reader.batch(new[:1]))
        async with story.searched.client() as client:
            await client.indices.delete(index=f"{story.searched.prefix}{HOME}")
        await sink.apply(reader.batch(new[1:]))
    finally:
        await sink.close()

    assert await story.searched.jobs() == 1
    assert len(await story.searched.sources()) == 30
    assert story.differences() == {}
