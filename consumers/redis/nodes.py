"""Where keys are: one server, or the primaries of a cluster by slot; and connections to them.

Written on redis-py's connections rather than on its cluster client, which loses a connection for good with every failed
attempt to reach a node, and names its errors outside of `RedisError`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection, BlockingConnectionPool
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
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

from tailrace.consumers.redis.calls import Argument, packed
from tailrace.errors import PreconditionError

CONNECTIONS_MAX: Final = 8
"""To each server; who needs a ninth waits."""
CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 15.0
SLOTS: Final = 16_384

Node = tuple[str, int] | None
"""Host and port; None is the server that the address in the settings leads to."""


class RefusingError(ResponseError):
    """The server takes no writes for now, whatever they are: its disk, its replicas or a script keep it from them."""


_REFUSING: Final = ("MISCONF", "NOREPLICAS", "BUSY")
_BETWEEN: Final = "attempted to access a non local key"
"""A function removed a key of a slot on its way and meant to write it again: it ended there. Its guard tells, and the
same call mends it where the slot goes."""
_GONE: Final = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError)
"""The connection is dropped: the next one may lead to a server that serves."""
RETRYABLE: Final = (
    *_GONE, AskError, ClusterDownError, NoPermissionError, OutOfMemoryError, RefusingError, TryAgainError
)  # fmt: skip
"""What says nothing about the command: the same one may well succeed later. (`AskError` is MOVED, too.)"""


class Nodes:
    """The server at one address, or the cluster that it belongs to. Raises what `RETRYABLE` holds."""

    def __init__(self, url: str, *, cluster: bool) -> None:
        self.is_cluster = cluster
        self._first = BlockingConnectionPool.from_url(
            url, max_connections=CONNECTIONS_MAX, timeout=ANSWER_TIMEOUT_S, socket_timeout=ANSWER_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S, health_check_interval=0,
        )  # fmt: skip
        self._pools: dict[Node, BlockingConnectionPool] = {None: self._first}
        self._owners: list[Node] = []
        """By slot; empty while it is not known."""
        self._guide: Node = None
        """Who was asked last for the owners, and knew them."""

    async def exchange(self, node: Node, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Answers of one server; where it refused a command, the error is the answer."""
        try:
            async with self._connection(node) as connection:
                await connection.send_packed_command([packed(commands)], check_health=False)
                return [await _read(connection) for _ in commands]
        except _GONE:
            self.forget()
            raise

    async def primaries(self) -> list[Node]:
        """Every server that has keys of its own."""
        if not self.is_cluster:
            return [None]
        await self._know()
        return list(dict.fromkeys(owner for owner in self._owners if owner is not None))

    async def owner(self, key: bytes) -> Node:
        """Who has this key, as far as is known here."""
        if not self.is_cluster:
            return None
        await self._know()
        owner = self._owners[key_slot(key)]
        if owner is None:
            self.forget()
            raise ClusterDownError(f"nobody serves slot {key_slot(key)}")
        return owner

    def moved(self, error: AskError) -> None:
        """Take note of the owner that a MOVED names."""
        if self._owners and error.host:
            self._owners[error.slot_id] = (error.host, error.port)
        else:
            self.forget()

    def forget(self) -> None:
        """Ask anew who has which slot before anything else is sent."""
        self._owners = []

    async def idle_connections_dropped(self) -> None:
        """Let the next command of every task go over a connection that is made then."""
        for pool in self._pools.values():
            await pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.disconnect()

    async def _know(self) -> None:
        if not self._owners:
            self._owners = await self._ask_around()

    async def _ask_around(self) -> list[Node]:
        """Owners of the slots as a server tells them that sees most of the cluster; else as any does.

        One that is cut off from the others goes on naming the owners of before.
        """
        failure: Exception = RedisConnectionError("no server of the cluster answers")
        doubtful: list[Node] = []
        for node in dict.fromkeys((self._guide, *self._pools)):
            try:
                told, state = await self.exchange(node, [("CLUSTER", "SLOTS"), ("CLUSTER", "INFO")])
            except _GONE as error:
                failure = error
                continue
            if isinstance(told, ResponseError):
                raise _not_clustered(told) from told
            owners = _owners(told, self._address(node))
            if isinstance(state, bytes) and b"cluster_state:ok" in state:
                self._guide = node
                return owners
            doubtful = doubtful or owners
        if doubtful:
            return doubtful
        raise failure

    def _address(self, node: Node) -> tuple[str, int]:
        options = self._first.connection_kwargs
        return node or (options.get("host", "localhost"), options.get("port", 6379))

    def _pool(self, node: Node) -> BlockingConnectionPool:
        if node not in self._pools:
            options = {**self._first.connection_kwargs, "host": self._address(node)[0], "port": self._address(node)[1]}
            self._pools[node] = BlockingConnectionPool(
                connection_class=self._first.connection_class, max_connections=CONNECTIONS_MAX,
                timeout=ANSWER_TIMEOUT_S, **options,
            )  # fmt: skip
        return self._pools[node]

    @asynccontextmanager
    async def _connection(self, node: Node) -> AsyncIterator[AbstractConnection]:
        pool = self._pool(node)
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # its decorator is
        try:
            yield connection
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)


def _owners(told: Sequence[Any], teller: tuple[str, int]) -> list[Node]:
    """Owners by slot from the answer to CLUSTER SLOTS; a server that does not know its own name is the one asked."""
    owners: list[Node] = [None] * SLOTS
    for first, last, primary, *_ in told:
        host = primary[0].decode() if isinstance(primary[0], bytes) else primary[0]
        owner = (teller[0] if host in {None, "", "?"} else host, int(primary[1]))
        owners[first : last + 1] = [owner] * (last + 1 - first)
    return owners


def _not_clustered(told: ResponseError) -> Exception:
    if "cluster support disabled" in str(told):
        return PreconditionError("this Redis is no cluster", fix="TAILRACE_REDIS__CLUSTER=false")
    return told


async def _read(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except _GONE:
        raise
    except ResponseError as error:
        if _BETWEEN in str(error):
            return TryAgainError(str(error))
        return RefusingError(str(error)) if str(error).startswith(_REFUSING) else error
