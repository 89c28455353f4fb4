"""What jobs do where there is much of everything; limits are lowered to meet them with little."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from contract_events import Given, id_of
from following import Story
from searched import Searched

from tailrace.consumers.search import indices, moving
from tailrace.consumers.search import reading as search_reading
from tailrace.consumers.search.beside import Beside, make_tools, perform
from tailrace.consumers.search.bulk import OutageError
from tailrace.consumers.search.indices import Indices
from tailrace.consumers.search.jobs import LEASE_S, LostLeaseError, Tools, claim
from tailrace.consumers.search.layouts import Layouts
from tailrace.consumers.search.reading import Database
from tailrace.consumers.search.walks import Position, next_page
from tailrace.operations.indices import overview
from tailrace.projections.documents import shared_number

W1 = id_of("w1")
HOME = f"messages_shared_{shared_number(W1)}"
OWN = f"messages_workspace_{W1}"
LIMITS = {"inline_max": 10, "own_index_members": 3, "own_index_members_low": 2}


@pytest.fixture
def story(searched: Searched) -> Story:
    searched.begin(**LIMITS)
    return Story(searched)


@pytest.fixture
async def tools(story: Story) -> AsyncIterator[Tools]:
    """As a worker's jobs have them."""
    settings = story.searched.settings
    client, database = story.searched.client(), Database(story.searched.models.dsn, settings.postgres, "tests")
    yield make_tools(client, database, settings.elasticsearch)
    await database.close()
    await client.close()


def founding(given: Given, messages: int) -> list[Any]:
    events = [given.workspace(), given.user(), given.hired(), given.channel(), given.joined()]
    return events + [given.posted(f"m{n}", f"text {n}") for n in range(messages)]


def growing(given: Given) -> list[Any]:
    return [given.hired(user) for user in ("bo", "cy", "di")]


def archive_everything(story: Story) -> None:
    """What retention does, and what is done with a text that is too long for the tables' index."""
    execute = story.searched.models.execute
    execute("SELECT runtime.ensure_month('collab.messages_archive', '2026-11-01')")
    execute(
        "WITH moved AS (DELETE FROM collab.messages RETURNING *)"
        " INSERT INTO collab.messages_archive SELECT * FROM moved"
    )


async def values(story: Story, field: str) -> set[str]:
    return {source[field] for source in (await story.searched.sources()).values()}


async def versions(story: Story) -> dict[str, int]:
    """External version of each message that was posted in `founding`."""
    async with story.searched.client() as client:
        ids = [id_of(f"m{n}") for n in range(30)]
        return await Indices(client, story.searched.settings.elasticsearch).versions(
            f"{story.searched.prefix}{HOME}", ids
        )


async def until_somebody_waits(story: Story) -> None:
    waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not story.searched.models.execute(waiting):  # noqa: ASYNC110 - a server tells nobody
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("messages", [8, 30])
async def test_archived_messages_follow_a_name(story: Story, given: Given, messages: int):
    await story.tell(*founding(given, messages))
    archive_everything(story)

    await story.tell(given.user(kind="updated", username="anna"))
    await story.tell(given.channel(kind="updated", name="money"))

    assert await values(story, "username") == {"anna"}
    assert await values(story, "channel_name") == {"money"}


async def test_archived_messages_move_with_their_workspace(story: Story, given: Given):
    await story.tell(*founding(given, 30))
    archive_everything(story)

    await story.tell(*growing(given))

    assert OWN in await story.searched.indices()
    assert len(await story.searched.sources()) == 30


@pytest.mark.parametrize("messages", [8, 30])
async def test_what_messages_do_not_show_writes_none_of_them(story: Story, given: Given, messages: int):
    await story.tell(*founding(given, messages))
    before = await versions(story)

    for event in (
        given.user(kind="updated", title="Chief"),
        given.channel(kind="updated", topic="Review on Monday"),
        given.channel(kind="updated", topic="Review on Monday", channel_type="private"),
    ):
        await story.tell(event, jobs=False)

    assert await story.searched.jobs() == 0
    assert await versions(story) == before
    assert story.differences() == {}


async def test_a_name_is_spread_although_later_changes_of_the_profile_were_applied_before(story: Story, given: Given):
    await story.tell(*founding(given, 30))
    renamed = story.more(given.user(kind="updated", username="anna"))
    retitled = story.more(given.user(kind="updated", username="anna", title="Chief"))
    await story.searched.models.apply([renamed])
    await story.searched.models.apply([retitled])

    await story.follow(renamed)
    await story.follow(retitled)
    await story.searched.jobs()

    assert await values(story, "username") == {"anna"}
    assert story.differences() == {}


async def test_new_members_are_no_jobs_however_many_come_at_once(story: Story, given: Given):
    users = [f"u{n}" for n in range(30)]

    await story.tell(given.workspace(), *map(given.user, users), *map(given.hired, users), jobs=False)

    waiting = [job for job in (await overview(story.searched.settings)).jobs if job["kind"] == "user"]
    assert waiting == []
    assert len(await story.searched.sources("users")) == 30


