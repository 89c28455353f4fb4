"""Fill the caches from PostgreSQL: everything, a workspace, a channel or a user, page by page, under a new generation.

A rebuild is a row: its number is the generation that every stamp begins with from its first moment on, so each value
that it writes replaces the older one whole, and what somebody computed before it is refused. Live writes go on, with
the new generation. The row also says how far it is: whoever finds it abandoned goes on from there.
"""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from tailrace.consumers.redis.reading import Reader, Wanted, pairs_of, parts
from tailrace.consumers.redis.writing import CacheWriter, Clock
from tailrace.errors import UnreachableError
from tailrace.projections.caches import NO_EVENT, Pair

PAGE_CHANNELS: Final = 200
PAGE_USERS: Final = 500
PAGE_LIVING: Final = 2_000

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


class Filler:
    """Fills the caches; one reader, one writer, one page at a time."""

    def __init__(self, reader: Reader, writer: CacheWriter, owner: str, clock: Clock) -> None:
        self._reader = reader
        self._writer = writer
        self._owner = owner
        self._clock = clock

    async def run(self, rebuild: Rebuild, watch: Watch = lambda *_: None) -> None:
        """Run a rebuild to its end, from where it stands.

        Raises `LostRebuildError` when somebody else took it, and what PostgreSQL or Redis raise: then run it again.
        """
        if rebuild.scope in {"channel", "user"}:
            await self._one(rebuild)
        else:
            rebuild.total = rebuild.total or await self._size()
            while rebuild.stage < len(STAGES):
                async for key, keys in self._stage(rebuild):
                    rebuild.after_key, rebuild.done = key, rebuild.done + keys
                    await self._note(rebuild)
                    watch(STAGES[rebuild.stage], rebuild.done, max(rebuild.total, rebuild.done))
                rebuild.stage, rebuild.after_key = rebuild.stage + 1, ""
                await self._note(rebuild)
        await self._reader.fetch("finish_rebuild", rebuild.generation, self._owner)

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
        await self._births(await self._reader.births(users))
        keys = await self._reader.living_of([user_id], ())
        await self._writer.refresh(self._reader, Wanted(living=keys))

    def _stage(self, rebuild: Rebuild) -> AsyncIterator[tuple[str, int]]:
        stages = (self._channels, self._counts, self._living, self._posts, self._leftovers)
        return stages[rebuild.stage](rebuild)

    async def _channels(self, rebuild: Rebuild) -> AsyncIterator[tuple[str, int]]:
        after = rebuild.after_key or NOBODY
        while rows := await self._reader.fetch("page_channels", after, rebuild.scope_id, PAGE_CHANNELS):
            channels = {row["key"] for row in rows}
            await self._writer.refresh(self._reader, Wanted(lists=channels, members=set(channels)))
            after = rows[-1]["key"]
            yield after, len(rows)

    async def _counts(self, rebuild: Rebuild) -> AsyncIterator[tuple[str, int]]:
        after = rebuild.after_key or NOBODY + NOBODY
        while rows := await self._reader.fetch("page_warm", after[:36], after[36:], rebuild.scope_id, PAGE_USERS):
            await self._births({(row["user_id"], row["workspace_id"]): row["birth"] for row in rows})
            after = rows[-1]["key"]
            yield after, len(rows)

    async def _births(self, births: dict[Pair, int]) -> None:
        if await self._writer.unread.give_birth(self._reader, births, anew=True):
            raise UnreachableError("Redis goes on losing unread counts while they are filled", fix="tailrace doctor")

    async def _living(self, rebuild: Rebuild) -> AsyncIterator[tuple[str, int]]:
        kind, _, key = rebuild.after_key.partition(":")
        while rows := await self._reader.fetch("page_living", kind, key, rebuild.scope_id, PAGE_LIVING):
            await self._writer.refresh(self._reader, Wanted(living=pairs_of(rows)))
            kind, key = rows[-1]["kind"], rows[-1]["key"]
            yield f"{kind}:{key}", len(rows)

    async def _posts(self, rebuild: Rebuild) -> AsyncIterator[tuple[str, int]]:
        """Count the last minute's messages, and let typing that comes late find that its user has posted since."""
        found = [str(row[0]) for row in await self._reader.fetch("newest_posts", rebuild.scope_id)]
        for page in parts(found, PAGE_LIVING):
            await self._writer.refresh(self._reader, Wanted(posts=list(page)))
            yield "", 0

    async def _leftovers(self, rebuild: Rebuild) -> AsyncIterator[tuple[str, int]]:
        """Remove keys that nobody knows: this generation has written every key there is a reason for."""
        if rebuild.scope != "everything":
            return
        generation = f"{rebuild.generation:06d}"
        keys, store = self._writer.keys, self._writer.store
        for family in ("recent_messages", "channel_members", "session", "connection", "presence"):
            async for page in store.scan(f"{_literal(keys.prefix)}{family}:*"):
                found = [key_parts(name.decode(), keys.prefix) for name in page]
                await store.call(("drop_older", keys.pair(family, *parts), (generation,)) for parts in found)
                yield "", 0
        for family in ("unread_counts", "unread_counts_v"):
            async for page in store.scan(f"{_literal(keys.prefix)}{family}:*"):
                found = [key_parts(name.decode(), keys.prefix) for name in page]
                users = {(parts[0], parts[1]) for parts in found if len(parts) == 2}  # noqa: PLR2004 - user and workspace
                known = {(user_id, workspace_id) for user_id, workspace_id in users if _is_id(user_id, workspace_id)}
                await self._writer.unread.drop_unknown(users - (await self._reader.births(known)).keys())
                yield "", 0


def key_parts(name: str, prefix: str) -> tuple[str, ...]:
    """What follows the family in a key's name, without braces."""
    return tuple(part.strip("{}") for part in name.removeprefix(prefix).split(":")[1:])


_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _is_id(*texts: str) -> bool:
    return all(_ID.fullmatch(text) for text in texts)


def _literal(prefix: str) -> str:
    """A prefix as a glob pattern that matches nothing else."""
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", prefix)
