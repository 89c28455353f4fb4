"""What is done with one page of a rebuild: its guards are made, its state is read, every key is written whole.

The guards come before the state, so a value may be written at once where Redis was empty (`tailrace.lua`): the state is
read after the guard's birth. A key whose guard is lost in between goes the writer's usual way.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tailrace.consumers.redis.reading import Reader, Wanted
from tailrace.consumers.redis.values import (
    GUARD_KEPT,
    list_calls,
    living_calls,
    living_pair,
    members_calls,
)
from tailrace.consumers.redis.writing import CacheWriter, Clock
from tailrace.errors import UnreachableError
from tailrace.projections.caches import Pair

ALONE: Final = frozenset({b"recent_messages", b"channel_members", b"session", b"connection", b"presence"})
"""Families whose guard says which generation wrote a key."""
COUNTS: Final = frozenset({b"unread_counts", b"unread_counts_v"})

GUARDS_ASKED: Final = 20
"""Of a page, to see whether its guards are there."""


class Range(NamedTuple):
    """Users behind one (None: from the first on) up to another; of one workspace, if one is named."""

    after: str | None
    to: str
    workspace_id: str | None


class PageWriter:
    """Writes pages; any number at once, as long as no two hold the same key."""

    def __init__(self, writer: CacheWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._store = writer.store
        self._keys = writer.keys

    async def channels(self, reader: Reader, channels: Sequence[str]) -> None:
        """Write lists and members."""
        pairs = [self._keys.pair(family, one) for family in ("recent_messages", "channel_members") for one in channels]
        if not await self._are_there([guard for _, guard in pairs[:: len(pairs) // GUARDS_ASKED + 1]]):
            await self._store.make_guards([guard for _, guard in pairs])
        async with reader.snapshot():
            lists = await reader.lists(channels)
            members = await reader.members(channels)
        refused = self._writer.refused
        await self._again(
            reader,
            Wanted(
                lists=await refused(dict(zip((one[0] for one in lists), list_calls(self._keys, lists), strict=True))),
                members=await refused(
                    dict(zip((one.channel_id for one in members), members_calls(self._keys, members), strict=True))
                ),
            ),
        )

    async def counts(self, reader: Reader, births: Mapping[Pair, int]) -> None:
        """Write unread counts. Raises `UnreachableError` where Redis goes on losing them."""
        if await self._writer.unread.give_birth(reader, births, anew=True, at_once=len(births)):
            raise UnreachableError("Redis goes on losing unread counts while they are filled", fix="tailrace doctor")

    async def living(self, reader: Reader, users: Range) -> None:
        """Write the living keys of these users; what is so long past that it has no guard any more gets none."""
        oldest = self._clock() - GUARD_KEPT
        some = await reader.fetch("living_names", *users, oldest, GUARDS_ASKED)
        if not await self._are_there([living_pair(self._keys, kind, key)[1] for kind, key in some]):
            names = await reader.fetch("living_names", *users, oldest, None)
            await self._store.make_guards([living_pair(self._keys, kind, key)[1] for kind, key in names])
        async with reader.snapshot(as_sets=True):
            states = await reader.living_of_range(*users)
        answers = await self._store.call(living_calls(self._keys, states))
        refused = {(one.kind, one.key) for one, answer in zip(states, answers, strict=True) if answer == b"AGAIN"}
        await self._again(reader, Wanted(living=refused))

    async def leftovers(self, reader: Reader, names: Sequence[bytes], generation: int) -> None:
        """Remove those of these keys of Redis that nobody knows: this generation has written every other."""
        prefix = self._keys.prefix.encode()
        guards: dict[bytes, bytes] = {}
        users: dict[bytes, bytes] = {}
        for name in names:
            family, _, rest = name[len(prefix) :].partition(b":")
            if family in ALONE:
                guards[name] = b"%b%b_v:%b" % (prefix, family, rest)
            elif family in COUNTS:
                users[rest] = b"%bunread_counts_v:%b" % (prefix, rest)
        stamp = f"{generation:06d}"
        newest = stamp.encode()
        held = await self._store.strings(list(guards.values()))
        olds = [pair for pair, found in zip(guards.items(), held, strict=True) if found is None or found < newest]
        await self._store.call(("drop_older", pair, (stamp,)) for pair in olds)
        filled = await self._store.call(("unread_generation", (guard,), ()) for guard in users.values())
        await self._drop_unknown(reader, [rest for rest, found in zip(users, filled, strict=True) if found < newest])

    async def _are_there(self, some: Sequence[str]) -> bool:
        """Whether these guards are there: then all of the page are taken to be.

        The few that are not are made with the first write.
        """
        return None not in await self._store.strings(some)

    async def _drop_unknown(self, reader: Reader, names: Sequence[bytes]) -> None:
        """Drop the counts of those of these users (as in keys' names) of whom PostgreSQL does not know either."""
        found = [name.decode(errors="replace").replace("{", "").replace("}", "").split(":") for name in names]
        users = {(parts[0], parts[1]) for parts in found if len(parts) == 2}  # noqa: PLR2004 - user and workspace
        known = await reader.births({user for user in users if all(_ID.fullmatch(one) for one in user)})
        await self._writer.unread.drop_unknown(users - known.keys())

    async def _again(self, reader: Reader, wanted: Wanted) -> None:
        if wanted:
            await self._writer.refresh(reader, wanted)


_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
