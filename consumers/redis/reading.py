"""What the caches must hold, read from PostgreSQL: state and its stamps in one snapshot."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy

from tailrace.projections.caches import (
    RECENT_MAX,
    Dirty,
    Living,
    Pair,
    suffix_counts,
    unread_behind,
    version_stamp,
    version_stamps,
)
from tailrace.settings import PostgresSettings
from tailrace.sql.catalog import queries, render, schema_names

TAIL_PAIRS_MAX: Final = 20_000
"""Members whose counts are read by one statement."""
TAIL_CHANNELS_MAX: Final = 500
"""Channels whose members' counts are read by one statement."""

_SNAPSHOT = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = {timeout_ms};
SET LOCAL idle_in_transaction_session_timeout = {timeout_ms};
SET LOCAL timezone = 'UTC';
SET LOCAL jit = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_seqscan = off
"""
# Nested loops over indexes only: plans are made while tables are empty and kept while they fill.
_AS_SETS = """;
SET LOCAL enable_hashjoin = on;
SET LOCAL enable_nestloop = off;
SET LOCAL work_mem = '32MB'
"""
# Where both sides of a join are a range of an index, whatever the planner takes their sizes for.


@dataclass(frozen=True, slots=True)
class Count:
    """Unread messages of one member. `stamp` is that of the state they were counted in."""

    channel_id: str
    user_id: str
    workspace_id: str
    stamp: str
    count: int


UserCounts = list[str | int]
"""Counts of one user's channels: channel, stamp of the state it was counted in, unread messages; and the next."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A recent list without its texts: `messages` are "message_id.version", newest first."""

    channel_id: str
    stamp: str
    messages: Sequence[str]


@dataclass(frozen=True, slots=True)
class Members:
    """Active members of one channel, unsorted. `read_at` is the snapshot's time."""

    channel_id: str
    stamp: str
    members: Sequence[str]
    read_at: datetime


class LivingState(NamedTuple):
    """A living key: the JSON that it shows, None where it is gone, and when it ends (ms since 1970)."""

    kind: str
    key: str
    stamp: str
    value: str | None
    ends_ms: int


@dataclass
class Wanted:
    """Keys to read: `counts` of all members of these channels, `pairs` of these (channel, user)."""

    lists: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    counts: set[str] = field(default_factory=set)
    pairs: set[Pair] = field(default_factory=set)
    living: set[Pair] = field(default_factory=set)
    posts: list[str] = field(default_factory=list)
    typing: dict[Pair, datetime] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(vars(self).values())


