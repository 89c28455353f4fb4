"""Redis as the caches use it: one library of functions, many calls at once, one connection each time.

Commands are packed and sent by redis-py's own connections instead of its pipelines: measured half the client time, and
reconnecting, TLS and authentication stay the library's. A call that is cancelled or fails drops its connection: a reply
that nobody read would be taken for the next one's.
"""

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, Final

import structlog
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.crc import key_slot
from redis.exceptions import (
    BusyLoadingError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from tailrace.errors import PreconditionError

log = structlog.get_logger()

CALLS_MAX: Final = 1_000
"""Calls that are sent before their answers are read."""
CONNECTIONS_MAX: Final = 8
CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 15.0
RETRYABLE: Final = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, TryAgainError)

Argument = str | bytes | int
Call = tuple[str, tuple[str, ...], Sequence[Argument]]
"""(function, keys, arguments); the first key decides the slot."""


def _library() -> tuple[str, str]:
    """Name and text of the function library; the name follows from the text, so versions live side by side."""
    text = (files("tailrace.consumers.redis") / "tailrace.lua").read_text(encoding="utf-8")
    name = f"tailrace_{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
    return name, text.replace("@library@", name)


LIBRARY_NAME, LIBRARY_TEXT = _library()


class Store:
    """The server (or cluster) at one address. Raises what `RETRYABLE` holds where it does not answer."""

    def __init__(self, url: str, *, cluster: bool = False) -> None:
        options: dict[str, Any] = {
            "socket_timeout": ANSWER_TIMEOUT_S,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "health_check_interval": 0,
        }
        self._cluster: RedisCluster | None = RedisCluster.from_url(url, **options) if cluster else None
        self._pool = ConnectionPool.from_url(url, max_connections=CONNECTIONS_MAX, **options)

    async def call(self, calls: Iterable[Call]) -> list[Any]:
        """Answers of function calls, in their order. A function that failed raises `ResponseError`."""
        commands = [
            ("FCALL", f"{LIBRARY_NAME}_{function}", len(keys), *keys, *arguments) for function, keys, arguments in calls
        ]
        return await self.run(commands, [command[3] for command in commands])

    async def run(self, commands: Sequence[Sequence[Argument]], keys: Sequence[Any]) -> list[Any]:
        """Answers of commands; `keys` names for each of them a key of the slot it belongs to."""
        answers: list[Any] = [None] * len(commands)
        for node, places in (await self._by_node(keys)).items():
            for start in range(0, len(places), CALLS_MAX):
                part = places[start : start + CALLS_MAX]
                found = await self._send(node, [commands[place] for place in part])
                for place, answer in zip(part, found, strict=True):
                    answers[place] = answer
        return answers

    async def one(self, *command: Argument, key: str) -> Any:
        """Answer of one command about one key."""
        return (await self.run([command], [key]))[0]

    async def everywhere(self, *command: Argument) -> list[Any]:
        """Answers of one command by every primary node."""
        return [(await self._send(node, [command]))[0] for node in await self._nodes()]

    async def scan(self, match: str, count: int = 1_000) -> AsyncIterator[list[bytes]]:
        """Keys by pattern, page by page; some may come twice, and those made meanwhile may be missing."""
        for node in await self._nodes():
            cursor: bytes = b"0"
            while True:
                cursor, page = (await self._send(node, [("SCAN", cursor, "MATCH", match, "COUNT", count)]))[0]
                yield page
                if cursor in {b"0", "0"}:
                    break

    async def identity(self) -> str:
        """Run ids of the servers: another one means a restart or a fail-over, after which anything may be missing."""
        found = []
        for text in await self.everywhere("INFO", "server"):
            lines = text.decode().splitlines()
            found += [line.partition(":")[2] for line in lines if line.startswith("run_id:")]
        return ",".join(sorted(found))

    async def check_policy(self) -> None:
        """Raise `PreconditionError` where the server evicts keys that have no lifetime: lists would just vanish."""
        for text in await self.everywhere("INFO", "memory"):
            for line in text.decode().splitlines():
                if line.startswith("maxmemory_policy:allkeys"):
                    raise PreconditionError(
                        f"Redis evicts keys without a lifetime ({line.partition(':')[2].strip()})",
                        fix="set maxmemory-policy to noeviction or one of volatile-*",
                    )

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.disconnect()
        if self._cluster is not None:
            await self._cluster.aclose()

    async def _nodes(self) -> list[Any]:
        if self._cluster is None:
            return [None]
        await self._cluster.initialize()
        return list(self._cluster.get_primaries())

    async def _by_node(self, keys: Sequence[Any]) -> dict[Any, list[int]]:
        if self._cluster is None:
            return {None: list(range(len(keys)))} if keys else {}
        await self._cluster.initialize()
        places: dict[Any, list[int]] = {}
        for place, key in enumerate(keys):
            node = self._cluster.nodes_manager.get_node_from_slot(key_slot(_bytes(key)))
            places.setdefault(node, []).append(place)
        return places

    async def _send(self, node: Any, commands: list[Sequence[Argument]]) -> list[Any]:
        answers = await self._exchange(node, commands)
        if any(_is_unknown_function(answer) for answer in answers):
            log.info("functions_loaded", library=LIBRARY_NAME)
            loaded = await self._exchange(node, [("FUNCTION", "LOAD", "REPLACE", LIBRARY_TEXT)])
            _raise_first(loaded)
            again = [place for place, answer in enumerate(answers) if _is_unknown_function(answer)]
            for place, answer in zip(again, await self._exchange(node, [commands[i] for i in again]), strict=True):
                answers[place] = answer
        _raise_first(answers)
        return answers

    async def _exchange(self, node: Any, commands: list[Sequence[Argument]]) -> list[Any]:
        async with self._connection(node) as connection:
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            return [await _read(connection) for _ in commands]

    @asynccontextmanager
    async def _connection(self, node: Any) -> AsyncIterator[AbstractConnection]:
        if node is None:
            connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]  # its decorator is
        else:
            connection = node.acquire_connection()
            await connection.connect()
        try:
            yield connection
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            if node is None:
                await self._pool.release(connection)
            else:
                node.release(connection)


async def _read(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except RETRYABLE:
        raise
    except ResponseError as error:
        return error


def _is_unknown_function(answer: Any) -> bool:
    return isinstance(answer, ResponseError) and "Function not found" in str(answer)


def _raise_first(answers: Iterable[Any]) -> None:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer


def _bytes(key: Any) -> bytes:
    return key if isinstance(key, bytes) else str(key).encode()
