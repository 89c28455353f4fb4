"""What is done with one page of a rebuild: its guards are made, its state is read, every key is written whole.

The guards come before the state, so a value may be written at once where Redis was empty (`tailrace.lua`): the state is
read after the guard's birth. A key whose guard is lost in between goes the writer's usual way.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from tailrace.consumers.redis.reading import Reader, Wanted
from tailrace.consumers.redis.values import list_calls, living_calls, living_pair, members_calls
from tailrace.consumers.redis.writing import CacheWriter, Clock
from tailrace.errors import UnreachableError
from tailrace.projections.caches import Pair, milliseconds

ALONE: Final = frozenset({b"recent_messages", b"channel_members", b"session", b"connection", b"presence"})
"""Families whose guard says which generation wrote a key."""
COUNTS: Final = frozenset({b"unread_counts", b"unread_counts_v"})

GUARDS_ASKED: Final = 20
"""Of a page, to see whether its guards are there."""


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
        await self._make_guards({guard: 0 for _, guard in pairs})
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
        if await self._writer.unread.give_birth(reader, births, anew=True):
            raise UnreachableError("Redis goes on losing unread counts while they are filled", fix="tailrace doctor")

    async def living(self, reader: Reader, ends: Mapping[Pair, datetime]) -> None:
        """Write living keys, whose guards end when `ends` says; what has no guard any more gets none."""
        now = self._clock()
        lasting = ((one, end) for one, end in ends.items() if end > now)
        await self._make_guards({living_pair(self._keys, *one)[1]: milliseconds(end) for one, end in lasting})
        async with reader.snapshot():
            states = await reader.living(ends.keys())
        names = ((one.kind, one.key) for one in states)
        living = await self._writer.refused(dict(zip(names, living_calls(self._keys, states), strict=True)))
        await self._again(reader, Wanted(living=living))

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

    async def _make_guards(self, ends: Mapping[str, int]) -> None:
        """Make those of these guards that are missing; `ends` in milliseconds, 0 for never.

        Where some of them are there, all are taken to be there: the few that are not are made with the first write.
        """
        names = list(ends)
        some = await self._store.strings(names[:: len(names) // GUARDS_ASKED + 1])
        if None in some:
            await self._store.call(("guard_make", (name,), (end,)) for name, end in ends.items())

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
