"""Nobody finds what they must not see, from the moment on at which they must not."""

from collections.abc import AsyncIterator

import pytest
from contract_events import Given, id_of, named
from following import Story
from searched import Searched

from tailrace.errors import NotFoundError
from tailrace.search import Kind, Options, SearchClient, Searcher, Sort


@pytest.fixture
def story(searched: Searched) -> Story:
    searched.begin()
    return Story(searched)


@pytest.fixture
async def client(story: Story) -> AsyncIterator[SearchClient]:
    async with await SearchClient.connect(story.searched.settings) as connected:
        yield connected


class Finder:
    """Searches as somebody, by names."""

    def __init__(self, client: SearchClient, story: Story) -> None:
        self.client = client
        self.story = story

    async def __call__(self, user: str, query: str = "report", **options: object) -> set[str]:
        for alias in ("messages", "files", "users"):
            await self.story.searched.sources(alias)
        searcher = Searcher(id_of("w1"), id_of(user))
        page = await self.client.search(query, searcher, Options(**options))  # type: ignore[arg-type]  # by name
        return {named(hit.id) if ":" not in hit.id else named(hit.source["user_id"]) for hit in page.hits}


@pytest.fixture
async def find(client: SearchClient, story: Story, given: Given) -> Finder:
    await story.tell(
        given.workspace(), given.user("ana"), given.user("bo"), given.user("gus"), given.user("out"),
        given.hired("ana"), given.hired("bo"), given.hired("gus", role="guest"),
        given.channel("open"), given.channel("closed", channel_type="private"), given.channel("dm", channel_type="dm"),
        given.joined("ana", "closed"), given.joined("ana", "dm"), given.joined("gus", "dm"),
        given.posted("m1", "the quarterly report", channel_id="open"),
        given.posted("m2", "a secret report", channel_id="closed", user_id="bo"),
        given.posted("m3", "report to a guest", channel_id="dm", thread_id="m1"),
        given.uploaded("f1", filename="q3_report-final.pdf"), given.shared("f1", "m2", channel_id="closed"),
    )  # fmt: skip
    return Finder(client, story)


async def test_public_channels_for_members_others_for_who_is_in_them(find: Finder):
    assert await find("ana") == {"m1", "m2", "m3"}
    assert await find("bo") == {"m1"}
    assert await find("gus") == {"m3"}
    assert await find("out") == set()
    assert await find("nobody") == set()


async def test_files_where_they_are_shared_and_for_who_uploaded_them(find: Finder):
    assert await find("ana", kind=Kind.FILES) == {"f1"}
    assert await find("bo", kind=Kind.FILES) == set()
    assert await find("ana", "final type:pdf", kind=Kind.FILES) == {"f1"}


async def test_a_file_that_is_shared_no_more_is_found_by_nobody_else_at_once(find: Finder, given: Given):
    await find.story.tell(given.joined("bo", "closed"))
    ends = given.shared("f1", "m2", "unshared", channel_id="closed"), given.about("deleted", "m2", channel_id="closed")
    again = given.shared("f1", "m2", channel_id="closed")
    assert await find("bo", kind=Kind.FILES) == {"f1"}

    await find.story.searched.models.apply([find.story.more(ends[0])])
    assert await find("bo", kind=Kind.FILES) == set()
    assert await find("ana", kind=Kind.FILES) == {"f1"}

    await find.story.searched.models.apply([find.story.more(again)])
    assert await find("bo", kind=Kind.FILES) == {"f1"}
    await find.story.searched.models.apply([find.story.more(ends[1])])
    assert await find("bo", kind=Kind.FILES) == set()


async def test_people_by_the_beginning_of_a_name_and_for_guests_only_those_they_know(find: Finder):
    assert await find("ana", "b", kind=Kind.PEOPLE) == {"bo"}
    assert await find("gus", "b", kind=Kind.PEOPLE) == set()
    assert await find("gus", "an", kind=Kind.PEOPLE) == {"ana"}


async def test_a_deleted_channel_acquaints_nobody(find: Finder, given: Given):
    await find.story.searched.models.apply([find.story.more(given.channel("dm", "deleted"))])

    assert await find("gus", "an", kind=Kind.PEOPLE) == set()
    assert await find("gus") == set()


async def test_36_a_change_of_privacy_holds_at_once(find: Finder, given: Given):
    private = given.channel("open", "updated", channel_type="private")
    public = given.channel("closed", "updated", channel_type="public")

    await find.story.searched.models.apply([find.story.more(private, public)])

    assert await find("bo") == {"m2"}
    assert await find("ana") == {"m2", "m3"}


async def test_32_who_was_removed_finds_nothing_and_who_left_a_channel_nothing_of_it(find: Finder, given: Given):
    await find.story.searched.models.apply([find.story.more(given.left("ana", "closed"), given.removed("bo"))])

    assert await find("ana") == {"m1", "m3"}
    assert await find("bo") == set()


async def test_what_was_deleted_a_moment_ago_is_not_shown(find: Finder, given: Given):
    await find.story.searched.models.apply([find.story.more(given.about("deleted", "m1", channel_id="open"))])

    assert await find("ana") == {"m2", "m3"}


async def test_filters(find: Finder):
    assert await find("ana", "report from:@bo") == {"m2"}
    assert await find("ana", "report -from:bo in:#open") == {"m1"}
    assert await find("ana", '"quarterly report"') == {"m1"}
    assert await find("ana", "quart*") == {"m1"}
    assert await find("ana", "is:thread") == {"m3"}
    assert await find("ana", "has:file") == {"m2"}
    assert await find("ana", "report before:2026-11-20") == set()
    assert await find("ana", "report on:2026-11-20 from:me") == {"m1", "m3"}


async def test_a_channel_one_cannot_see_is_no_channel(find: Finder):
    with pytest.raises(NotFoundError, match="no channel closed that you can see"):
        await find("bo", "in:#closed")


async def test_pages_hold_every_hit_once(find: Finder):
    await find("ana")
    searcher, seen, after = Searcher(id_of("w1"), id_of("ana")), [], None
    for sort in (Sort.TIME, Sort.RELEVANCE):
        seen.clear()
        while True:
            page = await find.client.search("report", searcher, Options(sort=sort, size=1, after=after))
            seen += [named(hit.id) for hit in page.hits]
            after = page.next
            if after is None:
                break
        assert sorted(seen) == ["m1", "m2", "m3"]


async def test_what_was_found_is_marked(find: Finder):
    await find("ana")
    page = await find.client.search("quarterly", Searcher(id_of("w1"), id_of("ana")))

    (span,) = page.hits[0].highlights
    assert [span.text[start:end] for start, end in span.matches] == ["quarterly"]
