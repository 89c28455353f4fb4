"""Progress of a projection that follows another: it reads what the leader has written, so it waits for it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import asyncpg

from tailrace.consumers.batch import Batch, Span, TopicPartition
from tailrace.consumers.postgres.letters import settle_for_follower
from tailrace.consumers.postgres.progress_store import ProgressStore, Spans
from tailrace.consumers.postgres.session import Session
from tailrace.consumers.progress import Claim
from tailrace.consumers.redis.reading import Reader
from tailrace.projections.registry import Projection
from tailrace.settings import PostgresSettings

WAIT_MAX_S = 60.0
"""Time for the leader to come to where a batch ends; then the batch is tried again."""
POLL_FIRST_S = 0.005
POLL_MAX_S = 0.1


class LeaderBehindError(TimeoutError):
    """The projection that this one follows has not applied the batch yet."""


class FollowerProgress(ProgressStore):
    """Progress rows of a follower, and how far its leader is."""

    def __init__(self, dsn: str, settings: PostgresSettings, projection: Projection, leader: Projection) -> None:
        super().__init__(dsn, settings, projection.name, projection.version)
        self._follower_settings = settings
        self._leader = leader
        self._may_skip: frozenset[str] = frozenset()
        self._check: Callable[[], Awaitable[None]] | None = None

    def may_skip_in(self, topics: Iterable[str]) -> None:
        """In these topics (full names), records that retention has removed are of no use to this projection."""
        self._may_skip = frozenset(topics)

    def check_before_claims(self, check: Callable[[], Awaitable[None]]) -> None:
        """Let `check` raise what keeps this worker from beginning at all."""
        self._check = check

    async def claim(self, beginnings: Mapping[TopicPartition, int], owner: str) -> dict[TopicPartition, Claim]:
        """Claim as always, but pass over lost records where they may be skipped instead of halting there."""
        if self._check is not None:
            await self._check()
        claims = await super().claim(beginnings, owner)
        reader = await self.reader()
        for partition, claim in claims.items():
            beginning = beginnings[partition]
            if partition.topic in self._may_skip and claim.next_offset < beginning and claim.halted_code is None:
                position = (self.projection, self.version, *partition, claim.epoch, beginning)
                await reader.fetch("skip_lost", *position)
                claims[partition] = Claim(partition, beginning, claim.epoch, None, None)
        return claims

    async def reader(self) -> Reader:
        """The statements of the caches, on this connection."""
        return Reader(await self.connection(), self._follower_settings)

    async def leader_has_applied(self, spans: Spans) -> None:
        """Return once the leader has applied what the spans hold; `LeaderBehindError` if that takes too long."""
        reader = await self.reader()
        topics = sorted({partition.topic for partition in spans})
        deadline = asyncio.get_running_loop().time() + WAIT_MAX_S
        pause = POLL_FIRST_S
        while True:
            rows = await reader.fetch("leader_positions", self._leader.name, self._leader.version, topics)
            if not _missing(rows, spans):
                return
            if asyncio.get_running_loop().time() >= deadline:
                raise LeaderBehindError(f"{self._leader.name} is behind")
            await asyncio.sleep(pause)
            pause = min(pause * 2, POLL_MAX_S)

    async def move(self, batch: Batch, topics: Mapping[str, str]) -> int:
        """Move the progress and keep the batch's dead letters, in a transaction of their own; returns the refused.

        `topics` maps short to full names. Raises `FencedError` where the progress is not ours.
        """
        connection = await self.connection()
        session = Session(connection, self.statements)
        await connection.execute("BEGIN")
        try:
            if await self.advance(session, batch.spans):
                refused = await settle_for_follower(session, self.projection, topics, batch)
                await connection.execute("COMMIT")
                return refused
        finally:
            if connection.is_in_transaction():
                await connection.execute("ROLLBACK")
        await self.explain_fence(batch.spans)
        return 0


def _missing(rows: Iterable[asyncpg.Record], spans: Mapping[TopicPartition, Span]) -> bool:
    held = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
    return any(held.get(partition, 0) < span.reached for partition, span in spans.items())
