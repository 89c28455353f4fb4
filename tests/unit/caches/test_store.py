"""Where commands go in a cluster whose slots move, and which errors are waited for; the servers are played."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import hiredis
import pytest
from redis.crc import key_slot
from redis.exceptions import ReadOnlyError, TryAgainError

from tailrace.consumers.redis.nodes import CONNECTIONS_MAX, RETRYABLE, SLOTS
from tailrace.consumers.redis.store import REDIRECTS_MAX, Store
from tailrace.errors import PreconditionError

KEY = "k"
SLOT = key_slot(b"k")
INFO = "run_id:{}\r\nrole:{}\r\nmaster_replid:r\r\nmaxmemory_policy:noeviction\r\ncluster_enabled:1\r\n"


class Played:
    """A server that answers what it was told to. `heard` are its commands, less those that a connection begins with."""

    def __init__(self) -> None:
        self.port = 0
        self.heard: list[str] = []
        self.answer: Callable[[list[str]], str] = lambda _: "+OK"
        self.owners: list[tuple[int, int, Played]] = []
        self.is_ok = True
        self.role = "master"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        while data := await reader.read(65_536):
            parser.feed(data)
            while (command := parser.gets()) is not False:
                writer.write((self._answer([part.decode() for part in command]) + "\r\n").encode())
        writer.close()

    def _answer(self, command: list[str]) -> str:
        match command[:2]:
            case ["CLIENT" | "HELLO", _]:
                return "+OK"
            case ["CLUSTER", "SLOTS"]:
                ranges = (f"*3\r\n:{a}\r\n:{b}\r\n*2\r\n$0\r\n\r\n:{one.port}" for a, b, one in self.owners)
                return "\r\n".join((f"*{len(self.owners)}", *ranges))
            case ["CLUSTER", "INFO"]:
                return "$16\r\ncluster_state:ok" if self.is_ok else "$18\r\ncluster_state:fail"
            case ["INFO", _]:
                told = INFO.format(self.port, self.role)
                return f"${len(told)}\r\n{told}"
        self.heard.append(" ".join(command))
        return self.answer(command)


@pytest.fixture
async def two() -> AsyncIterator[tuple[Played, Played]]:
    """Two masters; the first has all slots."""
    async with AsyncExitStack() as stack:
        masters = Played(), Played()
        for one in masters:
            server = await stack.enter_async_context(await asyncio.start_server(one.serve, "127.0.0.1", 0))
            one.port = server.sockets[0].getsockname()[1]
            one.owners = [(0, SLOTS - 1, masters[0])]
        yield masters


@asynccontextmanager
async def store_of(one: Played, *, cluster: bool = True) -> AsyncIterator[Store]:
    store = Store(f"redis://127.0.0.1:{one.port}/0", cluster=cluster)
    yield store
    await store.close()


async def test_what_has_moved_is_sent_on_and_the_next_goes_there_at_once(two: tuple[Played, Played]):
    old, new = two
    old.answer = lambda _: f"-MOVED {SLOT} 127.0.0.1:{new.port}"
    async with store_of(old) as store:
        assert await store.one("GET", KEY, key=KEY) == b"OK"
        assert await store.one("GET", KEY, key=KEY) == b"OK"
    assert (old.heard, new.heard) == (["GET k"], ["GET k", "GET k"])


async def test_what_is_on_its_way_is_asked_for_where_it_goes_each_time(two: tuple[Played, Played]):
    old, new = two
    old.answer = lambda command: f"-ASK {SLOT} 127.0.0.1:{new.port}" if command[1] == "k" else "+OK"
    async with store_of(old) as store:
        assert await store.run([("GET", KEY), ("GET", "other"), ("GET", KEY)], [KEY, "other", KEY]) == [b"OK"] * 3
    assert new.heard == ["ASKING", "GET k", "ASKING", "GET k"]


async def test_keys_between_two_masters_are_tried_again_and_then_given_up(two: tuple[Played, Played]):
    first, _ = two
    answers = iter(["-TRYAGAIN later", "-TRYAGAIN later", "+OK"])
    first.answer = lambda _: next(answers)
    async with store_of(first) as store:
        assert await store.one("GET", KEY, key=KEY) == b"OK"
        first.answer = lambda _: "-TRYAGAIN later"
        first.heard.clear()
        with pytest.raises(TryAgainError):
            await store.one("GET", KEY, key=KEY)
    assert len(first.heard) == REDIRECTS_MAX


async def test_a_server_without_our_functions_is_given_them_also_while_asked(two: tuple[Played, Played]):
    old, new = two
    old.answer = lambda _: f"-ASK {SLOT} 127.0.0.1:{new.port}"
    loaded: list[bool] = []

    def lacks(command: list[str]) -> str:
        if command[0] == "FUNCTION":
            loaded.append(True)
        return "+OK" if loaded or command[0] == "ASKING" else "-ERR Function not found"

    new.answer = lacks
    async with store_of(old) as store:
        assert await store.call([("recent_put", (KEY, "v"), ("s",))]) == [b"OK"]
    assert [one.split()[0] for one in new.heard] == ["ASKING", "FCALL", "FUNCTION", "ASKING", "FCALL"]


async def test_who_is_cut_off_is_not_believed(two: tuple[Played, Played]):
    old, new = two
    old.is_ok = False
    old.owners = [(0, SLOTS - 1, new)]
    new.owners = [(0, SLOTS - 1, new)]
    async with store_of(old) as store:
        await store.one("GET", KEY, key=KEY)  # knows of the other from now on
        old.owners = [(0, SLOTS - 1, old)]
        assert str(new.port) in await store.identity()
        await store.one("GET", KEY, key=KEY)
    assert (old.heard, new.heard) == ([], ["GET k", "GET k"])


async def test_slots_that_nobody_has_are_waited_for(two: tuple[Played, Played]):
    first, _ = two
    first.owners = [(SLOT + 1, SLOTS - 1, first)]
    async with store_of(first) as store:
        with pytest.raises(RETRYABLE):
            await store.one("GET", KEY, key=KEY)
        first.owners = [(0, SLOTS - 1, first)]
        assert await store.one("GET", KEY, key=KEY) == b"OK"


@pytest.mark.parametrize(
    "error",
    [
        "OOM command not allowed", "MISCONF unable to persist", "NOREPLICAS not enough", "CLUSTERDOWN it is",
        "READONLY replica", "LOADING dataset", "MASTERDOWN link", "NOPERM no permission", "BUSY script",
    ],
)  # fmt: skip
async def test_errors_that_say_nothing_about_the_command_are_waited_for(two: tuple[Played, Played], error: str):
    first, _ = two
    for cluster in (True, False):
        first.answer = lambda _: f"-{error}"
        async with store_of(first, cluster=cluster) as store:
            with pytest.raises(RETRYABLE):
                await store.one("SET", KEY, "1", key=KEY)
            first.answer = lambda _: "+OK"
            assert await store.one("SET", KEY, "1", key=KEY) == b"OK"


async def test_a_demoted_primary_is_left_and_asked_for_anew(two: tuple[Played, Played]):
    first, _ = two
    async with store_of(first, cluster=False) as store:
        await store.identity()
        first.role = "slave"
        with pytest.raises(ReadOnlyError):
            await store.identity()
        first.role = "master"
        assert await store.identity() == f"{first.port}.r"


async def test_a_cluster_that_the_settings_do_not_know_of_is_refused(two: tuple[Played, Played]):
    first, other = two
    first.answer = lambda _: f"-MOVED {SLOT} 127.0.0.1:{other.port}"
    async with store_of(first, cluster=False) as store:
        with pytest.raises(PreconditionError, match="is a cluster"):
            await store.one("GET", KEY, key=KEY)
        with pytest.raises(PreconditionError, match="is a cluster"):
            await store.check_policy()


async def test_more_tasks_than_connections_wait_for_one(two: tuple[Played, Played]):
    first, _ = two
    async with store_of(first) as store:
        answers = await asyncio.gather(*(store.one("GET", KEY, key=KEY) for _ in range(5 * CONNECTIONS_MAX)))
    assert answers == [b"OK"] * 5 * CONNECTIONS_MAX
