"""Start one server and wait until it really answers."""

import re
import socket
import subprocess
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from tailrace.errors import TailraceError, UnreachableError
from tailrace.stack.account import own
from tailrace.stack.process import ProcessId, is_alive, log_tail, spawn
from tailrace.stack.server import Answer, NotAnsweringError, Place, Server

ASK_TIMEOUT_S = 3.0
ASK_POLL_S = 0.1
PORTS_TRIED_MAX = 1000
STARTS_MAX = 3
LOCK_HELD_WAIT_S = 2.0
LOG_BYTES_READ_MAX = 2**20
_PORT_TAKEN = re.compile(r"address already in use|failed to bind|BindException", re.IGNORECASE)

_LOCK_HELD = re.compile(r"pre-existing shared memory|failed to obtain node lock|Failed to acquire lock", re.IGNORECASE)


class StartError(UnreachableError):
    """A server did not start; the message has the last lines of its log, `server` names it."""

    def __init__(self, server: str, reason: str, lines: list[str], *, fix: str) -> None:
        shown = "".join(f"\n  | {line}" for line in lines)
        super().__init__(f"{server} did not start: {reason}{shown}", fix=fix)
        self.server = server


@dataclass(frozen=True, slots=True)
class Started:
    """A server that runs. `log_from` is where, in bytes, its part of the log begins."""

    place: Place
    process: ProcessId
    address: str
    log_from: int = 0


def choose_ports(server: Server, previous: tuple[int, ...], taken: Collection[int]) -> tuple[int, ...]:
    """Ports for a server: those it had before, else the usual ones, each replaced by the next free one if taken."""
    wished = previous if len(previous) == len(server.usual_ports) else server.usual_ports
    chosen: list[int] = []
    for port in wished:
        candidates = (port + step for step in range(PORTS_TRIED_MAX))
        free = next((p for p in candidates if p not in taken and p not in chosen and port_is_free(p)), None)
        if free is None:
            raise UnreachableError(f"no free port for {server.name} from {port} on", fix="stop what holds them")
        chosen.append(free)
    return tuple(chosen)


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    if port > 65535:  # noqa: PLR2004 - the last port there is
        return False
    with socket.socket() as probe:
        # As the servers do: connections of a stopped server that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def start(server: Server, place: Place) -> Started:
    """Prepare and start a server, without waiting for it. Raises StartError or another TailraceError."""
    own(place.log.parent, None)
    log_from = place.log.stat().st_size if place.log.exists() else 0
    try:
        launch = server.prepare(place)
        process = spawn(launch, place.log)
    except TailraceError:
        raise
    except (NotAnsweringError, OSError, subprocess.TimeoutExpired) as error:
        raise StartError(
            server.name, str(error), log_tail(place.log, since=log_from), fix=_fix(server, place)
        ) from error
    return Started(place, process, server.address(place), log_from)


def start_and_wait(
    server: Server, place: Place, *, wait_s: float, taken: Collection[int], record: Callable[[Started], None]
) -> tuple[Started, Answer]:
    """Start a server and wait up to `wait_s` seconds until it answers.

    `record` is called as soon as the process exists: a command that is killed while it waits must leave a trace of
    it. Two failures pass by themselves and are tried again: a port lost between choosing and binding it, and a lock
    that children of a killed predecessor still hold.
    """
    for starts_left in reversed(range(STARTS_MAX)):
        started = start(server, place)
        record(started)
        try:
            return started, wait_for_answer(server, started, wait_s=wait_s)
        except StartError:
            said = _said(started)
            if not starts_left or is_alive(started.process):
                raise
            if _PORT_TAKEN.search(said):
                place = replace(place, ports=choose_ports(server, place.ports, {*taken, *place.ports}))
            elif _LOCK_HELD.search(said):
                time.sleep(LOCK_HELD_WAIT_S)
            else:
                raise
    raise AssertionError("the last start returns or raises")


def wait_for_answer(server: Server, started: Started, *, wait_s: float) -> Answer:
    """Wait until the server that was started, and no other on the same port, answers a real request."""
    deadline = time.monotonic() + wait_s
    reason = "no answer"
    while is_alive(started.process):
        try:
            return ask(server, started)
        except NotAnsweringError as error:
            reason = str(error) or reason
        if time.monotonic() >= deadline:
            raise _start_error(server, started, f"no answer in time ({reason})")
        time.sleep(ASK_POLL_S)
    raise _start_error(server, started, "the process ended")


def ask(server: Server, started: Started) -> Answer:
    """Send one real request; raises NotAnsweringError, also if another server answers in its place."""
    answer = server.ask(started.address, ASK_TIMEOUT_S)
    expected = server.identity(started.place, started.process)
    if expected is not None and answer.identity != expected:
        raise NotAnsweringError("another server answers on its port")
    return answer


def _start_error(server: Server, started: Started, reason: str) -> StartError:
    place = started.place
    return StartError(server.name, reason, log_tail(place.log, since=started.log_from), fix=_fix(server, place))


def _fix(server: Server, place: Place) -> str:
    return f"{server.fix} (log: {place.log})"


def _said(started: Started) -> str:
    """What this start wrote into the log."""
    with started.place.log.open("rb") as log:
        log.seek(started.log_from)
        return log.read(LOG_BYTES_READ_MAX).decode("utf-8", errors="replace")
