"""Start, look at and stop the servers of one data folder."""

import shutil
import threading
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from tailrace.errors import PreconditionError, TailraceError, UnreachableError, UsageError
from tailrace.settings import Settings
from tailrace.stack.account import server_account
from tailrace.stack.artifacts import Artifacts
from tailrace.stack.health import Report, ServerStatus, StackStatus, data_folder, each_at_once, look_at_given
from tailrace.stack.launch import Started, StartError, choose_ports, start_and_wait, wait_for_answer
from tailrace.stack.process import end_orphans, is_alive, stop
from tailrace.stack.server import Answer, Place, Server
from tailrace.stack.servers import SERVERS, STOP_ORDER, given_address
from tailrace.stack.state import LOCK_NAME, STATE_NAME, ServerRecord, StackState, load_state, locked, save_state
from tailrace.stack.watch import start_watcher, stop_watcher

LOCK_WAIT_S = 180.0
_MARKER = ".tailrace-data"
"""Present if the folder was empty or new when the first `up` came: only then a purge may remove all of it."""


class _Book:
    """The state file while several servers start at once."""

    def __init__(self, data_dir: Path, state: StackState) -> None:
        self._data_dir = data_dir
        self._lock = threading.Lock()
        self.state = state

    def put(self, name: str, record: ServerRecord) -> None:
        with self._lock:
            self.state = self.state.with_server(name, record)
            save_state(self._data_dir, self.state)


def chosen(only: Iterable[str] | None) -> list[Server]:
    """The servers a command is about; raises UsageError for a name that is none."""
    names = list(only) if only is not None else list(SERVERS)
    if unknown := [name for name in names if name not in SERVERS]:
        raise UsageError(f"no server is called {unknown[0]}", fix=f"choose from {', '.join(SERVERS)}")
    return [server for server in SERVERS.values() if server.name in names]


def up(
    settings: Settings, *, only: Iterable[str] | None = None, wait_s: float = 120.0, report: Report | None = None
) -> StackStatus:
    """Start what does not run and wait until everything answers; what runs is left as it is.

    `wait_s` bounds the waiting for each server in seconds from its start (fetching artifacts before it has a bound of
    its own). `report` is called from several threads, once per server. Raises StartError (or another TailraceError)
    after the others were waited for; what did start stays up, so the command can be repeated.
    """
    data_dir = data_folder(settings)
    servers = chosen(only)
    ours = [server for server in servers if given_address(settings, server.name) is None]
    _mark(data_dir)
    with locked(data_dir, wait_s=LOCK_WAIT_S):
        book = _Book(data_dir, load_state(data_dir) or StackState())
        places = _places(settings, book.state, ours)
        taken = {port for place in places.values() for port in place.ports}

        def bring(server: Server) -> ServerStatus:
            if server.name not in places:
                status = look_at_given(server, str(given_address(settings, server.name)))
            else:
                status = _bring_up(server, places[server.name], book, wait_s=wait_s, taken=taken)
            if report and status.answers:
                report(status)
            return status

        results = each_at_once(servers, bring)
        if any(_runs(book.state, server.name) for server in ours):
            book.state = start_watcher(data_dir, settings.cache_dir, book.state)
            save_state(data_dir, book.state)
    return StackStatus(data_dir, tuple(_all_or_raise(results)))


def down(settings: Settings, *, only: Iterable[str] | None = None, purge: bool = False) -> list[tuple[str, bool]]:
    """Stop the servers cleanly, the log first and PostgreSQL last; returns (name, whether it ended by itself).

    With `purge` the data goes too: the whole folder if the first `up` made it, else everything in it that is the
    servers'. Servers of the settings are nobody's to stop here.
    """
    data_dir = data_folder(settings)
    names = {server.name for server in chosen(only)}
    if purge and only is not None:
        raise UsageError("a purge is of all servers", fix="leave out --only or --purge")
    if not data_dir.exists():
        return []
    with locked(data_dir, wait_s=LOCK_WAIT_S):
        stopped = _stop(data_dir, names, forget_damage=purge)
        if purge:
            _remove(data_dir)
    return stopped