async def test_of_many_renamed_at_once_not_every_message_is_looked_at(
    story: Story, given: Given, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(search_reading, "SUBJECTS_AT_ONCE", 1)
    monkeypatch.setattr(search_reading, "READS", 1)
    users = [f"u{n}" for n in range(9)]
    await story.tell(given.workspace(), given.channel(), *map(given.user, users))
    await story.tell(*(given.posted(f"m{user}{n}", user_id=user) for user in users for n in range(3)))

    await story.tell(*(given.user(user, "updated", username=f"new-{user}") for user in users), jobs=False)

    assert await story.searched.jobs() == 5
    assert await values(story, "username") == {f"new-{user}" for user in users}


async def test_small_channels_of_a_workspace_share_pages(story: Story, given: Given, tools: Tools):
    channels = [f"c{n}" for n in range(40)]
    await story.tell(*founding(given, 0), *(given.channel(one) for one in channels))
    await story.tell(*(given.posted(f"m-{one}", channel_id=one) for one in channels))
    await story.tell(*growing(given), jobs=False)
    pages: list[int] = []
    tools.watch = lambda _job, documents: pages.append(documents)

    job = await claim(tools, "tests")
    assert job is not None
    await perform(tools, job, story.searched.settings.elasticsearch)

    assert pages == [40]
    assert story.differences() == {}


async def test_the_planner_may_sort_only_where_no_index_has_the_order(
    story: Story, given: Given, tools: Tools, monkeypatch: pytest.MonkeyPatch
):
    # It sorts all that is left of a channel for each page of it where it expects a page to be all.
    await story.tell(*founding(given, 3), given.uploaded())
    fetch, may_sort = tools.database.fetch, {}

    async def look_and_fetch(name: str, *arguments: Any) -> Any:
        connection = await tools.database.connection()
        may_sort[name] = await connection.fetchval("SHOW enable_sort")
        return await fetch(name, *arguments)

    monkeypatch.setattr(tools.database, "fetch", look_and_fetch)
    for walk, subject in (("user", "ana"), ("move", "w1")):
        async with tools.database.snapshot():
            await next_page(tools.database, walk, id_of(subject), Position(), 10)

    along = {"messages_of_user_page", "messages_of_channel_page", "workspace_of_user_next", "channel_of_workspace_next"}
    assert {may_sort[name] for name in along} == {"off"}
    assert {may_sort[name] for name in ("files_of_user_page", "message_documents", "file_documents")} == {"on"}


async def test_a_slow_job_keeps_its_lease(story: Story, given: Given, tools: Tools):
    await story.tell(*founding(given, 30))
    await story.tell(given.user(kind="updated", username="anna"), jobs=False)
    pages: list[int] = []
    tools.watch = lambda _job, documents: pages.append(documents)
    tools.documents_per_s = 2
    job = await claim(tools, "tests")
    assert job is not None

    working = asyncio.create_task(perform(tools, job, story.searched.settings.elasticsearch))
    while not pages:  # noqa: ASYNC110 - a job tells nobody else
        await asyncio.sleep(0.01)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)

    assert pages[0] / tools.documents_per_s < LEASE_S / 2


async def test_a_worker_that_stops_gives_its_job_back(story: Story, given: Given, tools: Tools):
    await story.tell(*founding(given, 30))
    await story.tell(given.user(kind="updated", username="anna"), jobs=False)
    begun, stopping = asyncio.Event(), asyncio.Event()
    tools.watch = lambda _job, _documents: begun.set()
    tools.documents_per_s = 2
    elasticsearch = story.searched.settings.elasticsearch

    working = asyncio.create_task(Beside(tools, story.searched.client(), elasticsearch, "tests").run(stopping))
    await begun.wait()
    stopping.set()
    await working

    assert await story.searched.jobs() == 1
    assert await values(story, "username") == {"anna"}


async def test_a_name_changed_twice_before_its_job_begins_is_spread_once(story: Story, given: Given):
    await story.tell(*founding(given, 30))

    await story.tell(given.user(kind="updated", username="anna"), jobs=False)
    await story.tell(given.user(kind="updated", username="ann"), jobs=False)

    assert await story.searched.jobs() == 1
    assert await values(story, "username") == {"ann"}


async def test_a_job_says_how_far_it_is_also_when_it_begins_anew(story: Story, given: Given, tools: Tools):
    await story.tell(*founding(given, 30))
    await story.tell(given.user(kind="updated", username="anna"), jobs=False)
    job = await claim(tools, "tests")
    assert job is not None
    shown = (await overview(story.searched.settings)).jobs[0]
    assert (shown["documents"], shown["documents_estimate"]) == (0, 31)

    await story.tell(given.user(kind="updated", username="ann"), jobs=False)
    assert not await perform(tools, job, story.searched.settings.elasticsearch)

    shown = (await overview(story.searched.settings)).jobs[0]
    assert (shown["state"], shown["documents"], shown["documents_estimate"]) == ("waiting", 0, None)


