"""Brings keys up to date: reads them in one snapshot, writes them stamped, again where a guard was missing."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from tailrace.consumers.redis.lists import RecentLists
from tailrace.consumers.redis.reading import Reader, Wanted
from tailrace.consumers.redis.store import Call, Store
from tailrace.consumers.redis.unread import UnreadCounts
from tailrace.consumers.redis.values import living_calls, members_calls, rate_calls, typing_calls
from tailrace.errors import UnreachableError
from tailrace.projections.caches import CHANNEL_AT, Keys, Pair

ROUNDS_MAX: Final = 6
"""Times that a key without a guard is read and written again."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Now, aware UTC."""
    return datetime.now(UTC)


class Widening(Protocol):
    """Adds to the keys that are read, from the snapshot that they are read in."""

    async def __call__(self, reader: Reader, wanted: Wanted) -> None:
        """Add to `wanted`."""
        ...


class CacheWriter:
    """Reads keys from PostgreSQL and writes them to Redis, until each shows a state read while it was guarded."""

    def __init__(self, store: Store, keys: Keys, clock: Clock = utc_now) -> None:
        self.store = store
        self.keys = keys
        self.lists = RecentLists(store, keys)
        self.unread = UnreadCounts(store, keys)
        self._clock = clock

    async def refresh(self, reader: Reader, wanted: Wanted, *, expand: Widening | None = None) -> None:
        """Bring keys up to date. `expand` may widen `wanted` in the first snapshot.

        Raises `UnreachableError` if keys go on losing their guards.
        """
        births: set[Pair] = set()
        for _ in range(ROUNDS_MAX):
            wanted, cold = await self._round(reader, wanted, expand)
            births |= cold
            expand = None
            if not wanted:
                break
        lost = await self.unread.give_birth(reader, await reader.births(births))
        if wanted or lost:
            raise UnreachableError("Redis goes on losing keys while they are written", fix="tailrace doctor")

    async def _round(self, reader: Reader, wanted: Wanted, expand: Widening | None) -> tuple[Wanted, set[Pair]]:
        async with reader.snapshot():
            if expand is not None:
                await expand(reader, wanted)
            lists = await self.lists.read(reader, sorted(wanted.lists)) if wanted.lists else []
            counts = await reader.counts(wanted.pairs, wanted.counts)
            members = await reader.members(wanted.members) if wanted.members else []
            living = await reader.living(wanted.living)
            rates = await reader.rates(wanted.posts)
        again = Wanted()
        if lists:
            again.lists = await self.lists.write(lists)
        cold = await self.unread.put(counts)
        by_channel = dict(zip((one.channel_id for one in members), members_calls(self.keys, members), strict=True))
        again.members = await self.refused(by_channel)
        keys = ((one.kind, one.key) for one in living)
        again.living = await self.refused(dict(zip(keys, living_calls(self.keys, living), strict=True)))
        now = self._clock()
        brief = rate_calls(self.keys, rates, now) + typing_calls(self.keys, wanted.typing, rates, now)
        await self.store.call(brief)
        await self._remove_orphans(reader, [str(call[1][0]) for call in brief])
        return again, cold

    async def remove_workspaces(self, reader: Reader, workspaces: Collection[str]) -> None:
        """Remove `typing` and `message_rate` of those of these workspaces that are deleted.

        They carry no stamps. Whoever deletes looks for them once PostgreSQL knows of it, and whoever writes one asks
        PostgreSQL afterwards: so one of the two finds what was written meanwhile.
        """
        channels = {str(row[0]) for row in await reader.fetch("channels_of_workspaces", list(workspaces))}
        if not await reader.without_workspace(channels):
            return
        for family, place in CHANNEL_AT.items():
            async with aclosing(self.store.scan(f"{literal(self.keys.prefix)}{family}{':*' * (place + 2)}")) as pages:
                async for page in pages:
                    names = [name.decode(errors="replace") for name in page]
                    await self._remove_orphans(reader, [one for one in names if self.keys.channel_of(one) in channels])

    async def _remove_orphans(self, reader: Reader, names: Sequence[str]) -> None:
        """Remove those of these keys of `typing` and `message_rate` whose workspace is deleted."""
        gone = await reader.without_workspace({self.keys.channel_of(name) for name in names})
        those = [name for name in names if self.keys.channel_of(name) in gone]
        await self.store.run([("DEL", name) for name in those], those)

    async def refused(self, calls: Mapping[Any, Call]) -> set[Any]:
        """Names of those calls that met no guard."""
        answers = await self.store.call(calls.values())
        return {name for name, answer in zip(calls, answers, strict=True) if answer == b"AGAIN"}


def literal(prefix: str) -> str:
    """A prefix as a glob pattern that matches nothing else."""
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", prefix)
