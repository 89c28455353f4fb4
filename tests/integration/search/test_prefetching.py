"""Documents of the next batch are read while those of this one are written."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from contract_events import CloudEvent, Given, id_of
from following import Story
from read_models import Reader, partition_of
from searched import Searched

from tailrace.consumers.applying import split
from tailrace.consumers.batch import Batch
from tailrace.consumers.search.bulk import OutageError, Rejection
from tailrace.consumers.search.layout import Write
from tailrace.consumers.search.reading import Database
from tailrace.consumers.search.sink import SearchSink

PATIENCE_S = 20


@pytest.fixture(autouse=True)
def every_batch_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.consumers.search.prefetching.SMALL_BATCH_EVENTS", 1)


@pytest.fixture
async def story(searched: Searched, given: Given) -> Story:
    searched.begin()
    story = Story(searched)
    await story.tell(given.workspace(), given.user(), given.hired(), given.channel(), given.joined())
    return story


class Told:
    """A sink whose batches are told one behind the other. `sent` are the ids of each request."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.sink: SearchSink = story.searched.sink()
        self.sent: list[list[str]] = []
        self.before_writing: Callable[[], Any] | None = None
        self._reader = Reader(story.searched.models, self.sink)
        self._send = self.sink.writer.send
        self.sink.writer.send = self._recorded  # type: ignore[method-assign]  # to look on

    async def _recorded(self, writes: Sequence[Write]) -> list[Rejection]:
        self.sent.append([write.id for write in writes])
        if self.before_writing is not None:
            await self.before_writing()
        return await self._send(writes)

    async def batch(self, *events: CloudEvent) -> Batch:
        """A batch of new events, which PostgreSQL has applied."""
        new = self.story.more(*events)
        await self.story.searched.models.apply([new])
        await self._reader.claim({partition_of(record) for record in new} - set(self._reader.positions))
        return self._reader.batch(new)


@pytest.fixture
async def told(story: Story) -> AsyncIterator[Told]:
    told = Told(story)
    yield told
    await told.sink.close()


async def is_read(calls: list[str], count: int) -> None:
    """Wait until documents were asked for so many times."""
    async with asyncio.timeout(PATIENCE_S):
        while calls.count("message_documents") < count:  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the statements that were answered."""
    found: list[str] = []
    fetch = Database.fetch

    async def recorded(database: Database, name: str, *arguments: Any) -> Any:
        rows = await fetch(database, name, *arguments)
        found.append(name)
        return rows

    monkeypatch.setattr(Database, "fetch", recorded)
    return found


async def test_the_next_batch_is_read_while_this_one_is_written(told: Told, calls: list[str], given: Given):
    first = await told.batch(given.posted("m1"))
    second = await told.batch(given.posted("m2"))
    told.sink.prefetch(first)
    told.before_writing = lambda: is_read(calls, 2)
    applying = asyncio.create_task(told.sink.apply(first))
    told.sink.prefetch(second)

    await applying
    told.before_writing = None
    await told.sink.apply(second)

    assert calls.count("message_documents") == 2
    assert told.sent == [[id_of("m1")], [id_of("m2")]]
    assert told.story.differences() == {}


async def test_a_batch_that_reaches_what_it_does_not_name_waits_for_the_one_before(
    told: Told, calls: list[str], given: Given
):
    first = await told.batch(given.posted("m1"))
    told.sink.prefetch(first)
    await is_read(calls, 1)
    second = await told.batch(given.user(kind="updated", username="anna", display_name="Anna"))
    told.sink.prefetch(second)

    await told.sink.apply(first)
    await told.sink.apply(second)

    user = f"{id_of('w1')}:{id_of('ana')}"
    assert told.sent == [[id_of("m1")], [id_of("m1")], [user]]  # once with the old name, once with the new one
    assert told.story.differences() == {}


async def test_what_was_prefetched_under_another_layout_is_read_again(told: Told, calls: list[str], given: Given):
    first = await told.batch(given.posted("m1"))
    second = await told.batch(given.posted("m2"))
    for batch in (first, second):
        told.sink.prefetch(batch)
    await is_read(calls, 2)
    told.story.searched.models.execute("UPDATE runtime.search_state SET layout_epoch = layout_epoch + 1")

    await told.sink.apply(first)
    await told.sink.apply(second)

    assert told.sent == [[id_of("m1")], [id_of("m1")], [id_of("m2")]]
    assert told.story.differences() == {}


async def test_a_prefetched_batch_may_come_in_part(told: Told, given: Given, monkeypatch: pytest.MonkeyPatch):
    """Its reading waits for room that nobody makes any more, and must not stand in the way."""
    monkeypatch.setattr("tailrace.consumers.search.prefetching.PART_DOCUMENTS", 1)
    batch = await told.batch(*(given.posted(f"m{n}") for n in range(8)))
    told.sink.prefetch(batch)

    async with asyncio.timeout(PATIENCE_S):
        for half in split(batch, told.sink.topics):
            await told.sink.apply(half)

    assert len(await told.story.searched.sources()) == 8


async def test_what_was_prefetched_is_read_again_after_an_outage(
    told: Told, given: Given, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tailrace.consumers.search.prefetching.PART_DOCUMENTS", 1)
    first = await told.batch(*(given.posted(f"m{n}") for n in range(8)))
    second = await told.batch(*(given.posted(f"n{n}") for n in range(8)))

    async def fail() -> None:
        raise OutageError

    told.before_writing = fail
    for batch in (first, second):
        told.sink.prefetch(batch)
    with pytest.raises(OutageError):
        await told.sink.apply(first)
    told.sink.discard()

    told.before_writing = None
    async with asyncio.timeout(PATIENCE_S):
        await told.sink.apply(first)
        await told.sink.apply(second)

    assert len(await told.story.searched.sources()) == 16
    assert told.story.differences() == {}


async def test_an_event_that_cannot_be_judged_ends_no_loop_that_reads_ahead(told: Told, given: Given):
    batch = await told.batch(given.posted("m1"))
    del batch.events[0].data["message_id"]

    told.sink.prefetch(batch)

    with pytest.raises(KeyError):
        await told.sink.apply(batch)
