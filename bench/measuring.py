"""One run of one program: started as its own process, watched from outside, stopped when everything is applied."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psycopg

POLL_S = 0.05
START_TIMEOUT_S = 60.0
STILL_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 30.0
IDLE_SHARE = 0.85
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MIB = 2**20


def backend_cpu_s(pid: int) -> float:
    """CPU that a process of one thread has had, from the scheduler. Raises OSError where it does not run here."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def process_cpu_s(pid: int) -> float:
    """CPU that a process had with all its threads, to a hundredth of a second. Raises OSError where it is not here."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def machine_cpu_s() -> tuple[float, float]:
    """CPU seconds since the machine's start that its cores were busy, and that they were idle."""
    fields = [int(field) / _TICKS_PER_S for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, idle


def wait_until_idle(limit_s: float) -> bool:
    """Wait until the machine's cores are nearly idle for a second, `limit_s` at most; says whether they are."""
    deadline = time.monotonic() + limit_s
    while True:
        busy, idle = machine_cpu_s()
        time.sleep(1)
        busy, idle = machine_cpu_s()[0] - busy, machine_cpu_s()[1] - idle
        if idle >= IDLE_SHARE * (busy + idle):
            return True
        if time.monotonic() > deadline:
            return False


@dataclass(frozen=True)
class Run:
    """What one run took.

    `seconds` from when the program has its partitions until the last record is applied; CPU seconds over the same
    time, of the process with its threads, and of its backends. `others_cores` is how many cores everything else on the
    machine kept busy meanwhile, the broker included. `memory` are (records applied, resident MiB) over time.
    """

    name: str
    records: int
    seconds: float
    client_cpu_s: float
    backend_cpu_s: float
    peak_mib: float
    others_cores: float
    memory: tuple[tuple[int, float], ...] = ()

    @property
    def rate(self) -> float:
        return self.records / self.seconds

    @property
    def client_per_100k(self) -> float:
        return self.client_cpu_s / self.records * 100_000

    @property
    def backend_per_100k(self) -> float:
        return self.backend_cpu_s / self.records * 100_000


@dataclass
class Program:
    """A program to be measured: its command, its environment, and the word in its output that says it reads now.

    `applied` tells from the line of its output how many records are applied, or is None where the store tells.
    """

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    reads_when: str
    applied: Callable[[str], int | None] | None = None
    lines: list[str] = field(default_factory=list)


class _Watched:
    """The process, and what it has said so far."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.process = subprocess.Popen(
            program.command,
            env=os.environ | program.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reading_since: float | None = None
        self.applied = 0
        self.applied_at = 0.0
        assert self.process.stdout is not None  # noqa: S101 - for the type checker: it was asked for above
        threading.Thread(target=self._listen, args=(self.process.stdout,), daemon=True).start()

    def _listen(self, output: IO[str]) -> None:
        for line in output:
            now = time.monotonic()
            self._program.lines.append(line.rstrip())
            if self.reading_since is None and self._program.reads_when in line:
                self.reading_since = now
            elif self._program.applied is not None and (applied := self._program.applied(line)) is not None:
                self.applied, self.applied_at = applied, now

    def cpu_s(self) -> float:
        return process_cpu_s(self.process.pid)

    def memory_mib(self, name: str) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Store:
    """The run's database as seen from outside: its backends, and the worker's progress."""

    def __init__(self, dsn: str) -> None:
        self._conn = psycopg.connect(dsn, autocommit=True)
        self._cpu_s: dict[int, float] = {}

    def progress(self) -> int:
        row = self._conn.execute("SELECT coalesce(sum(next_offset), 0) FROM runtime.progress").fetchone()
        return 0 if row is None else int(row[0])

    def backend_cpu_s(self) -> float:
        """CPU of all backends seen so far, from the scheduler; 0 where the server runs elsewhere."""
        for (pid,) in self._conn.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type IN ('client backend', 'parallel worker') AND pid <> pg_backend_pid()"
        ):
            try:
                self._cpu_s[pid] = backend_cpu_s(pid)
            except OSError:
                continue
        return sum(self._cpu_s.values())

    def close(self) -> None:
        self._conn.close()


def measure(program: Program, dsn: str, records: int) -> Run:
    """Run the program until `records` are applied. Raises RuntimeError where it ends or stands still before."""
    store, watched = Store(dsn), _Watched(program)
    try:
        started = _wait_until_reading(watched, program)
        client_before, backend_before, machine_before = watched.cpu_s(), store.backend_cpu_s(), machine_cpu_s()[0]
        memory: list[tuple[int, float]] = []
        applied, moved_at = 0, started
        while applied < records:
            time.sleep(POLL_S)
            _raise_if_ended(watched, program)
            now = time.monotonic()
            reached = watched.applied if program.applied else store.progress()
            if reached > applied:
                applied, moved_at = reached, watched.applied_at if program.applied else now
                memory.append((applied, watched.memory_mib("VmRSS")))
            elif now - moved_at > STILL_TIMEOUT_S:
                raise RuntimeError(f"{program.name} stands still at {applied} of {records}")
        client_cpu_s, backend_cpu_s = watched.cpu_s() - client_before, store.backend_cpu_s() - backend_before
        others_cpu_s = machine_cpu_s()[0] - machine_before - client_cpu_s - backend_cpu_s
        return Run(
            name=program.name,
            records=records,
            seconds=moved_at - started,
            client_cpu_s=client_cpu_s,
            backend_cpu_s=backend_cpu_s,
            peak_mib=watched.memory_mib("VmHWM"),
            others_cores=max(0.0, others_cpu_s / (moved_at - started)),
            memory=tuple(memory),
        )
    finally:
        watched.stop()
        store.close()


def _wait_until_reading(watched: _Watched, program: Program) -> float:
    deadline = time.monotonic() + START_TIMEOUT_S
    while watched.reading_since is None:
        _raise_if_ended(watched, program)
        if time.monotonic() > deadline:
            raise RuntimeError(f"{program.name} did not begin to read: {program.lines[-3:]}")
        time.sleep(0.01)
    return watched.reading_since


def _raise_if_ended(watched: _Watched, program: Program) -> None:
    if watched.process.poll() is not None:
        raise RuntimeError(f"{program.name} ended: " + "\n".join(program.lines[-20:]))
