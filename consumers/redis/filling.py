"""Fill the caches from PostgreSQL: everything, a workspace, a channel or a user, page by page, under a new generation.

A rebuild is a row: its number is the generation that every stamp begins with from its first moment on, so each value
that it writes replaces the older one whole, and what somebody computed before it is refused. Live writes go on, with
the new generation. The row also says how far it is: whoever finds it abandoned goes on from there. Pages of a stage are
worked on several at once (`lanes.py`); the row says what is done with everything before it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from tailrace.consumers.redis.lanes import Lanes, OpenReader, lanes
from tailrace.consumers.redis.pages import PageWriter, Range
from tailrace.consumers.redis.reading import Reader, Wanted, births_of, parts
from tailrace.consumers.redis.writing import CacheWriter, Clock, literal
from tailrace.errors import UnreachableError
from tailrace.projections.caches import NO_EVENT

PAGE_CHANNELS: Final = 200
PAGE_USERS: Final = 10_000
PAGE_COUNTS: Final = 40_000
"""Of the users of a page: the more of a workspace they are, the fewer times its channels are scanned."""
PAGE_LIVING: Final = 5_000
PAGE_POSTS: Final = 2_000
PAGE_NAMES: Final = 5_000
"""Of keys in Redis, guards among them."""
PAGE_STEPS: Final = 100
"""Of a scan, however few names it finds."""

NAMES_KEPT_MAX: Final = 20_000
"""Names of keys that were there when a fill began (2 MB); where there were more, all keys are looked at in the end."""

STAGES: Final = ("channels", "counts", "living", "posts", "leftovers")
NOBODY: Final = NO_EVENT

Watch = Callable[[str, int, int], None]
"""Told (stage, keys done, keys expected) after every page."""


class LostRebuildError(UnreachableError):
    """Another worker has taken the rebuild over."""


@dataclass
class Rebuild:
    """One rebuild. `scope_id` is None for `everything`; `after_key` is the last key of `stage` that is done."""

    generation: int
    scope: str
    scope_id: str | None
    stage: int = 0
    after_key: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Work that is done at once: the place behind it, how many keys it counts for, and what to work on."""

    after_key: str
    keys: int
    content: Any


Pages = Callable[[Rebuild], AsyncGenerator[Page, None]]
Work = Callable[[Reader, Page], Awaitable[None]]


