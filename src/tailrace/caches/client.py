"""The reader's side of the caches.

What is in Redis is right; what is absent there is read from PostgreSQL and put there in step with the worker, by the
same stamped writes. While Redis does not answer, PostgreSQL answers alone.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import orjson
import structlog
from redis.exceptions import RedisError

from tailrace.addresses import resolve
from tailrace.caches.flights import Flights
from tailrace.consumers.redis.reading import Reader, UserCounts, Wanted
from tailrace.consumers.redis.store import Store
from tailrace.consumers.redis.values import living_pair
from tailrace.consumers.redis.writing import CacheWriter, Clock, utc_now
from tailrace.errors import UnreachableError
from tailrace.projections.caches import Keys, milliseconds
from tailrace.settings import Settings

log = structlog.get_logger()

CONNECTIONS_MAX: Final = 4
"""To PostgreSQL, for what is absent in Redis."""
ACQUIRE_TIMEOUT_S: Final = 10.0

_MAY_NOT_WRITE: Final = (asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)


class Caches:
    """The caches of one instance, for reading; made by `open_caches`. Safe for many tasks of one loop.

    Ids are canonical UUID texts, times in answers RFC 3339 texts, as CONTRACT section 3 lists the values. Raises
    `asyncpg` errors where PostgreSQL is needed and does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, store: Store, settings: Settings, clock: Clock) -> None:
        self._pool = pool
        self._store = store
        self._settings = settings
        self._keys = Keys(settings.redis.key_prefix, settings.redis.cluster)
        self._clock = clock
        self._flights = Flights()

    async def recent_messages(self, channel_id: str) -> list[dict[str, Any]]:
        """The newest 100 visible messages of a channel, newest first; empty for an unknown or deleted one."""
        key = self._keys.name("recent_messages", channel_id)

        async def read() -> list[dict[str, Any]]:
            return [orjson.loads(item) for item in await self._store.one("LRANGE", key, 0, -1, key=key)]

        async def directly(reader: Reader) -> list[dict[str, Any]]:
            async with reader.snapshot():
                ((_, _, items),) = await reader.lists([channel_id])
            return [orjson.loads(item) for item in items]

        found: list[dict[str, Any]] = await self._through(key, read, Wanted(lists={channel_id}), directly)
        return found

    async def channel_members(self, channel_id: str) -> list[str]:
        """Active members of a channel, sorted; empty for an unknown or deleted one."""
        key = self._keys.name("channel_members", channel_id)

        async def read() -> list[str]:
            value = await self._store.one("GET", key, key=key)
            return orjson.loads(value)["members"] if value else []

        async def directly(reader: Reader) -> list[str]:
            async with reader.snapshot():
                (found,) = await reader.members([channel_id])
            return sorted(found.members)

        found: list[str] = await self._through(key, read, Wanted(members={channel_id}), directly)
        return found

    async def session(self, session_id: str) -> dict[str, Any] | None:
        """A live session; None where there is none."""
        return await self._living("session", session_id)

    async def connection(self, connection_id: str) -> dict[str, Any] | None:
        """An open connection; None where there is none."""
        return await self._living("connection", connection_id)

    async def presence(self, user_id: str, workspace_id: str) -> dict[str, Any] | None:
        """A user's presence in a workspace; None where nothing has been heard for five minutes."""
        return await self._living("presence", f"{user_id}:{workspace_id}")

    async def _living(self, kind: str, one: str) -> dict[str, Any] | None:
        key, _ = living_pair(self._keys, kind, one)

        async def read() -> dict[str, Any] | None:
            value = await self._store.one("GET", key, key=key)
            return orjson.loads(value) if value else None

        async def directly(reader: Reader) -> dict[str, Any] | None:
            async with reader.snapshot():
                states = await reader.living([(kind, one)])
            now_ms = milliseconds(self._clock())
            alive = [state.value for state in states if state.value and state.ends_ms > now_ms]
            return orjson.loads(alive[0]) if alive else None

        found: dict[str, Any] | None = await self._through(key, read, Wanted(living={(kind, one)}), directly)
        return found

    async def unread_counts(self, user_id: str, workspace_id: str) -> dict[str, int]:
        """Unread messages by channel, rule U; channels without any are left out.

        From the first question on the user's counts are kept in Redis, for a day after the last one.
        """
        user = user_id, workspace_id
        counts, guard = self._keys.pair("unread_counts", *user)

        async def fill() -> dict[str, int]:
            async with self._reader() as reader:
                try:
                    births = await reader.keep({user}, self._clock())
                    writer = CacheWriter(self._store, self._keys, self._clock)
                    if not await writer.unread.give_birth(reader, births):
                        return _counts(await self._store.one("HGETALL", counts, key=counts))
                except (RedisError, UnreachableError, *_MAY_NOT_WRITE) as error:
                    log.warning("cache_not_filled", family="unread_counts", error=type(error).__name__)
                async with reader.snapshot():
                    return _shown((await reader.counts_of([user]))[0])

        try:
            state, found = await self._store.run([("HMGET", guard, "~", "="), ("HGETALL", counts)], [guard, counts])
            if state[0] is None and state[1] is not None and len(found) // _width(found) == int(state[1]):
                return _counts(found)
        except RedisError as error:
            log.warning("cache_not_read", family="unread_counts", error=type(error).__name__)
        filled: dict[str, int] = await self._flights.fly(counts, fill)
        return filled

    async def _through(
        self,
        key: str,
        read: Callable[[], Awaitable[Any]],
        wanted: Wanted,
        directly: Callable[[Reader], Awaitable[Any]],
    ) -> Any:
        """What `read` finds in Redis, else what is there after a fill, else what PostgreSQL says."""
        try:
            if found := await read():
                return found
        except RedisError as error:
            log.warning("cache_not_read", error=type(error).__name__)

        async def fill() -> Any:
            async with self._reader() as reader:
                try:
                    await CacheWriter(self._store, self._keys, self._clock).refresh(reader, wanted)
                    return await read()
                except (RedisError, UnreachableError) as error:
                    log.warning("cache_not_filled", error=type(error).__name__)
                return await directly(reader)

        return await self._flights.fly(key, fill)

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[Reader]:
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
            yield Reader(connection, self._settings.postgres)

    async def close(self) -> None:
        """Cancel what is under way and close all connections."""
        await self._flights.ground()
        await self._store.close()


def _width(pairs: object) -> int:
    """Items that HGETALL's answer has for each field: two in a list, one in a mapping."""
    return 1 if isinstance(pairs, dict) else 2


def _counts(answer: Any) -> dict[str, int]:
    pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
    return {channel_id.decode(): int(count) for channel_id, count in pairs}


def _shown(counts: UserCounts) -> dict[str, int]:
    return {str(channel_id): int(count) for channel_id, count in zip(counts[::3], counts[2::3], strict=True) if count}


@asynccontextmanager
async def open_caches(settings: Settings, clock: Clock = utc_now) -> AsyncIterator[Caches]:
    """Open the caches for reading. Raises `UnreachableError` where nobody says where a server is.

    Whether the servers answer is found out by the first question.
    """
    addresses = resolve(settings)
    store = Store(addresses.redis, cluster=settings.redis.cluster)
    async with asyncpg.create_pool(
        addresses.postgres, min_size=0, max_size=CONNECTIONS_MAX, timeout=settings.postgres.connect_timeout_s,
        statement_cache_size=settings.postgres.statement_cache_size,
        server_settings={"application_name": "tailrace caches"},
    ) as pool:  # fmt: skip
        caches = Caches(pool, store, settings, clock)
        try:
            yield caches
        finally:
            await caches.close()
