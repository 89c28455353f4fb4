"""Redis servers of a test's own: single ones, and a cluster of three masters. They keep nothing on disk."""

import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from pydantic import SecretStr
from redis.crc import key_slot

from tailrace.settings import RedisSettings, Settings

START_S = 20
POLL_S = 0.02
SLOTS = 16_384
PORTS = range(20_000, 32_000)
"""Below those that the system gives to outgoing connections."""
NODE_TIMEOUT_MS = 1_000


class RedisServer:
    """One server process; `port` stays the same when it is started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port, self.bus_port = free_port(), free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port, decode_responses=True, socket_timeout=10)
        self._folder = folder / str(self.port)
        self._folder.mkdir(parents=True)
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        argv = [
            "setpriv", "--pdeathsig", "KILL", "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir",
            str(self._folder), "--save", "", "--appendonly", "no", "--logfile", "log", "--cluster-port",
            str(self.bus_port), *self._options,
        ]  # fmt: skip
        self._process = subprocess.Popen(argv)
        wait_until(self._answers, f"{self.port} answers")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()
        with suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        """End it at once; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.client.close()

    def settings(self, settings: Settings, *, port: int | None = None, cluster: bool = False) -> Settings:
        """The settings with this Redis in place of theirs; `port` is that of a proxy before it."""
        url = f"redis://127.0.0.1:{port or self.port}/0"
        section = RedisSettings(url=SecretStr(url), key_prefix=settings.redis.key_prefix, cluster=cluster)
        return settings.model_copy(update={"redis": section})


@contextmanager
def server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """One server, stopped at the end."""
    one = RedisServer(folder, *options)
    try:
        one.start()
        yield one
    finally:
        one.kill()


class Cluster:
    """Three masters, each with a third of the slots."""

    def __init__(self, masters: list[RedisServer]) -> None:
        self.masters = masters

    def form(self) -> None:
        """Give out the slots and introduce the masters to each other."""
        share = -(-SLOTS // len(self.masters))
        for number, master in enumerate(self.masters):
            last = min(SLOTS, (number + 1) * share) - 1
            ask(master, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            ask(master, "CLUSTER", "ADDSLOTSRANGE", number * share, last)
            ask(master, "CLUSTER", "MEET", "127.0.0.1", self.masters[0].port, self.masters[0].bus_port)
        self.settle()

    def settle(self) -> None:
        """Wait until every master says that all of them are there."""
        wait_until(lambda: all(_is_whole(one) for one in self.masters), "the cluster is whole")

    def settings(self, settings: Settings) -> Settings:
        """The settings with this cluster."""
        return self.masters[0].settings(settings, cluster=True)

    def owner(self, key: str) -> RedisServer:
        """Who has the key's slot."""
        return self.owner_of(key_slot(key.encode()))

    def owner_of(self, slot: int) -> RedisServer:
        """Who has the slot."""
        for first, last, primary, *_ in ask(self.masters[0], "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(one for one in self.masters if one.port == primary[1])
        raise AssertionError(slot)

    def begin_move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Open a slot at both ends."""
        ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", node_id(source))
        ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", node_id(target))

    def move_keys(self, slot: int, source: RedisServer, target: RedisServer, keys_max: int = 10_000) -> int:
        """Move keys that the slot has now; returns how many."""
        keys = ask(source, "CLUSTER", "GETKEYSINSLOT", slot, keys_max)
        if keys:
            ask(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)
        return len(keys)

    def end_move(self, slot: int, target: RedisServer) -> None:
        """Tell everybody whose slot it is now."""
        for one in (target, *(other for other in self.masters if other is not target)):
            ask(one, "CLUSTER", "SETSLOT", slot, "NODE", node_id(target))


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Three masters that know each other; stopped at the end."""
    with ExitStack() as stack:
        masters = []
        for _ in range(3):
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS))
            masters.append(stack.enter_context(server(folder, *options)))
        formed = Cluster(masters)
        formed.form()
        yield formed


def ask(one: RedisServer, *command: Any) -> Any:
    """A command as it stands, to exactly this server; its answer is not interpreted."""
    connection = one.client.connection_pool.get_connection()
    try:
        connection.send_command(*command)
        return connection.read_response()
    finally:
        one.client.connection_pool.release(connection)


def info(one: RedisServer, section: str) -> dict[str, str]:
    """What INFO says, as texts."""
    return dict(line.partition(":")[::2] for line in ask(one, "INFO", section).splitlines())


def node_id(one: RedisServer) -> str:
    """The server's name in its cluster."""
    return str(ask(one, "CLUSTER", "MYID"))


def _is_whole(one: RedisServer) -> bool:
    told = ask(one, "CLUSTER", "INFO")
    return "cluster_state:ok" in told and "cluster_known_nodes:3" in told


def free_port() -> int:
    """A port that nobody listens on."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no free port")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Block until the condition holds."""
    deadline = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {START_S} s: {what}"
        time.sleep(POLL_S)
