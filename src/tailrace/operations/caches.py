"""Fill, rebuild and look at the caches in Redis."""

import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
from redis.exceptions import RedisError

from tailrace.addresses import resolve
from tailrace.consumers.redis.filling import NOBODY, PAGE_CHANNELS, Filler, Rebuild
from tailrace.consumers.redis.lanes import OpenReader
from tailrace.consumers.redis.reading import Reader, Wanted
from tailrace.consumers.redis.state import CacheState
from tailrace.consumers.redis.store import Store
from tailrace.consumers.redis.writing import CacheWriter, Clock, utc_now
from tailrace.errors import PreconditionError, UnreachableError
from tailrace.projections.caches import Keys
from tailrace.settings import Settings

HELD_S: Final = 10.0
"""A rebuild whose owner has not been heard of for so long may be gone on with."""

WARM_USERS: Final = 2_000
"""Whose counts are filled at once."""

Watch = Callable[[str, int, int], None]
"""Told (stage, keys done, keys expected)."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What was filled: channels with their list and members, and users with their unread counts."""

    channels: int
    users: int


@dataclass(slots=True)
class Caches:
    """Both stores, opened by `caches`; `open_reader` makes more connections to PostgreSQL."""

    reader: Reader
    open_reader: OpenReader
    writer: CacheWriter
    settings: Settings
    clock: Clock


@asynccontextmanager
async def caches(settings: Settings, clock: Clock = utc_now) -> AsyncIterator[Caches]:
    """Open both stores. Raises `UnreachableError` and `PreconditionError` where the database has no tables yet."""
    addresses = resolve(settings)
    store = Store(addresses.redis, cluster=settings.redis.cluster)
    keys = Keys(settings.redis.key_prefix, settings.redis.cluster)

    async def open_reader() -> Reader:
        connection = await asyncpg.connect(
            addresses.postgres,
            timeout=settings.postgres.connect_timeout_s,
            statement_cache_size=settings.postgres.statement_cache_size,
        )
        return Reader(connection, settings.postgres)

    try:
        reader = await open_reader()
        try:
            yield Caches(reader, open_reader, CacheWriter(store, keys, clock), settings, clock)
        finally:
            await reader.connection.close(timeout=5)
    except asyncpg.UndefinedTableError as error:
        raise PreconditionError("the database has no tables for the caches yet", fix="tailrace db migrate") from error
    except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
        raise UnreachableError(f"PostgreSQL: {type(error).__name__}", fix="tailrace doctor") from error
    except RedisError as error:
        raise UnreachableError(f"Redis: {type(error).__name__}", fix="tailrace doctor") from error
    finally:
        await store.close()


async def warm(settings: Settings, workspace_id: str | None = None, watch: Watch = lambda *_: None) -> Filled:
    """Fill recent messages, members and unread counts of everybody, in one workspace or in all (ruling 52).

    What is there already and newer stays. From now on the counts of these users are kept.
    """
    async with caches(settings) as opened:
        channels = await _warm_channels(opened, workspace_id, watch)
        users = await _warm_users(opened, workspace_id, watch)
    return Filled(channels, users)


async def _warm_channels(opened: Caches, workspace_id: str | None, watch: Watch) -> int:
    done, after = 0, NOBODY
    while rows := await opened.reader.fetch("page_channels", after, workspace_id, PAGE_CHANNELS):
        channels = {row["key"] for row in rows}
        await opened.writer.refresh(opened.reader, Wanted(lists=channels, members=set(channels)))
        done, after = done + len(rows), rows[-1]["key"]
        watch("channels", done, done)
    return done


async def _warm_users(opened: Caches, workspace_id: str | None, watch: Watch) -> int:
    done, after = 0, NOBODY
    while rows := await opened.reader.fetch("page_readers", after, workspace_id, WARM_USERS):
        births = await opened.reader.keep({(row["user_id"], row["workspace_id"]) for row in rows}, opened.clock())
        if await opened.writer.unread.give_birth(opened.reader, births):
            raise UnreachableError("Redis goes on losing unread counts while they are filled", fix="tailrace doctor")
        done, after = done + len(rows), rows[-1]["user_id"]
        watch("users", done, done)
    return done


