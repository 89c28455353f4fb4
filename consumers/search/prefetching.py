"""Reads documents ahead of their being written: those of the next batch while Elasticsearch stores those of this one.

Reading a batch is: wait until PostgreSQL has applied it · read the layout · find what it reaches · read these
documents, part by part, each whole in one statement. None of it moves anything, so what was read ahead may be dropped
at any time and read again.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Final

from tailrace.consumers.batch import Batch, TopicPartition
from tailrace.consumers.postgres.progress_store import ProgressStore
from tailrace.consumers.search.layout import Layout, Write
from tailrace.consumers.search.layouts import Layouts
from tailrace.consumers.search.reading import Database, Indexed, Reach, documents, reach
from tailrace.consumers.search.routing import wanted_moves
from tailrace.projections.documents import Dirty, dirty_documents
from tailrace.projections.registry import POSTGRES
from tailrace.schemas.event import Event
from tailrace.settings import ElasticsearchSettings

BEHIND_POLL_S: Final = 0.02
BEHIND_MAX_S: Final = 30.0
"""So long a batch waits for PostgreSQL before it is given back to be tried again."""

SMALL_BATCH_EVENTS: Final = 1_000
PART_DOCUMENTS: Final = 2_000
PARTS_AHEAD_MAX: Final = 2
"""Parts of a batch that are read and not taken yet."""


class BehindError(Exception):
    """PostgreSQL has not applied what this batch is about."""


class Reading:
    """One batch's documents on their way. `layout` and `jobs` are known when the first part was given."""

    layout: Layout

    def __init__(self, batch: Batch, dirty: Dirty, read: Callable[["Reading"], Coroutine[None, None, None]]) -> None:
        self.batch = batch
        self.dirty = dirty
        self.jobs: set[tuple[str, str]] = set()
        self._room = asyncio.Semaphore(PARTS_AHEAD_MAX)
        self._parts: asyncio.Queue[list[Write] | Exception | None] = asyncio.Queue()
        self._task = asyncio.create_task(read(self), name="read documents")

    async def room(self) -> None:
        """Wait until another part may be read."""
        await self._room.acquire()

    def give(self, part: list[Write] | Exception | None) -> None:
        """A part, or None behind the last one, or what went wrong."""
        self._parts.put_nowait(part)

    async def take(self) -> list[Write] | None:
        """The next part; None behind the last one. Raises what reading it raised."""
        part = await self._parts.get()
        if isinstance(part, Exception):
            raise part
        if part is not None:
            self._room.release()
        return part

    def cancel(self) -> None:
        """Nobody asks for the rest."""
        self._task.cancel()


