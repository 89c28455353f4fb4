"""Events per second of a rebuild beside live consumption of the same log, in the same run.

Live is one worker as people run it, catching up from the beginning of the log. A rebuild is everything until the new
tables could be switched to: making them, filling them, making their indexes and gathering statistics.

Example: .venv/bin/python bench/rebuild.py --profile mixed --events 200000 --rounds 3
"""

import argparse
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from databases import Server
from event_log import EventLog
from measuring import POLL_S, Store, machine_cpu_s, measure, wait_until_idle
from postgres_worker import add_log_options, filled, worker
from pydantic import SecretStr

from tailrace.addresses import resolve
from tailrace.rebuilding.filling import fill
from tailrace.rebuilding.indexing import make_indexes
from tailrace.rebuilding.shadow import create, drop
from tailrace.settings import LogSettings, Settings, load_settings
from tailrace.telemetry import configure_logging

VERSION = 2


@dataclass(frozen=True)
class Part:
    """One part of a rebuild: seconds of the clock, CPU of this process and those it started, CPU of their backends."""

    clock_s: float
    client_cpu_s: float
    backend_cpu_s: float


@dataclass(frozen=True)
class Rebuilt:
    """The parts by name. `others_cores` is how many cores everything else kept busy during the fill."""

    records: int
    parts: dict[str, Part]
    others_cores: float

    @property
    def rate(self) -> float:
        return self.records / sum(part.clock_s for part in self.parts.values())

    def __str__(self) -> str:
        per_100k = 100_000 / self.records
        return ", ".join(
            f"{name} {part.clock_s:.1f} s (CPU-s/100k: {part.client_cpu_s * per_100k:.2f} client,"
            f" {part.backend_cpu_s * per_100k:.2f} backend)"
            for name, part in self.parts.items()
        )


class Backends:
    """CPU of a database's backends, those that ended included, looked at all the time by a thread."""

    def __init__(self, dsn: str) -> None:
        self._store = Store(dsn)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.cpu_s = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._store.close()

    def _look(self) -> None:
        while not self._ended.wait(POLL_S):
            self.cpu_s = self._store.backend_cpu_s()


def rebuild(settings: Settings, dsn: str, records: int, processes: int | None) -> Rebuilt:
    """Rebuild into version 2, and drop it."""
    steps: dict[str, Callable[[], object]] = {
        "create": lambda: create(settings, VERSION),
        "fill": lambda: fill(settings, VERSION, processes=processes),
        "indexes": lambda: make_indexes(settings, VERSION),
    }
    parts: dict[str, Part] = {}
    others_cores = 0.0
    with Backends(dsn) as backends:
        for name, step in steps.items():
            began, machine = (time.monotonic(), _client_cpu_s(), backends.cpu_s), machine_cpu_s()[0]
            step()
            time.sleep(2 * POLL_S)  # until the last is seen
            part = parts[name] = Part(
                time.monotonic() - 2 * POLL_S - began[0], _client_cpu_s() - began[1], backends.cpu_s - began[2]
            )
            if name == "fill":
                others = machine_cpu_s()[0] - machine - part.client_cpu_s - part.backend_cpu_s
                others_cores = others / part.clock_s
    drop(settings, VERSION)
    return Rebuilt(records, parts, others_cores)


def _client_cpu_s() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run_round(server: Server, log: EventLog, number: int, processes: int | None, idle_wait_s: float) -> float:
    """One run of each, in one database; the ratio of their rates."""
    database = f"bench_rebuild_{os.getpid()}"
    with server.made(database, log):
        server.settle()
        wait_until_idle(idle_wait_s)
        live = measure(worker(log, server.url(database), number), server.dsn(database), log.records)
        settings = log.settings.model_copy(
            update={"postgres": log.settings.postgres.model_copy(update={"dsn": SecretStr(server.url(database))})}
        )
        server.settle()
        wait_until_idle(idle_wait_s)
        made = rebuild(settings, server.dsn(database), log.records, processes)
    ratio = made.rate / live.rate
    print(
        f"{number}: live {live.rate:,.0f} events/s (CPU-s/100k: {live.client_per_100k:.2f} client,"
        f" {live.backend_per_100k:.2f} backend; others {live.others_cores:.1f} cores)"
        f" · rebuild {made.rate:,.0f} events/s ({made}; others {made.others_cores:.1f} cores) · ratio {ratio:.2f}",
        flush=True,
    )
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_log_options(parser)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, help="of the fill; default: one for each core")
    parser.add_argument("--idle-wait-s", type=float, default=0, help="wait so long for an idle machine before each run")
    arguments = parser.parse_args()
    settings = load_settings()
    configure_logging(LogSettings(level="error"))
    server = Server(resolve(settings).postgres, settings)
    with filled(settings, arguments) as log:
        ratios = [
            run_round(server, log, number, arguments.processes, arguments.idle_wait_s)
            for number in range(1, arguments.rounds + 1)
        ]
    ratios.sort()
    print(f"rebuild / live, median of {len(ratios)}: {ratios[len(ratios) // 2]:.2f}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