async def rebuild(
    settings: Settings, scope: str = "everything", scope_id: str | None = None, watch: Watch = lambda *_: None
) -> Rebuild:
    """Write every key of the scope anew from PostgreSQL, each replaced whole, while live writes go on.

    `scope` is `everything`, or `workspace`, `channel`, `user` with an id. One that was interrupted goes on where it
    was. Raises `PreconditionError` while somebody else rebuilds the same.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}"
    async with caches(settings) as opened:
        taken = await _take(opened.reader, scope, scope_id, owner)
        filler = Filler(opened.reader, opened.open_reader, opened.writer, owner, opened.clock)
        await filler.run(taken, watch)
    return taken


async def _take(reader: Reader, scope: str, scope_id: str | None, owner: str) -> Rebuild:
    for row in await reader.fetch("unfinished_rebuilds", HELD_S):
        if row["scope"] == scope and (row["scope_id"] is None or str(row["scope_id"]) == scope_id):
            taken = await reader.fetch("take_rebuild", row["generation"], owner, HELD_S)
            if not taken:
                raise PreconditionError(
                    f"{row['owner']} is rebuilding the same", fix="wait for it, or ten seconds if it was killed"
                )
            place = taken[0]
            return Rebuild(
                row["generation"], scope, scope_id, place["stage"], place["after_key"], place["done"],
                place["total"] or 0,
            )  # fmt: skip
    made = await reader.fetch("open_rebuild", scope, scope_id, "asked for", owner)
    if not made:
        raise PreconditionError("somebody else is rebuilding everything", fix="try again in a moment")
    return Rebuild(made[0]["generation"], scope, scope_id)


async def repair(settings: Settings, keys: Sequence[tuple[str, tuple[str, ...]]]) -> int:
    """Write exactly these keys anew: (family, ids in the key's name) as `verify redis` lists them; how many it wrote.

    A key that nobody has a reason for is removed. Lifetimes and late signals are not repaired: such keys end soon.
    """
    done = 0
    async with caches(settings) as opened:
        # A generation of its own: what is wrong under the right stamp would count as written already.
        made = await opened.reader.fetch("open_rebuild", "channel", NOBODY, "repair", "repair")
        generation = made[0]["generation"]
        await opened.reader.fetch("finish_rebuild", generation, "repair")
        wanted, users = Wanted(), set()
        for family, ids in keys:
            done += 1
            match family:
                case "recent_messages":
                    wanted.lists.add(ids[0])
                case "channel_members":
                    wanted.members.add(ids[0])
                case "unread_counts":
                    users.add((ids[0], ids[1]))
                case "session" | "connection" | "presence":
                    wanted.living.add((family, ":".join(ids)))
                case _:
                    done -= 1
        await opened.writer.refresh(opened.reader, wanted)
        births = await opened.reader.births(users)
        await opened.writer.unread.give_birth(opened.reader, births, anew=True)
        await opened.writer.unread.drop_unknown(users - births.keys())
        await _drop_unwritten(opened, keys, generation)
    return done


async def _drop_unwritten(opened: Caches, keys: Sequence[tuple[str, tuple[str, ...]]], generation: int) -> None:
    names = opened.writer.keys
    guarded = {"recent_messages", "channel_members", "session", "connection", "presence"}
    calls = [
        ("drop_older", names.pair(family, *ids), (f"{generation:06d}",)) for family, ids in keys if family in guarded
    ]
    await opened.writer.store.call(calls)


async def are_whole(settings: Settings) -> bool:
    """Whether a worker has filled the caches since Redis was last emptied, restarted or failed over."""
    store = Store(resolve(settings).redis, cluster=settings.redis.cluster)
    try:
        return (await CacheState(store, Keys(settings.redis.key_prefix, settings.redis.cluster)).look()).is_ready
    except (RedisError, OSError):
        return False
    finally:
        await store.close()