@cache
def _texts(schemas: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    found = {**queries("caches"), **queries("caches_pages")}
    return {name: render(text, dict(schemas)) for name, text in found.items()}


class Reader:
    """Statements of the caches on one connection. Every method but `snapshot` is one or two round trips."""

    def __init__(self, connection: asyncpg.Connection | PoolConnectionProxy, settings: PostgresSettings) -> None:
        self.connection = connection
        self._texts = _texts(tuple(schema_names(settings).items()))
        self._begin = _SNAPSHOT.format(timeout_ms=settings.statement_timeout_ms)
        self.generation = 0

    async def fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a statement of `sql/queries/caches.sql` or `caches_pages.sql`."""
        return await self.connection.fetch(self._texts[name], *arguments)

    @asynccontextmanager
    async def snapshot(self, *, as_sets: bool = False) -> Any:
        """Everything that is read inside is of one moment; sets the generation that stamps begin with.

        `as_sets` is for statements that join ranges; a statement is always run the same way, as its plan is kept.
        """
        await self.connection.execute(self._begin + _AS_SETS if as_sets else self._begin)
        try:
            self.generation = (await self.fetch("generation"))[0][0]
            yield self
        finally:
            if self.connection.is_in_transaction():
                await self.connection.execute("ROLLBACK")

    def stamp(self, version: int) -> str:
        """Stamp of something that was read in this snapshot."""
        return version_stamp(self.generation, version)

    # ── what is dirty ──────────────────────────────────────────────────────────────────────────────────────────────

    async def expand(self, dirty: Dirty) -> None:
        """Turn what reaches far (people, workspaces, messages by id) into channels and members."""
        await self._expand_messages(dirty)
        if dirty.erased:
            people = list(dirty.erased)
            channels = {str(r[0]) for r in await self.fetch("channels_of_people", people)}
            dirty.lists |= channels
            dirty.counts |= channels
            dirty.pairs |= pairs_of(await self.fetch("memberships_of_people", people))
        if dirty.deleted_workspaces:
            channels = {str(r[0]) for r in await self.fetch("channels_of_workspaces", list(dirty.deleted_workspaces))}
            dirty.lists |= channels
            dirty.counts |= channels
            dirty.members |= channels
            dirty.whole_channels |= channels
        if dirty.whole_channels:
            dirty.pairs |= pairs_of(await self.fetch("memberships_of_channels", list(dirty.whole_channels)))
        if dirty.memberships:
            columns = zip(*sorted(dirty.memberships), strict=True)
            dirty.pairs |= pairs_of(await self.fetch("memberships_of_pairs", *columns))
        if dirty.erased or dirty.memberships:
            dirty.members |= {channel_id for channel_id, _ in dirty.pairs}

    async def without_workspace(self, channels: Collection[str]) -> set[str]:
        """Those of these channels whose workspace is deleted."""
        return {row[0] for row in await self.fetch("channels_without_workspace", list(channels))} if channels else set()

    async def _expand_messages(self, dirty: Dirty) -> None:
        about = dirty.about_lists | dirty.about_counts
        if about:
            for message_id, channel_id in await self.fetch("channels_of_messages", list(about)):
                dirty.lists.add(str(channel_id))
                if str(message_id) in dirty.about_counts:
                    dirty.counts.add(str(channel_id))

    async def living_of(self, people: Collection[str], workspaces: Collection[str]) -> set[Pair]:
        """(kind, key) of the living keys of these people and workspaces."""
        found: set[Pair] = set()
        if people:
            found |= pairs_of(await self.fetch("living_of_people", list(people)))
        if workspaces:
            found |= pairs_of(await self.fetch("living_of_workspaces", list(workspaces)))
        return found

    # ── what it is ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def lists(self, channels: Collection[str]) -> list[tuple[str, str, list[str]]]:
        """(channel, stamp, JSON texts newest first); whole lists."""
        rows = await self.fetch("lists", list(channels), RECENT_MAX)
        return [(str(row[0]), self.stamp(row[1]), row[2] or []) for row in rows]

    async def outlines(self, channels: Collection[str]) -> list[Outline]:
        """The same lists without texts."""
        rows = await self.fetch("outlines", list(channels), RECENT_MAX)
        return [Outline(str(row[0]), self.stamp(row[1]), row[2] or ()) for row in rows]

    async def texts(self, messages: Sequence[str]) -> dict[str, str]:
        """message_id → JSON text."""
        if not messages:
            return {}
        return {row[0]: row[1] for row in await self.fetch("texts", messages)}

    async def members(self, channels: Collection[str]) -> list[Members]:
        """Active members; none for a deleted channel."""
        rows = await self.fetch("members", list(channels))
        return [Members(r["channel_id"], self.stamp(r["version"]), r["members"] or (), r["read_at"]) for r in rows]

    async def counts(self, pairs: Collection[Pair], channels: Collection[str]) -> list[Count]:
        """Counts that are kept: of these (channel, user), and of all active members of these channels."""
        found: list[Count] = []
        for part in parts(sorted(channels), TAIL_CHANNELS_MAX):
            found += await self._count(await self.fetch("unread_bases_of_channels", part))
        for part in parts(sorted(pairs), TAIL_PAIRS_MAX):
            found += await self._count(await self.fetch("unread_bases", *zip(*part, strict=True)))
        return found

    async def counts_of(self, users: Sequence[Pair]) -> list[UserCounts]:
        """Counts of every channel of each of these (user, workspace), whether kept or not."""
        found: list[UserCounts] = [[] for _ in users]
        if users:
            for row in await self.fetch("unread_of_users", *zip(*users, strict=True)):
                self._count_channel(row, users, found)
        return found

    def _count_channel(self, row: asyncpg.Record, users: Sequence[Pair], found: list[UserCounts]) -> None:
        channel_id, version, numbers, versions, *buckets = row
        behind = unread_behind([users[number - 1][0] for number in numbers], *(bucket or () for bucket in buckets))
        stamps = version_stamps(self.generation, [version + own for own in versions])
        for number, stamp, count in zip(numbers, stamps, behind, strict=True):
            found[number - 1] += (channel_id, stamp, count)

    async def _count(self, rows: Sequence[asyncpg.Record]) -> list[Count]:
        bases: dict[str, set[datetime]] = {}
        for row in rows:
            if row["counts"] and row["base"] is not None:
                bases.setdefault(row["channel_id"], set()).add(row["base"])
        ordered = {channel_id: sorted(found) for channel_id, found in bases.items()}
        after = await self._tails(ordered)
        counts = []
        for row in rows:
            count = 0
            channel_id, user_id = row["channel_id"], row["user_id"]
            if row["counts"] and channel_id in after and row["base"] is not None:
                total, by_author, index = after[channel_id]
                place = index[row["base"]]
                count = total[place] - (by_author[user_id][place] if user_id in by_author else 0)
            counts.append(Count(channel_id, user_id, row["workspace_id"], self.stamp(row["version"]), count))
        return counts

    async def _tails(self, bases: dict[str, list[datetime]]) -> dict[str, tuple[list[int], dict[str, list[int]], Any]]:
        if not bases:
            return {}
        flat = [(channel_id, base) for channel_id, found in bases.items() for base in found]
        buckets: dict[str, list[tuple[int, str, int]]] = {}
        for channel_id, *bucket in await self.fetch("unread_tails", *zip(*flat, strict=True)):
            buckets.setdefault(channel_id, []).append((bucket[0], bucket[1], bucket[2]))
        return {
            channel_id: (
                *suffix_counts(bases[channel_id], found),
                {base: place for place, base in enumerate(bases[channel_id])},
            )
            for channel_id, found in buckets.items()
        }

    async def living(self, keys: Collection[Pair]) -> list[LivingState]:
        """Living keys by (kind, key)."""
        if not keys:
            return []
        rows = await self.fetch("living", *zip(*sorted(keys), strict=True))
        return self._living(rows)

    async def living_of_range(self, after: str | None, to: str, workspace_id: str | None) -> list[LivingState]:
        """Living keys of the users after the first up to the second; in a snapshot `as_sets`."""
        return self._living(await self.fetch("living_of_range", after, to, workspace_id))

    def _living(self, rows: Sequence[asyncpg.Record]) -> list[LivingState]:
        stamps = version_stamps(self.generation, [row[2] for row in rows])
        return [
            LivingState(kind, key, stamp, value, ends)
            for (kind, key, _, value, ends), stamp in zip(rows, stamps, strict=True)
        ]

    async def rates(self, posts: Sequence[str]) -> list[asyncpg.Record]:
        """user_id, channel_id, minute, last_at, imports (ids) and n of the minutes these messages were posted in."""
        return await self.fetch("rates", list(posts)) if posts else []

    # ── the facts of living keys, and whose counts are kept ────────────────────────────────────────────────────────

    async def merge_living(self, rows: Sequence[Living]) -> None:
        """Store signals by Rule R; again changes nothing."""
        if rows:
            columns = (
                [r.kind for r in rows], [r.key for r in rows], [r.user_id for r in rows],
                [r.workspace_id for r in rows], [r.sequence for r in rows], [r.event_id for r in rows],
                [r.began_at for r in rows], [r.last_at for r in rows],
                [None if r.value is None else orjson.dumps(r.value).decode() for r in rows],
                [r.is_ended for r in rows], [r.expires_at for r in rows],
            )  # fmt: skip
            await self.fetch("merge_living", *columns)

    async def keep_live(self, users: Collection[str], now: datetime) -> dict[Pair, int]:
        """Keep the counts of those of these users that have a live session; (user, workspace) → birth."""
        if not users:
            return {}
        return births_of(await self.fetch("warm_live", list(users), now))

    async def keep(self, users: Collection[Pair], now: datetime) -> dict[Pair, int]:
        """Keep the counts of these (user, workspace); → birth."""
        if not users:
            return {}
        return births_of(await self.fetch("warm_given", *zip(*sorted(users), strict=True), now))

    async def births(self, users: Collection[Pair]) -> dict[Pair, int]:
        """Births of those of these (user, workspace) whose counts are kept."""
        if not users:
            return {}
        return births_of(await self.fetch("warm_births", *zip(*sorted(users), strict=True)))


def births_of(rows: Iterable[asyncpg.Record]) -> dict[Pair, int]:
    """(user, workspace) → birth."""
    return {(row["user_id"], row["workspace_id"]): row["birth"] for row in rows}


def pairs_of(rows: Iterable[asyncpg.Record]) -> set[Pair]:
    """Rows of two columns as text."""
    return {(str(row[0]), str(row[1])) for row in rows}


def parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Cut into parts of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))
