"""Processes that outlive the command that starts them: start, recognise, stop, and the end of their logs."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

POLL_S = 0.05
KILL_TIMEOUT_S = 5.0
LOG_BYTES_MAX = 16 * 2**20
"""A log that is longer when its server starts is moved aside to `.1`; the older `.1` goes."""

_STACK_FRAME = re.compile(r"\s+(at |\.\.\. \d+ more)")
"""Java's; a dozen of them would hide the line that says what happened."""

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Servers this very process started: they must be reaped here, or they stay as zombies that look alive."""


class ProcessId(BaseModel):
    """A pid with the start of its process in clock ticks since boot: pids are reused, the pair is not."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started_ticks: int


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started: whole command line and whole environment, nothing is inherited."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path("/")


def process_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of every server: none of the caller's variables (PGDATA, JAVA_TOOL_OPTIONS …) may change it."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"} | dict(
        extra or {}
    )


@dataclass(frozen=True, slots=True)
class _Stat:
    """What the kernel says of one pid (proc(5), `/proc/PID/stat`)."""

    is_zombie: bool
    session: int
    process: ProcessId


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name stands in parentheses and may hold anything, so count from the last one.
    fields = text[text.rindex(")") + 2 :].split()
    return _Stat(fields[0] in "ZX", int(fields[3]), ProcessId(pid=pid, started_ticks=int(fields[19])))


def identify(pid: int) -> ProcessId | None:
    """Name the process that has this pid now; None if there is none or it is a zombie."""
    stat = _stat(pid)
    return None if stat is None or stat.is_zombie else stat.process


def is_alive(process: ProcessId | None) -> bool:
    """Whether this very process still runs."""
    if process is None:
        return False
    if child := _children.get(process.pid):
        child.poll()
    return identify(process.pid) == process


def spawn(launch: Launch, log: Path) -> ProcessId:
    """Start a server in a session of its own, so neither Ctrl-C nor the end of the terminal reaches it."""
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_name(log.name + ".1"))
    with log.open("ab") as output:
        child = subprocess.Popen(
            launch.argv,
            env=dict(launch.environment),
            cwd=launch.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[child.pid] = child
    # One that has died already has no start time left; zero never equals a living process.
    return identify(child.pid) or ProcessId(pid=child.pid, started_ticks=0)


def stop(process: ProcessId, first: signal.Signals, *, timeout_s: float) -> bool:
    """Ask a process to end, kill its whole group after `timeout_s`. True if it ended by itself."""
    if not is_alive(process):
        return True
    with suppress(ProcessLookupError):
        os.kill(process.pid, first)
    if _wait_until_gone(process, timeout_s):
        return True
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    _wait_until_gone(process, KILL_TIMEOUT_S)
    return False


def end_orphans(process: ProcessId) -> None:
    """Kill what a dead process has left behind in its session, and wait until it is gone with all its threads.

    Elasticsearch is a launcher and a server: without its launcher the server holds port and data for a while. So does
    a killed server itself, which is a zombie from its first thread's end to its last one's. A next server that did not
    wait for that would move to another port, where nobody looks for it.
    """
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while (orphans := _orphans(process)) and time.monotonic() < deadline:
        for pid in orphans:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S)


def _orphans(process: ProcessId) -> list[int]:
    """What runs of the session that this one led; nothing where its pid is in use, for then it is another's."""
    if identify(process.pid) is not None:
        return []
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [
        stat.process.pid
        for stat in map(_stat, pids)
        if stat is not None
        and stat.session == process.pid
        and stat.process.started_ticks >= process.started_ticks
        and (not stat.is_zombie or _has_threads(stat.process.pid))
    ]


def _has_threads(zombie: int) -> bool:
    """Whether others of its threads are still ending: until then its sockets and files are open."""
    try:
        return sum(1 for _ in Path(f"/proc/{zombie}/task").iterdir()) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait_until_gone(process: ProcessId, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while is_alive(process):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


def log_tail(log: Path, *, since: int = 0, lines_max: int = 12, bytes_max: int = 8192) -> list[str]:
    """Last lines of what was written after `since` bytes, for the message of a failed start."""
    try:
        with log.open("rb") as file:
            size = log.stat().st_size
            # A log that was moved aside meanwhile is shorter than `since`.
            file.seek(max(since if since <= size else 0, size - bytes_max))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip() and not _STACK_FRAME.match(line)][-lines_max:]
