"""The Redis worker's side of a batch: wait for PostgreSQL, read what is dirty, write it stamped, move the progress.

Every step may be repeated from the first on, by anybody, at any later time: the merges of signals follow Rule R, reads
are of the newest state, and writes are refused where Redis holds something newer.
"""

from collections.abc import Mapping
from contextlib import suppress

import structlog

from tailrace.consumers.batch import Batch, Outcome
from tailrace.consumers.crash_points import crash_point
from tailrace.consumers.postgres import sink as postgres
from tailrace.consumers.redis.following import FollowerProgress
from tailrace.consumers.redis.reading import Reader, Wanted
from tailrace.consumers.redis.state import CacheState
from tailrace.consumers.redis.store import RETRYABLE, Store
from tailrace.consumers.redis.writing import CacheWriter, Clock, utc_now
from tailrace.consumers.redriven import redriven_from
from tailrace.errors import UnreachableError
from tailrace.projections.caches import Keys, add_whole_key, dirty_of, fold_living, newest_typing, recent_posts
from tailrace.projections.registry import POSTGRES, Projection
from tailrace.settings import Settings

log = structlog.get_logger()


class Expansion:
    """Widens a batch's keys by what its events reach: everything that depends on people, workspaces and memberships."""

    def __init__(self, batch: Batch, topics: Mapping[str, str]) -> None:
        self.dirty = dirty_of(batch.events)
        for event in batch.events:
            if redriven_from(batch.record_of(event, topics)) is not None:
                # What waited behind it is applied with it, and was dirty in vain when it came.
                add_whole_key(self.dirty, event)

    async def __call__(self, reader: Reader, wanted: Wanted) -> None:
        """Add to `wanted`."""
        dirty = self.dirty
        await reader.expand(dirty)
        wanted.lists |= dirty.lists
        wanted.members |= dirty.members
        wanted.counts |= dirty.counts
        wanted.pairs |= dirty.pairs
        people = dirty.erased | {user_id for _, user_id in dirty.memberships}
        wanted.living |= await reader.living_of(people, dirty.deleted_workspaces)


class RedisSink:
    """The Redis side of one worker."""

    alone: frozenset[str] = frozenset()

    def __init__(self, dsn: str, url: str, settings: Settings, projection: Projection, clock: Clock = utc_now) -> None:
        topics = {short: settings.topic(short) for short in projection.topics}
        self.topics: Mapping[str, str] = topics
        self.progress = FollowerProgress(dsn, settings.postgres, projection, POSTGRES)
        self.progress.may_skip_in([topics["signals"]])
        self.store = Store(url, cluster=settings.redis.cluster)
        self.writer = CacheWriter(self.store, Keys(settings.redis.key_prefix, settings.redis.cluster), clock)
        self.progress.check_before_claims(self._may_be_used)
        self._clock = clock
        self._server: str | None = None
        self._generation = 0
        """Who had the keys when they were looked at last, and the newest generation that was written there."""

    def is_retryable(self, error: BaseException) -> bool:
        """Whether the same call may well succeed when made again."""
        return isinstance(error, (*RETRYABLE, UnreachableError)) or postgres.is_retryable(error)

    def is_unreachable(self, error: BaseException) -> bool:
        """Whether a server does not answer, or the leader has not come so far: it is tried again for ever."""
        return isinstance(error, (*RETRYABLE, UnreachableError)) or postgres.is_unreachable(error)

    def discard(self) -> None:
        """Drop the connection to PostgreSQL and the copies of lists."""
        self.progress.discard()
        self.writer.lists.forget()

    async def close(self) -> None:
        """Close all connections."""
        await self.progress.close()
        await self.store.close()

    def prefetch(self, batch: Batch) -> None:
        """Nothing is read ahead."""

    async def apply(self, batch: Batch) -> Outcome:
        """Apply a batch and move its progress; at least once, which is as good as once.

        Events that a projection failed on become dead letters of this one; what the contract refuses is recorded once,
        by the projection `postgres`. Raises `FencedError` with nothing moved: what was written was right whoever wrote
        it. Raises `PreconditionError` where Redis evicts keys without a lifetime.
        """
        await self._look_at_server()
        await self.progress.leader_has_applied(batch.spans)
        reader = await self.progress.reader()
        now = self._clock()
        living = fold_living(batch.events, now)
        await reader.merge_living(living)
        expansion = Expansion(batch, self.topics)
        sessions = {row.user_id for row in living if row.kind == "session"}
        births = await reader.keep_live(sessions | expansion.dirty.joined, now)
        wanted = Wanted(
            living={(row.kind, row.key) for row in living},
            posts=recent_posts(batch.events, now),
            typing=newest_typing(batch.events, now),
        )
        await self.writer.refresh(reader, wanted, expand=expansion)
        if expansion.dirty.deleted_workspaces:
            await self.writer.remove_workspaces(reader, expansion.dirty.deleted_workspaces)
        if await self.writer.unread.give_birth(reader, births):
            raise UnreachableError("Redis goes on losing unread counts while they are written", fix="tailrace doctor")
        self._generation = max(self._generation, reader.generation)
        crash_point("cached")
        refused = await self.progress.move(batch, self.topics)
        crash_point("followed")
        return Outcome(events=len(batch.events), refused=refused)

    async def _may_be_used(self) -> None:
        """Raise `PreconditionError` for a server that must not be used; one that does not answer is asked again."""
        with suppress(*RETRYABLE, OSError, TimeoutError):
            await self._look_at_server()

    async def _look_at_server(self) -> None:
        """Check a server that was not there before.

        A primary that was deposed takes writes for as long as it does not know of it. What we wrote there was not yet
        in the caches' new place when that was filled, if the fill began before we read it: then it must be filled once
        more.
        """
        identity = await self.store.identity()
        if identity == self._server:
            return
        await self.store.check_policy()
        if self._server is not None:
            is_doubted = await CacheState(self.store, self.writer.keys).doubt(self._generation)
            log.warning("redis_changed", generation=self._generation, is_doubted=is_doubted)
        self._server = identity
