"""A small process per stack that brings a crashed server back.

It owns no server and keeps nothing that is not in `stack.json`: killing it loses nothing but the bringing back.
"""

import argparse
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from tailrace.errors import PreconditionError, TailraceError
from tailrace.settings import LogSettings
from tailrace.stack.account import server_account
from tailrace.stack.launch import start
from tailrace.stack.process import Launch, is_alive, process_environment, spawn, stop
from tailrace.stack.server import Place
from tailrace.stack.servers import SERVERS
from tailrace.stack.state import ServerRecord, StackState, load_state, locked, save_state
from tailrace.telemetry import configure_logging

LOOK_EVERY_S = 1.0
RESTARTS_MAX = 5
RESTARTS_WINDOW_S = 600.0
BACK_OFF_FIRST_S = 1.0
BACK_OFF_MAX_S = 30.0
STOP_TIMEOUT_S = 5.0

log = structlog.get_logger()


def start_watcher(data_dir: Path, cache_dir: Path, state: StackState) -> StackState:
    """Start the watcher if none runs; the caller holds the folder's lock and saves the state."""
    if is_alive(state.watcher):
        return state
    argv = (sys.executable, "-m", "tailrace.stack", str(data_dir), str(cache_dir.expanduser().resolve()))
    launch = Launch(argv, process_environment({"PYTHONDONTWRITEBYTECODE": "1"}))
    return state.model_copy(update={"watcher": spawn(launch, data_dir / "logs" / "watch.log")})


def stop_watcher(state: StackState) -> StackState:
    """Stop the watcher if one runs."""
    if state.watcher is not None:
        stop(state.watcher, signal.SIGTERM, timeout_s=STOP_TIMEOUT_S)
    return state.model_copy(update={"watcher": None})


@dataclass
class BackOff:
    """When a server that keeps ending is started again: 1, 2, 4 … 30 s after the last time, 5 times in 10 minutes."""

    attempts: list[float] = field(default_factory=list)
    not_before: float = 0.0

    def may_start(self, now: float) -> bool:
        """Whether the wait is over."""
        return now >= self.not_before

    def exhausted(self, now: float) -> bool:
        """Whether it was started too often lately."""
        self.attempts = [at for at in self.attempts if now - at < RESTARTS_WINDOW_S]
        return len(self.attempts) >= RESTARTS_MAX

    def note_start(self, now: float) -> None:
        """Count a start and set the wait before the next one."""
        self.attempts.append(now)
        self.not_before = now + min(BACK_OFF_FIRST_S * 2 ** (len(self.attempts) - 1), BACK_OFF_MAX_S)


@dataclass
class Watcher:
    """One look after the other at the servers of one data folder. Times are of the monotonic clock, in seconds."""

    data_dir: Path
    cache_dir: Path
    back_offs: dict[str, BackOff] = field(default_factory=dict)

    def look(self, now: float) -> bool:
        """Bring back what died; False once there is nothing to watch."""
        state = load_state(self.data_dir)
        if state is None or not any(record.wanted for record in state.servers.values()):
            return False
        if not _dead(state):
            return True
        try:
            with locked(self.data_dir, wait_s=0):
                # Read again: whoever held the lock may have stopped or started it.
                state = load_state(self.data_dir) or state
                for name, record in _dead(state).items():
                    state = state.with_server(name, self._bring_back(name, record, state.stack_id, now))
                    save_state(self.data_dir, state)
        except PreconditionError:
            log.info("stack_locked")
        return True

    def _bring_back(self, name: str, record: ServerRecord, stack_id: str, now: float) -> ServerRecord:
        back_off = self.back_offs.setdefault(name, BackOff())
        if back_off.exhausted(now):
            log.error("server_given_up", server=name, restarts=record.restarts)
            return record.model_copy(update={"gave_up": True})
        if not back_off.may_start(now):
            return record
        back_off.note_start(now)
        log.warning("server_died", server=name, pid=record.process.pid)
        place = Place(self.data_dir, name, record.ports, stack_id, self.cache_dir, server_account())
        try:
            started = start(SERVERS[name], place)
        except TailraceError:
            log.exception("server_start_failed", server=name)
            return record
        log.info("server_restarted", server=name, pid=started.process.pid)
        return record.model_copy(update={"process": started.process, "restarts": record.restarts + 1})


def _dead(state: StackState) -> dict[str, ServerRecord]:
    return {
        name: record
        for name, record in state.servers.items()
        if record.wanted and not record.gave_up and not is_alive(record.process)
    }


def main() -> None:
    """Look every second until there is nothing to watch or somebody asks to stop."""
    parser = argparse.ArgumentParser(description="Bring back crashed servers of one data folder.")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("cache_dir", type=Path)
    arguments = parser.parse_args()
    configure_logging(LogSettings(format="json"))
    # The default would do, but a restart must not be cut between the start and its record.
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    watcher = Watcher(arguments.data_dir, arguments.cache_dir)
    while not stopping and watcher.look(time.monotonic()):
        time.sleep(LOOK_EVERY_S)
