"""Events per second and core of `tailrace verify`, by step: reading and decoding the log, folding it, comparing.

The tables are filled by the ordinary worker first, which is not measured. CPU seconds are those of the verifying
process alone: the server sends rows and the broker records at the cost of other cores.

Example: .venv/bin/python bench/verify.py --profile mixed --events 200000
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from databases import Server
from event_log import drop, fill, with_topic_prefix
from measuring import wait_until_idle
from pydantic import SecretStr

from tailrace.addresses import resolve
from tailrace.operations.positions import wait
from tailrace.settings import Settings, load_settings
from tailrace.verification.verify import verify

IDLE_WAIT_S = 60.0
APPLY_TIMEOUT_S = 1_800.0
STOP_TIMEOUT_S = 30.0


class Steps:
    """CPU seconds of each step, from what `verify` says while it goes on."""

    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = {}
        self._step = "read"
        self._since = time.process_time()

    def __call__(self, step: str, done: int, total: int) -> None:
        del done, total
        name = step if step in {"read", "fold"} else "compare"
        if name != self._step:
            self._turn(name)

    def end(self) -> None:
        self._turn("end")

    def _turn(self, name: str) -> None:
        now = time.process_time()
        self.cpu_s[self._step] = self.cpu_s.get(self._step, 0.0) + now - self._since
        self._step, self._since = name, now


def applied(settings: Settings, bootstrap: str, dsn: str) -> None:
    """Run the worker until it has applied everything."""
    environment = os.environ | {
        "TAILRACE_POSTGRES__DSN": dsn,
        "TAILRACE_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "TAILRACE_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "TAILRACE_KAFKA__GROUP_PREFIX": settings.kafka.topic_prefix,
    }
    command = [str(Path(sys.executable).with_name("tailrace")), "worker", "run", "postgres"]
    worker = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        missing = asyncio.run(wait(settings, APPLY_TIMEOUT_S))
        assert not missing, missing  # noqa: S101 - a bench that measures half of it lies
    finally:
        worker.terminate()
        worker.wait(STOP_TIMEOUT_S)


def measure(settings: Settings, rounds: int) -> None:
    """Print one line for each round."""
    for _ in range(rounds):
        is_quiet = wait_until_idle(IDLE_WAIT_S)
        steps, began = Steps(), time.monotonic()
        outcome = verify(settings, ["postgres"], limit=1, watch=steps)
        steps.end()
        events, cpu_s = sum(outcome.positions.values()), sum(steps.cpu_s.values())
        shares = " · ".join(f"{name} {1e6 * spent / events:.1f} µs" for name, spent in steps.cpu_s.items())
        rows = sum(report.checked for report in outcome.reports.values())
        print(
            f"{events:,} events, {rows:,} rows, {outcome.differences} differences: {events / cpu_s:,.0f}/s per core"
            f" ({shares} an event), {time.monotonic() - began:.1f} s{'' if is_quiet else ', the machine was busy'}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="mixed")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="leave the topics for the next run")
    given = parser.parse_args()
    base = load_settings()
    settings = with_topic_prefix(base, f"bench-verify-{given.profile}-{given.events}.")
    bootstrap = resolve(settings).kafka
    log = asyncio.run(fill(settings, bootstrap, given.profile, given.events))
    server = Server(resolve(base).postgres, base)
    with server.made(f"bench_verify_{os.getpid()}", log) as database:
        dsn = SecretStr(server.dsn(database))
        settings.postgres = settings.postgres.model_copy(update={"dsn": dsn})
        applied(settings, bootstrap, server.url(database))
        measure(settings, given.rounds)
    if not given.keep:
        asyncio.run(drop(settings, bootstrap))


if __name__ == "__main__":
    main()