class Prefetcher:
    """Reads batches one after the other, on one connection, in the order in which it was told of them."""

    def __init__(
        self, database: Database, layouts: Layouts, progress: ProgressStore, settings: ElasticsearchSettings,
        topics: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._database = database
        self._layouts = layouts
        self._progress = progress
        self._settings = settings
        self._topics = topics
        self._turn = asyncio.Lock()
        self._prefetched: list[Reading] = []
        self._read_at = 0.0

    def prefetch(self, batch: Batch) -> None:
        """Begin with a batch that waits behind others.

        Not with a small one, which is to wait for its time. Nor with one that reaches documents that it does not name:
        it must find the progress of those before it moved, or the epoch that it raises would make them begin again.
        """
        if len(batch.events) < SMALL_BATCH_EVENTS:
            return
        try:
            dirty = dirty_documents(batch.events)
        except Exception:  # noqa: BLE001 - raised again by `reading`, where the event is found out
            return
        if not dirty.reaches_far:
            self._prefetched.append(self._begin(batch, dirty))

    def reading(self, batch: Batch) -> Reading:
        """The batch's documents, prefetched or begun now. Nobody will ask for what was prefetched before them."""
        while self._prefetched:
            reading = self._prefetched.pop(0)
            if reading.batch is batch:
                return reading
            reading.cancel()
        return self._begin(batch, dirty_documents(batch.events))

    def again(self, reading: Reading) -> Reading:
        """The same batch read anew, and whatever was prefetched too: the layout has changed."""
        self.drop()
        return self._begin(reading.batch, reading.dirty, is_again=True)

    def drop(self) -> None:
        """Forget what was prefetched."""
        while self._prefetched:
            self._prefetched.pop().cancel()

    async def close(self) -> None:
        """Forget what was prefetched, and wait until nothing uses the connections any more."""
        self.drop()
        async with self._turn:
            pass

    def _begin(self, batch: Batch, dirty: Dirty, *, is_again: bool = False) -> Reading:
        return Reading(batch, dirty, partial(self._read, is_again=is_again))

    async def _read(self, reading: Reading, *, is_again: bool) -> None:
        # Taken in the order in which the readings began, which is that in which they are asked for: a reading that has
        # no room goes on only when its batch is written.
        async with self._turn:
            try:
                if not is_again:
                    await self._prepare(reading)
                await self._read_parts(reading)
                reading.give(None)
            except Exception as error:  # noqa: BLE001 - raised where the documents are asked for
                reading.give(error)

    async def _prepare(self, reading: Reading) -> None:
        await self._keep_distance(len(reading.batch.events))
        await self._wait_for_postgres(reading.batch)
        if reading.dirty.reaches_far:
            # Whoever reads documents at this moment may have read the old name: they find the epoch raised and read
            # again, or have moved their progress before we look at it.
            await self._layouts.raise_epoch()

    async def _read_parts(self, reading: Reading) -> None:
        reading.layout = await self._layouts.current()
        found, moves = await self._reach(reading.batch, reading.dirty)
        reading.jobs = found.jobs | moves
        for part in found.parts(PART_DOCUMENTS):
            await reading.room()
            async with self._database.snapshot():
                now = await documents(self._database, part.messages, part.files, part.members)
            reading.give(reading.layout.writes(now))

    async def _keep_distance(self, events: int) -> None:
        """Let small batches grow: a message that is reacted to all the time is written a few times a second."""
        loop = asyncio.get_running_loop()
        wait_s = self._read_at + self._settings.index_interval_ms / 1000 - loop.time()
        if events < SMALL_BATCH_EVENTS and wait_s > 0:
            await asyncio.sleep(wait_s)
        self._read_at = loop.time()

    async def _wait_for_postgres(self, batch: Batch) -> None:
        spans = sorted(batch.spans.items())
        arguments = [tp.topic for tp, _ in spans], [tp.partition for tp, _ in spans], [s.reached for _, s in spans]
        deadline = asyncio.get_running_loop().time() + BEHIND_MAX_S
        pause = BEHIND_POLL_S
        while True:
            rows = await self._database.fetch("postgres_behind", POSTGRES.name, POSTGRES.version, *arguments)
            if rows[0][0] == 0:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise BehindError
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    async def _reach(self, batch: Batch, dirty: Dirty) -> tuple[Reach, set[tuple[str, str]]]:
        """Ids of the documents to be written, and the moves of workspaces that are due."""
        anywhere = 0
        if dirty.users:
            name, version = self._progress.projection, self._progress.version
            rows = await self._database.fetch("conversations_reached", name, version, self._topics["conversations"])
            anywhere = rows[0][0]
        # A channel and its messages share a partition, of which everything before this batch was indexed.
        in_channel = {
            channel_id: batch.spans[_partition(dirty.origin[channel_id], self._topics)].expected
            for channel_id in dirty.channels
        }
        async with self._database.snapshot():
            found = await reach(self._database, dirty, Indexed(anywhere, in_channel), self._settings.inline_max)
            return found, await wanted_moves(self._database, dirty.counted_workspaces, self._settings)


def _partition(event: Event, topics: Mapping[str, str]) -> TopicPartition:
    return TopicPartition(topics[event.topic], event.partition)
