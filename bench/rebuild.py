"""Events per second of a rebuild beside live consumption of the same log, in the same run.

Live is one worker as people run it, catching up from the beginning of the log. A rebuild is everything until the new
tables could be switched to: making them, filling them, making their indexes and gathering statistics.

Example: .venv/bin/python bench/rebuild.py --profile mixed --events 200000 --rounds 3
"""

import argparse
import os
import resource
import sys
import time
from dataclasses import dataclass
from itertools import pairwise

from databases import Server
from event_log import EventLog
from measuring import measure, wait_until_idle
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
class Rebuilt:
    """Seconds of each part; `client_cpu_s` is of the processes that fill."""

    records: int
    create_s: float
    fill_s: float
    index_s: float
    client_cpu_s: float

    @property
    def rate(self) -> float:
        return self.records / (self.create_s + self.fill_s + self.index_s)


def rebuild(settings: Settings, records: int, processes: int | None) -> Rebuilt:
    """Rebuild into version 2, and drop it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    times = [time.monotonic()]
    create(settings, VERSION)
    times.append(time.monotonic())
    fill(settings, VERSION, processes=processes)
    times.append(time.monotonic())
    make_indexes(settings, VERSION)
    times.append(time.monotonic())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    drop(settings, VERSION)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    create_s, fill_s, index_s = (end - begin for begin, end in pairwise(times))
    return Rebuilt(records, create_s, fill_s, index_s, cpu_s)


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
        made = rebuild(settings, log.records, processes)
    ratio = made.rate / live.rate
    print(
        f"{number}: live {live.rate:,.0f} events/s (client CPU {live.client_cpu_s:.1f} s)"
        f" · rebuild {made.rate:,.0f} events/s (client CPU {made.client_cpu_s:.1f} s;"
        f" create {made.create_s:.1f} s, fill {made.fill_s:.1f} s, indexes {made.index_s:.1f} s)"
        f" · ratio {ratio:.2f} · others' cores beside live {live.others_cores:.1f}",
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
