"""What the Redis worker does beside applying: notices that Redis has lost its memory and fills it, and tidies up.

Marks of ours (`state.py`) say `ready` with the generation that filled the caches and who had them then. They go with
them when somebody empties Redis, and do not fit any more after a restart or a fail-over; in both cases everything is
filled again, by the one worker that gets hold of the rebuild.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

import asyncpg
import structlog
from redis.exceptions import RedisError

from tailrace.consumers.redis.filling import Filler, LostRebuildError, Rebuild
from tailrace.consumers.redis.reading import Reader, births_of
from tailrace.consumers.redis.state import CacheState, Seen
from tailrace.consumers.redis.store import Store
from tailrace.consumers.redis.writing import CacheWriter, Clock, utc_now
from tailrace.errors import UnreachableError
from tailrace.projections.caches import LIVING_KEPT, Keys
from tailrace.settings import Settings

log = structlog.get_logger()

ROUND_S: Final = 0.5
TIDY_EVERY_ROUNDS: Final = 120
HELD_S: Final = 10.0
"""A rebuild whose owner has not been heard of for so long is taken over."""
COUNTS_KEPT: Final = timedelta(days=1)
"""Unread counts of users without a live session are kept for so long after they were asked for."""
COOL_MAX: Final = 5_000

FAULTS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, RedisError, OSError, TimeoutError, UnreachableError)


class Caretaker:
    """Runs beside one Redis worker, on connections of its own; every fault is logged and tried again."""

    def __init__(self, dsn: str, url: str, settings: Settings, owner: str, clock: Clock = utc_now) -> None:
        self._dsn = dsn
        self._settings = settings
        self._owner = owner
        self._clock = clock
        self.store = Store(url, cluster=settings.redis.cluster)
        self._keys = Keys(settings.redis.key_prefix, settings.redis.cluster)
        self._writer = CacheWriter(self.store, self._keys, clock)
        self._state = CacheState(self.store, self._keys)
        self._connection: asyncpg.Connection | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Look after the caches until `stopping` is set."""
        rounds = 0
        while not stopping.is_set():
            try:
                await self.look()
                if rounds % TIDY_EVERY_ROUNDS == 0:
                    await self.tidy()
            except FAULTS as error:
                log.warning("caretaker_failed", error=type(error).__name__)
                self.discard()
            except Exception:
                # Whatever it is: without somebody who looks, an emptied Redis would stay empty.
                log.exception("caretaker_failed")
                self.discard()
            rounds += 1
            try:
                await asyncio.wait_for(stopping.wait(), ROUND_S)
            except TimeoutError:
                continue
        await self.close()

    async def look(self) -> bool:
        """Whether the caches are complete; fills them if they are not and nobody else does."""
        seen = await self._state.look()
        if seen.is_ready:
            await self._go_on()
            return True
        reader = await self._reader()
        rebuild = await self._take(reader, seen)
        if rebuild is None:
            return False
        if not await self._state.fill(rebuild.generation, seen):
            rebuild.stage, rebuild.after_key, rebuild.done = 0, "", 0
        log.warning("caches_filling", generation=rebuild.generation, stage=rebuild.stage)
        try:
            await self._filler(reader).run(rebuild)
        except LostRebuildError:
            return False
        is_whole = await self._state.finish(rebuild.generation, seen)
        log.info("caches_filled", generation=rebuild.generation, keys=rebuild.done, is_whole=is_whole)
        return is_whole

    async def _go_on(self) -> None:
        """Fill everything under a generation that somebody opened and left; meanwhile the one before is shown."""
        reader = await self._reader()
        for row in await reader.fetch("unfinished_rebuilds", HELD_S):
            if row["scope"] == "everything" and not row["is_held"]:
                rebuild = await self._taken(reader, row)
                if rebuild is not None:
                    log.warning("caches_filling", generation=rebuild.generation, stage=rebuild.stage)
                    with suppress(LostRebuildError):
                        await self._filler(reader).run(rebuild)
                        log.info("caches_filled", generation=rebuild.generation, keys=rebuild.done, is_whole=True)

    async def _take(self, reader: Reader, seen: Seen) -> Rebuild | None:
        """The rebuild of everything to go on with: one that was abandoned, else a new one; None if somebody has it."""
        for row in await reader.fetch("unfinished_rebuilds", HELD_S):
            if row["scope"] == "everything":
                if row["is_held"] and row["owner"] != self._owner:
                    return None
                return await self._taken(reader, row)
        reason = "empty" if seen.is_empty or seen.is_known else "restarted"
        made = await reader.fetch("open_rebuild", "everything", None, reason, self._owner)
        return Rebuild(made[0]["generation"], "everything", None) if made else None

    async def _taken(self, reader: Reader, row: asyncpg.Record) -> Rebuild | None:
        taken = await reader.fetch("take_rebuild", row["generation"], self._owner, HELD_S)
        if not taken:
            return None
        place = taken[0]
        return Rebuild(
            row["generation"], "everything", None, place["stage"], place["after_key"], place["done"],
            place["total"] or 0,
        )  # fmt: skip

    async def tidy(self) -> None:
        """Forget signals of the past and the counts that nobody asks for."""
        now = self._clock()
        reader = await self._reader()
        await reader.fetch("forget_living", now - LIVING_KEPT)
        cooled = births_of(await reader.fetch("cool_users", now - COUNTS_KEPT, now, COOL_MAX))
        if cooled:
            await self._writer.unread.drop(cooled)
            log.info("counts_dropped", users=len(cooled))

    def _filler(self, reader: Reader) -> Filler:
        return Filler(reader, self._open_reader, self._writer, self._owner, self._clock)

    async def _reader(self) -> Reader:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return Reader(self._connection, self._settings.postgres)

    async def _open_reader(self) -> Reader:
        return Reader(await self._connect(), self._settings.postgres)

    async def _connect(self) -> asyncpg.Connection:
        postgres = self._settings.postgres
        return await asyncpg.connect(
            self._dsn, timeout=postgres.connect_timeout_s, command_timeout=postgres.statement_timeout_ms / 1000 + 5,
            statement_cache_size=postgres.statement_cache_size,
            server_settings={"application_name": "tailrace worker redis: caretaker"},
        )  # fmt: skip

    def discard(self) -> None:
        """Drop the connection to PostgreSQL."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        """Close all connections."""
        self.discard()
        await self.store.close()