async def test_whoever_waited_to_make_indices_shows_no_earlier_layout(story: Story, given: Given, tools: Tools):
    await story.tell(*founding(given, 3))
    settings = story.searched.settings
    slow = Layouts(
        Database(story.searched.models.dsn, settings.postgres, "slow"), tools.indices, settings.elasticsearch
    )
    with psycopg.connect(story.searched.models.dsn) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('tailrace.search_indices', 0))")
        waiting = asyncio.create_task(slow.current())
        await until_somebody_waits(story)
        holder.execute("INSERT INTO runtime.search_routes (workspace_id, route) VALUES (%s, 'own')", (W1,))
        holder.execute("UPDATE runtime.search_state SET layout_epoch = layout_epoch + 1")
    await waiting
    await slow.close()

    assert (await story.searched.indices())[OWN] != {}


async def test_what_one_place_shows_already_the_other_shows_from_the_switch_on(
    searched: Searched, given: Given, monkeypatch: pytest.MonkeyPatch
):
    searched.begin(**LIMITS, refresh_interval_s=300)
    story = Story(searched)
    await story.tell(*founding(given, 5))
    await story.tell(*growing(given), jobs=False)
    count, is_posted = Indices.count, False

    async def count_and_go_on(self: Indices, *arguments: Any) -> int:
        nonlocal is_posted
        found = await count(self, *arguments)
        if OWN in str(arguments[0]) and not is_posted:
            is_posted = True
            await story.tell(given.posted("late", "while it moves"), jobs=False)
            async with searched.client() as client:
                await client.indices.refresh(index=f"{searched.prefix}{HOME}")
        return found

    monkeypatch.setattr(Indices, "count", count_and_go_on)
    await searched.jobs()

    async with searched.client() as client:
        answer = await client.search(index=f"{searched.prefix}messages")
        settings = await client.indices.get_settings(index=f"{searched.prefix}{HOME}", flat_settings=True)
    assert id_of("late") in {hit["_id"] for hit in answer["hits"]["hits"]}
    assert settings[f"{searched.prefix}{HOME}"]["settings"]["index.refresh_interval"] == "300s"


async def test_a_workspace_that_is_to_go_back_while_it_moves_is_counted_anew(
    story: Story, given: Given, monkeypatch: pytest.MonkeyPatch
):
    await story.tell(*founding(given, 30))
    await story.tell(*growing(given), jobs=False)
    count, is_told = Indices.count, False

    async def count_and_shrink(self: Indices, *arguments: Any) -> int:
        nonlocal is_told
        if not is_told:
            is_told = True
            await story.tell(*(given.removed(user) for user in ("bo", "cy", "di")), jobs=False)
        return await count(self, *arguments)

    monkeypatch.setattr(Indices, "count", count_and_shrink)
    await story.searched.jobs()

    moved = "SELECT documents, documents_estimate AS estimate FROM runtime.search_jobs WHERE kind = 'move'"
    assert story.searched.models.execute(moved) == [{"documents": 30, "estimate": 30}]
    assert OWN not in await story.searched.indices()
    assert story.differences() == {}


async def test_nobody_takes_copies_away_for_a_job_that_is_another_workers(
    story: Story, given: Given, tools: Tools, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(indices, "PURGE_PAGE", 5)
    await story.tell(*founding(given, 30))
    await story.tell(*growing(given), jobs=False)
    job = await claim(tools, "tests")
    assert job is not None
    delete = Indices._delete  # noqa: SLF001 - the moment between two pages

    async def lose(self: Indices, *arguments: Any) -> int:
        story.searched.models.execute("UPDATE runtime.search_jobs SET owner = 'another' WHERE kind = 'move'")
        return await delete(self, *arguments)

    monkeypatch.setattr(Indices, "_delete", lose)
    with pytest.raises(LostLeaseError):
        await moving.move(tools, job, story.searched.settings.elasticsearch)

    async with story.searched.client() as client:
        index = f"{story.searched.prefix}{HOME}"
        await client.indices.refresh(index=index)
        left = await client.count(index=index, query={"term": {"workspace_id": W1}})
    assert left["count"] == 25


async def test_copies_that_cannot_be_deleted_are_not_asked_for_for_ever(story: Story, given: Given, tools: Tools):
    await story.tell(*founding(given, 3))
    index = f"{story.searched.prefix}{HOME}"
    async with story.searched.client() as client:
        await client.indices.put_settings(index=index, settings={"index.blocks.write": True})

    with pytest.raises(OutageError):
        async for _ in tools.indices.purge(index, W1):
            pass
