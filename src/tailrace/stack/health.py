"""What a stack's servers are doing now."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tailrace.errors import TailraceError
from tailrace.settings import Settings
from tailrace.stack.launch import ASK_TIMEOUT_S, Started, ask
from tailrace.stack.process import is_alive
from tailrace.stack.server import NotAnsweringError, Place, Server
from tailrace.stack.servers import SERVERS, given_address
from tailrace.stack.state import StackState, load_state

Health = Literal["running", "own", "unreachable", "crashed", "stopped"]


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server, seen now.

    health: running (ours, answers) · own (from the settings, answers) · unreachable (no answer) · crashed (ours, should
    run, does not) · stopped. `seconds` is how long the start, or else the answer, took.
    """

    name: str
    health: Health
    address: str | None = None
    version: str | None = None
    seconds: float | None = None
    pid: int | None = None
    restarts: int = 0
    started: bool = False
    detail: str | None = None

    @property
    def answers(self) -> bool:
        """Whether it can be used."""
        return self.health in {"running", "own"}


@dataclass(frozen=True, slots=True)
class StackStatus:
    """All four servers of one data folder, in the order they are listed."""

    data_dir: Path
    servers: tuple[ServerStatus, ...]

    @property
    def addresses(self) -> dict[str, str | None]:
        """Address by name; None where a server is not running. PostgreSQL's holds the password."""
        return {server.name: server.address if server.answers else None for server in self.servers}

    @property
    def unreachable(self) -> list[str]:
        """Names of the servers that should answer and do not."""
        return [server.name for server in self.servers if server.health in {"unreachable", "crashed"}]


Report = Callable[[ServerStatus], None]


def data_folder(settings: Settings) -> Path:
    """The data folder, absolute: servers and their watcher do not run in the caller's folder."""
    return settings.data_dir.expanduser().resolve()


def status(settings: Settings) -> StackStatus:
    """Ask every server now; changes nothing. A server that does not answer costs a few seconds."""
    data_dir = data_folder(settings)
    state = load_state(data_dir) or StackState()

    def look(server: Server) -> ServerStatus:
        given = given_address(settings, server.name)
        if given is not None:
            return look_at_given(server, given)
        return _look_at_ours(server, settings, state)

    return StackStatus(data_dir, tuple(s for s in each_at_once(SERVERS.values(), look) if isinstance(s, ServerStatus)))


def look_at_given(server: Server, address: str) -> ServerStatus:
    begun = time.monotonic()
    try:
        answer = server.ask(address, ASK_TIMEOUT_S)
    except NotAnsweringError as error:
        return ServerStatus(server.name, "unreachable", address=address, detail=str(error))
    return ServerStatus(server.name, "own", address=address, version=answer.version, seconds=time.monotonic() - begun)


def _look_at_ours(server: Server, settings: Settings, state: StackState) -> ServerStatus:
    record = state.servers.get(server.name)
    if record is None or (not record.wanted and not is_alive(record.process)):
        return ServerStatus(server.name, "stopped")
    if not is_alive(record.process):
        detail = "the watcher gave up; see its log" if record.gave_up else "fix: tailrace up"
        return ServerStatus(
            server.name,
            "crashed",
            address=record.address,
            version=record.version,
            restarts=record.restarts,
            detail=detail,
        )
    place = Place(data_folder(settings), server.name, record.ports, state.stack_id, settings.cache_dir, None)
    begun = time.monotonic()
    try:
        ask(server, Started(place, record.process, record.address))
    except NotAnsweringError as error:
        return ServerStatus(
            server.name,
            "unreachable",
            address=record.address,
            version=record.version,
            pid=record.process.pid,
            detail=str(error),
        )
    return ServerStatus(
        server.name,
        "running",
        address=record.address,
        version=record.version,
        seconds=time.monotonic() - begun,
        pid=record.process.pid,
        restarts=record.restarts,
    )


def each_at_once(
    servers: Iterable[Server], work: Callable[[Server], ServerStatus]
) -> list[ServerStatus | TailraceError]:
    """Do the work for all servers at once; errors come back as values, so one does not hide another."""

    def one(server: Server) -> ServerStatus | TailraceError:
        try:
            return work(server)
        except TailraceError as error:
            return error

    with ThreadPoolExecutor(max_workers=len(SERVERS), thread_name_prefix="stack") as pool:
        return list(pool.map(one, servers))