class Filler:
    """Fills the caches. `reader` notes how far it is; `open_reader` makes the connections that pages are read from."""

    def __init__(self, reader: Reader, open_reader: OpenReader, writer: CacheWriter, owner: str, clock: Clock) -> None:
        self._reader = reader
        self._open_reader = open_reader
        self._writer = writer
        self._pages = PageWriter(writer, clock)
        self._owner = owner
        self._there: list[bytes] | None = None
        """Keys that were there before the rebuild began; None where that is not known, or they are too many."""

    async def run(self, rebuild: Rebuild, watch: Watch = lambda *_: None) -> None:
        """Run a rebuild to its end, from where it stands.

        Raises `LostRebuildError` when somebody else took it, and what PostgreSQL or Redis raise: then run it again.
        """
        if rebuild.scope in {"channel", "user"}:
            await self._one(rebuild)
        else:
            rebuild.total = rebuild.total or await self._size()
            self._there = await self._names_there() if (rebuild.stage, rebuild.after_key) == (0, "") else None
            async with lanes(self._open_reader) as opened:
                while rebuild.stage < len(STAGES):
                    await self._stage(rebuild, opened, watch)
                    rebuild.stage, rebuild.after_key = rebuild.stage + 1, ""
                    await self._note(rebuild)
        await self._reader.fetch("finish_rebuild", rebuild.generation, self._owner)

    async def _stage(self, rebuild: Rebuild, opened: Lanes, watch: Watch) -> None:
        async def done(page: Page) -> None:
            rebuild.after_key, rebuild.done = page.after_key, rebuild.done + page.keys
            await self._note(rebuild)
            watch(STAGES[rebuild.stage], rebuild.done, max(rebuild.total, rebuild.done))

        pages, work = self._stages(rebuild)[rebuild.stage]
        async with aclosing(pages(rebuild)) as found:
            await opened.run(found, work, done)

    def _stages(self, rebuild: Rebuild) -> tuple[tuple[Pages, Work], ...]:
        """Where the pages of each stage come from, and what is done with one."""

        async def leftovers(reader: Reader, page: Page) -> None:
            await self._pages.leftovers(reader, page.content, rebuild.generation)

        return (
            (self._channels, lambda reader, page: self._pages.channels(reader, page.content)),
            (self._counts, lambda reader, page: self._pages.counts(reader, page.content)),
            (self._living, lambda reader, page: self._pages.living(reader, page.content)),
            (self._posts, lambda reader, page: self._writer.refresh(reader, Wanted(posts=page.content))),
            (self._leftovers, leftovers),
        )

    async def _note(self, rebuild: Rebuild) -> None:
        place = rebuild.stage, rebuild.after_key, rebuild.done, rebuild.total
        if not await self._reader.fetch("note_rebuild", rebuild.generation, self._owner, *place):
            raise LostRebuildError(f"rebuild {rebuild.generation} was taken over")

    async def _size(self) -> int:
        return sum((await self._reader.fetch("sizes"))[0].values())

    async def _one(self, rebuild: Rebuild) -> None:
        if rebuild.scope == "channel":
            channel_id = str(rebuild.scope_id)
            await self._writer.refresh(
                self._reader, Wanted(lists={channel_id}, members={channel_id}, counts={channel_id})
            )
            return
        user_id = str(rebuild.scope_id)
        users = {(row[0], row[1]) for row in await self._reader.fetch("warm_of_user", user_id)}
        await self._pages.counts(self._reader, await self._reader.births(users))
        keys = await self._reader.living_of([user_id], ())
        await self._writer.refresh(self._reader, Wanted(living=keys))

    async def _channels(self, rebuild: Rebuild) -> AsyncGenerator[Page, None]:
        after = rebuild.after_key or NOBODY
        while rows := await self._reader.fetch("page_channels", after, rebuild.scope_id, PAGE_CHANNELS):
            after = rows[-1]["key"]
            yield Page(after, len(rows), [row["key"] for row in rows])

    async def _counts(self, rebuild: Rebuild) -> AsyncGenerator[Page, None]:
        # A place without a colon was noted when users were taken in another order.
        workspace_id, colon, user_id = rebuild.after_key.partition(":")
        if not colon:
            workspace_id, user_id = NOBODY, NOBODY
        scope = rebuild.scope_id
        while rows := await self._reader.fetch("page_warm", workspace_id, user_id, scope, PAGE_USERS, PAGE_COUNTS):
            workspace_id, user_id = rows[-1]["workspace_id"], rows[-1]["user_id"]
            yield Page(f"{workspace_id}:{user_id}", len(rows), births_of(rows))

    async def _living(self, rebuild: Rebuild) -> AsyncGenerator[Page, None]:
        # A place with a colon was noted when keys were taken in another order.
        after = None if ":" in rebuild.after_key else rebuild.after_key or None
        scope = rebuild.scope_id
        name, more = ("page_living_of_workspace", (scope,)) if scope else ("page_living", ())
        while rows := await self._reader.fetch(name, after, PAGE_LIVING, *more):
            to = rows[0]["user_id"]
            yield Page(to, rows[0]["keys"], Range(after, to, scope))
            after = to

    async def _posts(self, rebuild: Rebuild) -> AsyncGenerator[Page, None]:
        """Count the last minute's messages, and let typing that comes late find that its user has posted since."""
        found = [str(row[0]) for row in await self._reader.fetch("newest_posts", rebuild.scope_id)]
        for page in parts(found, PAGE_POSTS):
            yield Page("", 0, list(page))

    async def _leftovers(self, rebuild: Rebuild) -> AsyncGenerator[Page, None]:
        """Remove keys that nobody knows: this generation has written every key there is a reason for."""
        if rebuild.scope != "everything":
            return
        if self._there is not None:
            # Whatever came later was written by somebody who knew it: an emptied Redis need not be read again.
            for page in parts(self._there, PAGE_NAMES):
                yield Page("", 0, page)
            return
        names: list[bytes] = []
        steps = 0
        store, prefix = self._writer.store, self._writer.keys.prefix
        async with aclosing(store.scan_older(f"{literal(prefix)}*", prefix, rebuild.generation)) as pages:
            async for some in pages:
                names += some
                steps += 1
                # Also where there is nothing to remove: a page that is done says that somebody is at it.
                if len(names) >= PAGE_NAMES or steps % PAGE_STEPS == 0:
                    yield Page("", 0, names)
                    names = []
        yield Page("", 0, names)

    async def _names_there(self) -> list[bytes] | None:
        """Names of all our keys, as long as they are few."""
        names: list[bytes] = []
        async with aclosing(self._names()) as pages:
            async for some in pages:
                names += some
                if len(names) > NAMES_KEPT_MAX:
                    return None
        return names

    def _names(self) -> AsyncGenerator[list[bytes], None]:
        return self._writer.store.scan(f"{literal(self._writer.keys.prefix)}*")
