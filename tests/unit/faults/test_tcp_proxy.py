"""The proxy between a worker and its servers spoils connections in the way it is told, and only then."""

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from tcp_proxy import BOTH, Conditions, TcpProxy, Way

LONG = b"x" * 300_000
TIMEOUT_S = 5.0
SHORT_S = 0.05


@dataclass
class Wire:
    """A client of an echo server, through the proxy."""

    proxy: TcpProxy
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heard: bytearray
    news: asyncio.Queue[bytes]
    """What the server has received: all of it, and piece by piece."""

    async def ask(self, data: bytes) -> bytes:
        self.writer.write(data)
        async with asyncio.timeout(TIMEOUT_S):
            return await self.reader.readexactly(len(data))

    async def nothing_comes(self) -> bool:
        try:
            async with asyncio.timeout(SHORT_S):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False

    async def is_reset(self) -> bool:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self.reader.read() == b""
        except ConnectionResetError:
            return True


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    heard = bytearray()
    news: asyncio.Queue[bytes] = asyncio.Queue()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                heard.extend(data)
                news.put_nowait(data)
                writer.write(data)
                await writer.drain()
        except ConnectionResetError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, TcpProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        yield Wire(proxy, reader, writer, heard, news)
        writer.close()


async def test_everything_passes_unchanged(wire: Wire):
    assert await wire.ask(LONG) == LONG


async def test_a_cut_resets_the_connection_and_new_ones_pass(wire: Wire):
    await wire.ask(b"a")
    wire.proxy.cut()
    assert await wire.is_reset()
    reader, writer = await asyncio.open_connection("127.0.0.1", wire.proxy.port)
    writer.write(b"b")
    assert await reader.readexactly(1) == b"b"
    writer.close()


async def test_new_connections_can_be_led_elsewhere_and_the_old_ones_stay(wire: Wire):
    async def other(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"other")
        writer.close()

    await wire.ask(b"a")
    async with await asyncio.start_server(other, "127.0.0.1", 0) as server:
        wire.proxy.lead_to(server.sockets[0].getsockname()[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.proxy.port)
        assert await reader.read() == b"other"
        assert await wire.ask(b"b") == b"b"
        writer.close()


async def test_one_connection_can_be_cut_and_the_others_live(wire: Wire):
    await wire.ask(b"a")
    (ours,) = wire.proxy.links
    reader, writer = await asyncio.open_connection("127.0.0.1", wire.proxy.port)
    writer.write(b"b")
    await reader.readexactly(1)
    (other,) = (link for link in wire.proxy.links if link is not ours)
    wire.proxy.cut(other)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await reader.readexactly(1)
    assert await wire.ask(b"c") == b"c"
    writer.close()


async def test_an_answer_is_cut_in_its_middle(wire: Wire):
    await wire.ask(b"a")
    wire.proxy.cut_in_answer(after_bytes=10)
    wire.writer.write(b"0123456789abc")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await wire.reader.readexactly(13)
    assert bytes(wire.heard) == b"a0123456789abc"


async def test_a_delay_holds_bytes_back_and_ends_when_healed(wire: Wire):
    loop = asyncio.get_running_loop()
    wire.proxy.set(Conditions(delay_s=SHORT_S))
    begun = loop.time()
    assert await wire.ask(b"a") == b"a"
    assert loop.time() - begun >= 2 * SHORT_S
    wire.proxy.set(Conditions(delay_s=3_600))
    wire.writer.write(b"b")
    assert await wire.nothing_comes()
    wire.proxy.heal()
    assert await wire.reader.readexactly(1) == b"b"


async def test_a_black_hole_to_the_client_lets_the_server_hear(wire: Wire):
    await wire.ask(b"a")
    wire.proxy.set(Conditions(holes=frozenset({Way.TO_CLIENT})))
    wire.writer.write(b"b")
    assert await wire.nothing_comes()
    assert bytes(wire.heard) == b"ab"
    wire.proxy.heal()
    assert await wire.reader.readexactly(1) == b"b"


async def test_a_black_hole_of_one_connection_is_its_own(wire: Wire):
    await wire.ask(b"a")
    wire.proxy.set(Conditions(holes=BOTH), wire.proxy.links[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", wire.proxy.port)
    writer.write(b"b")
    assert await reader.readexactly(1) == b"b"
    wire.writer.write(b"c")
    assert await wire.nothing_comes()
    assert bytes(wire.heard) == b"ab"
    writer.close()


async def test_a_half_closed_connection_ends_for_the_client_alone(wire: Wire):
    await wire.ask(b"a")
    wire.proxy.half_close()
    assert await wire.reader.read() == b""
    wire.writer.write(b"b")
    async with asyncio.timeout(TIMEOUT_S):
        assert [await wire.news.get(), await wire.news.get()] == [b"a", b"b"]


async def test_a_throttle_bounds_the_pace(wire: Wire):
    loop = asyncio.get_running_loop()
    wire.proxy.set(Conditions(bytes_per_s=100_000))
    begun = loop.time()
    await wire.ask(b"x" * 5_000)
    assert loop.time() - begun >= 0.1


async def test_a_proxy_that_refuses_accepts_nobody(wire: Wire):
    wire.proxy.refuses = True
    reader, writer = await asyncio.open_connection("127.0.0.1", wire.proxy.port)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await reader.readexactly(1)
    writer.close()


async def test_a_broker_s_address_becomes_the_proxy_s():
    async def broker(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b"..\x00\x09127.0.0.1" + struct.pack(">i", port) + b"\x00\x09127.0.0.2" + struct.pack(">i", port)
        writer.write(struct.pack(">i", len(body)) + body + struct.pack(">i", len(LONG)) + LONG)
        writer.close()

    server = await asyncio.start_server(broker, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, TcpProxy("127.0.0.1", port, is_kafka=True) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        answer = await reader.read()
        writer.close()

    first = b"..\x00\x09127.0.0.1" + struct.pack(">i", proxy.port) + b"\x00\x09127.0.0.2" + struct.pack(">i", port)
    assert answer == struct.pack(">i", len(first)) + first + struct.pack(">i", len(LONG)) + LONG