def _stop(data_dir: Path, names: Collection[str], *, forget_damage: bool) -> list[tuple[str, bool]]:
    try:
        state = load_state(data_dir)
    except PreconditionError:
        if not forget_damage:
            raise
        state = None
    if state is None:
        return []
    if not {name for name, record in state.servers.items() if record.wanted} - set(names):
        state = stop_watcher(state)
    ended: list[tuple[str, bool]] = []
    for name in STOP_ORDER:
        record = state.servers.get(name)
        if record is None or name not in names:
            continue
        # Written first: a watcher must not bring back what is being stopped.
        state = state.with_server(name, record.model_copy(update={"wanted": False, "restarts": 0, "gave_up": False}))
        save_state(data_dir, state)
        if is_alive(record.process):
            server = SERVERS[name]
            ended.append((name, stop(record.process, server.stop_signal, timeout_s=server.stop_timeout_s)))
    return ended


def _remove(data_dir: Path) -> None:
    if (data_dir / _MARKER).exists():
        shutil.rmtree(data_dir)
        return
    for name in (*SERVERS, "logs"):
        shutil.rmtree(data_dir / name, ignore_errors=True)
    for name in (STATE_NAME, LOCK_NAME):
        (data_dir / name).unlink(missing_ok=True)


def _mark(data_dir: Path) -> None:
    if data_dir.exists() and any(data_dir.iterdir()):
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / _MARKER).touch()


def _places(settings: Settings, state: StackState, ours: list[Server]) -> dict[str, Place]:
    """Where each server lives; ports are chosen one after the other, so no two get the same."""
    account = server_account()
    running = {name: record for name, record in state.servers.items() if is_alive(record.process)}
    taken = {port for record in running.values() for port in record.ports}
    places: dict[str, Place] = {}
    for server in ours:
        record = state.servers.get(server.name)
        if server.name in running:
            ports = running[server.name].ports
        else:
            if record is not None:
                end_orphans(record.process)
            ports = choose_ports(server, record.ports if record else (), taken)
            taken.update(ports)
        places[server.name] = Place(
            data_folder(settings), server.name, ports, state.stack_id, settings.cache_dir, account
        )
    return places


def _bring_up(server: Server, place: Place, book: _Book, *, wait_s: float, taken: Collection[int]) -> ServerStatus:
    begun = time.monotonic()
    record = book.state.servers.get(server.name)
    was_running = record is not None and is_alive(record.process)
    if record is not None and was_running:
        started = Started(place, record.process, record.address)
        answer = wait_for_answer(server, started, wait_s=wait_s)
        if not record.wanted:
            book.put(server.name, record.model_copy(update={"wanted": True}))
    else:
        started, answer = _start_recorded(server, place, book, wait_s=wait_s, taken=taken)
    return ServerStatus(
        server.name,
        "running",
        address=started.address,
        version=answer.version or _pinned(server, place),
        seconds=time.monotonic() - begun,
        pid=started.process.pid,
        started=not was_running,
    )


def _start_recorded(
    server: Server, place: Place, book: _Book, *, wait_s: float, taken: Collection[int]
) -> tuple[Started, Answer]:
    def record(started: Started, *, version: str | None = None, wanted: bool = True) -> None:
        entry = ServerRecord(
            address=started.address,
            ports=started.place.ports,
            process=started.process,
            version=version,
            wanted=wanted,
        )
        book.put(server.name, entry)

    try:
        started, answer = start_and_wait(server, place, wait_s=wait_s, taken=taken, record=record)
    except StartError:
        entry = book.state.servers.get(server.name)
        if entry is not None and not is_alive(entry.process):
            # The watcher would only repeat the failure.
            book.put(server.name, entry.model_copy(update={"wanted": False}))
        raise
    record(started, version=answer.version or _pinned(server, place))
    return started, answer


def _pinned(server: Server, place: Place) -> str | None:
    return Artifacts(place.cache_dir).versions.get(server.name)


def _runs(state: StackState, name: str) -> bool:
    record = state.servers.get(name)
    return record is not None and is_alive(record.process)


def _all_or_raise(results: list[ServerStatus | TailraceError]) -> list[ServerStatus]:
    errors = [result for result in results if isinstance(result, TailraceError)]
    found = [result for result in results if isinstance(result, ServerStatus)]
    errors += [
        UnreachableError(
            f"{server.name} of the settings does not answer: {server.detail}",
            fix="start it, or take its address out of the settings",
        )
        for server in found
        if not server.answers
    ]
    if not errors:
        return found
    first = errors[0]
    # Kafka and Elasticsearch fail alike where nothing can be fetched.
    messages = list(dict.fromkeys(str(error) for error in errors))
    if len(messages) > 1:
        raise UnreachableError("\n".join(messages), fix=first.fix) from first
    raise first
