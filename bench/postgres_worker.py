"""Events per second of the PostgreSQL worker beside a bare loader, over the same log, in the same run.

Example: .venv/bin/python bench/postgres_worker.py --profile mixed --events 100000 --rounds 3
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import growth
from databases import Server
from event_log import EventLog, drop, fill, with_topic_prefix
from measuring import Program, Run, measure, wait_until_idle
from tables import show_memory, show_runs

from tailrace.addresses import resolve
from tailrace.projections.registry import POSTGRES
from tailrace.settings import LogSettings, Settings, load_settings
from tailrace.telemetry import configure_logging

HERE = Path(__file__).parent
GROWN = (200_000, 1_000_000, 5_000_000)
MEMORY_LIMIT_MIB = 300


def worker(log: EventLog, url: str, number: int, *, rollups: bool = True) -> Program:
    """The worker as people run it; without rollups it is the same worker with that one function taken out."""
    command = (
        [str(Path(sys.executable).with_name("tailrace")), "worker", "run", "postgres"]
        if rollups
        else [sys.executable, str(HERE / "worker_without_rollups.py")]
    )
    environment = {
        "TAILRACE_POSTGRES__DSN": url,
        "TAILRACE_KAFKA__BOOTSTRAP_SERVERS": log.bootstrap,
        "TAILRACE_KAFKA__TOPIC_PREFIX": log.settings.kafka.topic_prefix,
        "TAILRACE_KAFKA__GROUP_PREFIX": f"{log.settings.kafka.topic_prefix}{os.getpid()}.{number}.",
        "TAILRACE_LOG__FORMAT": "json",
    }
    return Program("worker" if rollups else "worker, no rollups", command, environment, '"partitions_claimed"')


def loader(log: EventLog, url: str, number: int) -> Program:
    def applied(line: str) -> int | None:
        word, _, count = line.partition(" ")
        return int(count) if word == "applied" else None

    group = f"{log.settings.kafka.topic_prefix}{os.getpid()}.loader.{number}"
    topics = [log.settings.topic(topic) for topic in POSTGRES.topics]
    command = [
        sys.executable, str(HERE / "loader.py"), "--dsn", url, "--kafka", log.bootstrap, "--group", group,
        "--records", str(log.records), "--batch", str(log.settings.worker.batch_max_events), *topics,
    ]  # fmt: skip
    return Program("loader", command, {}, "reading", applied)


Maker = Callable[[EventLog, str, int], Program]


class Bench:
    """Runs programs, each in a database of its own, and keeps what they must have stored alike."""

    def __init__(self, server: Server, log: EventLog, database: str, idle_wait_s: float = 0) -> None:
        self.server = server
        self.log = log
        self.database = database
        self.idle_wait_s = idle_wait_s
        self._number = 0
        self._messages: int | None = None

    def run(self, make: Maker, template: str | None = None) -> Run:
        """Measure one program in a fresh database, or in a copy of `template`."""
        self._number += 1
        if template is None:
            self.server.make(self.database, self.log)
        else:
            self.server.copy(self.database, template)
        self.server.settle()
        if self.idle_wait_s and not wait_until_idle(self.idle_wait_s):
            print("  the machine is not idle", file=sys.stderr, flush=True)
        try:
            run = measure(
                make(self.log, self.server.url(self.database), self._number),
                self.server.dsn(self.database),
                self.log.records,
            )
            if template is None:
                self._compare(self.server.messages(self.database))
        finally:
            self.server.drop(self.database)
        print(
            f"  {run.name}: {run.rate:,.0f} events/s, others {run.others_cores:.1f} cores", file=sys.stderr, flush=True
        )
        return run

    def _compare(self, messages: int) -> None:
        self._messages = self._messages or messages
        if messages != self._messages:
            raise RuntimeError(f"the programs stored {self._messages:,} and {messages:,} messages")

    def rounds(self, makers: Sequence[Maker], count: int) -> list[list[Run]]:
        """Alternate the programs; every second round the other way round, as the machine drifts."""
        rounds = []
        for number in range(count):
            order = list(enumerate(makers)) if number % 2 == 0 else list(reversed(list(enumerate(makers))))
            runs = {place: self.run(make) for place, make in order}
            rounds.append([runs[place] for place in range(len(makers))])
        return rounds


def without_rollups(log: EventLog, url: str, number: int) -> Program:
    return worker(log, url, number, rollups=False)


def compare(bench: Bench, count: int) -> None:
    show_runs(bench.rounds([loader, worker], count), f"{bench.log.profile.name}, {bench.log.records:,} events")


def rollups(bench: Bench, count: int) -> None:
    rounds = bench.rounds([without_rollups, worker], count)
    show_runs(rounds, f"what rollups cost: {bench.log.profile.name}, {bench.log.records:,} events")


def grown(bench: Bench, count: int, sizes: Sequence[int]) -> None:
    template = f"{bench.database}_grown"
    growth.prepare(bench.server, template, bench.log)
    try:
        filled = 0
        for size in sizes:
            growth.grow(bench.server, template, filled + 1, size)
            filled = size
            title = f"{bench.log.profile.name}, {bench.log.records:,} events on {size:,} messages"
            title += f" ({growth.size(bench.server, template) / 2**30:.1f} GiB)"
            rounds = [[bench.run(loader, template), bench.run(worker, template)] for _ in range(count)]
            show_runs(rounds, title)
    finally:
        bench.server.drop(template)


def memory(bench: Bench) -> None:
    run = bench.run(worker)
    show_runs([[run]], f"memory: {bench.log.profile.name}, {bench.log.records:,} events")
    show_memory(run, MEMORY_LIMIT_MIB)


@contextmanager
def filled(settings: Settings, arguments: argparse.Namespace) -> Iterator[EventLog]:
    """The log under a prefix that names what it holds, so that `--keep-log` finds it again."""
    bootstrap = resolve(settings).kafka
    mine = with_topic_prefix(settings, f"bench-{arguments.profile}-{arguments.events}.")
    print(f"filling the log with {arguments.events:,} events", file=sys.stderr, flush=True)
    try:
        yield asyncio.run(fill(mine, bootstrap, arguments.profile, arguments.events))
    finally:
        if not arguments.keep_log:
            asyncio.run(drop(mine, bootstrap))


def add_log_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", choices=("messages", "mixed"), default="mixed")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--keep-log", action="store_true", help="leave the topics for the next run")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_log_options(parser)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle-wait-s", type=float, default=0, help="wait so long for an idle machine before each run")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--growth", action="store_true", help="on tables that are filled already")
    what.add_argument("--rollups", action="store_true", help="the worker with and without its rollups")
    what.add_argument("--memory", action="store_true", help="the worker's memory over the whole log")
    parser.add_argument("--sizes", type=int, nargs="+", default=GROWN, help="with --growth: messages that are there")
    arguments = parser.parse_args()
    settings = load_settings()
    configure_logging(LogSettings(level="warning"))
    database = f"bench_{arguments.profile}_{os.getpid()}"
    with filled(settings, arguments) as log:
        bench = Bench(Server(resolve(settings).postgres, settings), log, database, arguments.idle_wait_s)
        if arguments.growth:
            grown(bench, arguments.rounds, arguments.sizes)
        elif arguments.rollups:
            rollups(bench, arguments.rounds)
        elif arguments.memory:
            memory(bench)
        else:
            compare(bench, arguments.rounds)


if __name__ == "__main__":
    main()
