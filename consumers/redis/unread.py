"""`unread_counts`: absolute counts, each guarded by the stamp of what it was counted from.

A hash is born whole: the user is put down as one whose counts are kept, the guard is opened with a token, every channel
is counted, and one call writes all of them. From the first step on, whoever changes a count finds the user; until the
last, changes are noted in the guard only. A hash that exists is so complete at every moment.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from tailrace.consumers.redis.reading import Count, Reader, parts
from tailrace.consumers.redis.store import Argument, Call, Store
from tailrace.projections.caches import Keys, Pair

BIRTH_ROUNDS_MAX: Final = 8
BIRTHS_AT_ONCE: Final = 2_000
"""Users whose counts are read by one statement, unless the caller knows better."""
CHANNELS_A_CALL_MAX: Final = 200
"""Channels of one user in one call of Redis (about 1 ms, during which it does nothing else)."""


class UnreadCounts:
    """Writes unread counts."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def put(self, counts: Iterable[Count]) -> set[Pair]:
        """Write counts; returns the (user, workspace) whose hash is not complete and has to be born."""
        by_user: dict[Pair, list[Argument]] = {}
        for one in counts:
            arguments = by_user.setdefault((one.user_id, one.workspace_id), [])
            arguments += (one.channel_id, one.stamp, one.count)
        calls = [
            (user, ("unread_put", self._pair(user), part))
            for user, arguments in by_user.items()
            for part in parts(arguments, 3 * CHANNELS_A_CALL_MAX)
        ]
        answers = await self._store.call(call for _, call in calls)
        return {user for (user, _), answer in zip(calls, answers, strict=True) if answer != b"OK"}

    async def give_birth(
        self, reader: Reader, births: Mapping[Pair, int], *, anew: bool = False, at_once: int = BIRTHS_AT_ONCE
    ) -> set[Pair]:
        """Make the hashes of these users complete; `anew` fills also those that are. Returns those that would not be.

        The caller has put the users down (and committed that) before.
        """
        left = set(births)
        for _ in range(BIRTH_ROUNDS_MAX):
            if not left:
                break
            lost: set[Pair] = set()
            for part in parts(sorted(left), at_once):
                lost |= await self._round(reader, {user: births[user] for user in part}, anew=anew)
            left = lost
        return left

    async def _round(self, reader: Reader, births: Mapping[Pair, int], *, anew: bool) -> set[Pair]:
        token = uuid.uuid4().hex
        force = "1" if anew else "0"
        pairs = {user: self._pair(user) for user in births}
        opened = await self._store.call(
            ("unread_open", pair, (token, births[user], force)) for user, pair in pairs.items()
        )
        cold = [user for user, answer in zip(pairs, opened, strict=True) if answer == b"OPEN"]
        if not cold:
            return set()
        async with reader.snapshot():
            counts = await reader.counts_of(cold)
            generation = f"{reader.generation:06d}"
        calls: list[Call] = [
            ("unread_fill", pairs[user], [token, generation, *those]) for user, those in zip(cold, counts, strict=True)
        ]
        filled = await self._store.call(calls)
        return {user for user, answer in zip(cold, filled, strict=True) if answer != b"OK"}

    async def drop(self, births: Mapping[Pair, int]) -> None:
        """Drop the hashes of users whose counts are no longer kept, unless they were born again."""
        await self._store.call(("unread_drop", self._pair(user), (birth,)) for user, birth in births.items())

    async def drop_unknown(self, users: Collection[Pair]) -> None:
        """Drop hashes of users of whom nobody knows that they are kept."""
        keys = [name for user in users for name in self._pair(user)]
        await self._store.run([("DEL", name) for name in keys], keys)

    def _pair(self, user: Pair) -> tuple[str, str]:
        return self._keys.pair("unread_counts", *user)
