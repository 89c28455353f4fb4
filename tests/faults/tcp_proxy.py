"""A TCP proxy that spoils connections on demand: cut, delay, black-hole, half-close, throttle; one of them or all.

One event loop, no threads. What a link suffers is the proxy's `conditions`, or its own where it was given some.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

CHUNK_BYTES = 64 * 2**10
FRAME_BYTES_MAX = 64 * 2**10
"""A Kafka response that names brokers is smaller."""
CONNECT_TIMEOUT_S = 5.0


class Way(StrEnum):
    """Direction in which bytes travel."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"


BOTH = frozenset(Way)


@dataclass(frozen=True)
class Conditions:
    """How bytes travel: late by `delay_s`, at most `bytes_per_s` (0: any), not at all in the directions of `holes`."""

    delay_s: float = 0.0
    bytes_per_s: int = 0
    holes: frozenset[Way] = frozenset()


CLEAR = Conditions()
Chunks = Callable[[asyncio.StreamReader], AsyncIterator[bytes]]


async def as_they_come(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Bytes as they arrive."""
    while data := await reader.read(CHUNK_BYTES):
        yield data


def kafka_frames(server_port: int, own_port: int) -> Chunks:
    """Responses of a broker, which name its address; clients would go there and pass the proxy by.

    Ours asks for versions of Metadata and FindCoordinator in which an address is an int16, the host and an int32.
    """
    host = b"\x00\x09127.0.0.1"
    named, ours = (host + struct.pack(">i", port) for port in (server_port, own_port))

    async def frames(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(4)
                (left,) = struct.unpack(">i", head)
                if left <= FRAME_BYTES_MAX:
                    yield head + (await reader.readexactly(left)).replace(named, ours)
                    continue
                yield head
                while left and (data := await reader.read(min(left, CHUNK_BYTES))):
                    left -= len(data)
                    yield data

    return frames


@dataclass(eq=False)
class Link:
    """One connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    own: Conditions | None = None
    cut_after_bytes: int | None = None
    passed: dict[Way, int] = field(default_factory=lambda: dict.fromkeys(Way, 0))

    def cut(self) -> None:
        """Reset both sides; what is on its way is lost."""
        for writer in (self.client, self.server):
            peer = writer.get_extra_info("socket")
            if peer is not None:
                with suppress(OSError, ValueError):  # closed already; uvloop says so with the latter
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def half_close(self) -> None:
        """Tell the client that the server will say no more, while the server still listens."""
        with suppress(OSError, RuntimeError):
            self.client.write_eof()


class TcpProxy:
    """Listens on 127.0.0.1 and passes everything on to one server."""

    def __init__(self, host: str, port: int, *, is_kafka: bool = False) -> None:
        self._upstream = host, port
        self._is_kafka = is_kafka
        self._answers: Chunks = as_they_come
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._conditions = CLEAR
        self.refuses = False
        self.links: list[Link] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        if self._is_kafka:
            self._answers = kafka_frames(self._upstream[1], self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ── faults ──

    def set(self, conditions: Conditions, link: Link | None = None) -> None:
        """Give a link conditions of its own, or all links and those to come theirs."""
        if link is not None:
            link.own = conditions
        else:
            self._conditions = conditions
        self._changed.set()
        self._changed = asyncio.Event()

    def lead_to(self, port: int) -> None:
        """Pass connections that come from now on to another server; those that are there stay where they are."""
        self._upstream = self._upstream[0], port

    def heal(self) -> None:
        """Let everything pass again; what was held in a black hole goes on."""
        self.refuses = False
        for link in self.links:
            link.own = None
        self.set(CLEAR)

    def cut(self, link: Link | None = None) -> None:
        """Reset a link, or all of them."""
        for one in [link] if link is not None else list(self.links):
            one.cut()

    def cut_in_answer(self, after_bytes: int, link: Link | None = None) -> None:
        """Reset a link, or each of them, once so many more bytes have come from the server."""
        for one in [link] if link is not None else self.links:
            one.cut_after_bytes = one.passed[Way.TO_CLIENT] + after_bytes

    def half_close(self, link: Link | None = None) -> None:
        """End the server's side of a link, or of all of them."""
        for one in [link] if link is not None else list(self.links):
            one.half_close()

    # ── passing on ──

    def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        # A task of ours: of one that asyncio makes, it logs the cancellation as an error.
        task = asyncio.create_task(self._serve(reader, client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                from_server, server = await asyncio.open_connection(*self._upstream)
        except (OSError, TimeoutError):
            client.transport.abort()
            return
        link = Link(client, server)
        if self.refuses:
            link.cut()
            return
        self.links.append(link)
        try:
            await asyncio.gather(
                self._pass(link, as_they_come(reader), server, Way.TO_SERVER),
                self._pass(link, self._answers(from_server), client, Way.TO_CLIENT),
            )
        except (OSError, RuntimeError):
            link.cut()
        finally:
            self.links.remove(link)
            for writer in (client, server):
                writer.close()

    async def _pass(self, link: Link, chunks: AsyncIterator[bytes], to: asyncio.StreamWriter, way: Way) -> None:
        async for data in chunks:
            await self._travel(link, way, len(data))
            left = _left_to_pass(link, way)
            if left is not None and len(data) >= left:
                to.write(data[:left])
                await to.drain()
                link.cut()
                return
            to.write(data)
            link.passed[way] += len(data)
            await to.drain()
        if not to.is_closing() and to.can_write_eof():
            to.write_eof()

    async def _travel(self, link: Link, way: Way, size: int) -> None:
        """Return when bytes of this size have travelled, whatever the conditions become meanwhile."""
        waited = False
        while True:
            conditions = link.own or self._conditions
            changed = self._changed
            if way in conditions.holes:
                await changed.wait()
                continue
            wait_s = 0.0 if waited else conditions.delay_s
            wait_s += size / conditions.bytes_per_s if conditions.bytes_per_s else 0.0
            if not wait_s:
                return
            waited = True
            begun = asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(changed.wait(), wait_s)
            except TimeoutError:
                return
            # A part of it travelled under the old conditions.
            share = (asyncio.get_running_loop().time() - begun) / wait_s
            size = max(0, int(size * (1 - share)))


def _left_to_pass(link: Link, way: Way) -> int | None:
    if way is Way.TO_SERVER or link.cut_after_bytes is None:
        return None
    return link.cut_after_bytes - link.passed[way]
