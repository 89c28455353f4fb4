"""`make faults`: seeded schedules of faults on real servers, the oracle after each; a failing one is shortened."""

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import uvloop
from bench_servers import BenchServers
from campaign import Result, run
from schedules import Schedule, schedule

from tailrace.settings import LogSettings
from tailrace.telemetry import configure_logging

SHORTENED_MAX = 6
"""Prefixes of a failing schedule that are tried."""


def main() -> int:
    """Run the schedules of a range of seeds; 0 where none of them went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="first", type=int, default=1, help="first seed")
    parser.add_argument("--seeds", type=int, default=40, help="how many schedules")
    parser.add_argument("--events", type=int, default=20_000, help="in each schedule")
    parser.add_argument("--span", type=float, default=14.0, help="seconds over which faults are spread")
    parser.add_argument("--no-search", action="store_true", help="leave Elasticsearch out")
    parser.add_argument("--keep-whole", action="store_true", help="do not shorten a failing schedule")
    parser.add_argument("--data-dir", type=Path, help="folder of the servers; none: a new one, removed at the end")
    parser.add_argument("--report", type=Path, help="file for one JSON line of each schedule")
    arguments = parser.parse_args()
    configure_logging(LogSettings(level="warning"))
    data_dir = arguments.data_dir or Path(tempfile.mkdtemp(prefix="tailrace-faults-")) / "stack"
    servers = BenchServers(data_dir)
    wanted = [
        schedule(seed, arguments.events, span_s=arguments.span, search=not arguments.no_search)
        for seed in range(arguments.first, arguments.first + arguments.seeds)
    ]
    try:
        needed = {"redis": "redis", "search": "elasticsearch"}
        followers = {needed[name] for one in wanted for name in one.followers}
        servers.up(["kafka", "postgres", *sorted(followers)])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_campaign(wanted, servers, arguments))
    finally:
        servers.down(purge=arguments.data_dir is None)
        if arguments.data_dir is None:
            shutil.rmtree(data_dir.parent, ignore_errors=True)


async def _campaign(wanted: list[Schedule], servers: BenchServers, arguments: argparse.Namespace) -> int:
    begun = time.monotonic()
    results: list[Result] = []
    for one in wanted:
        result = await run(one, servers, f"faults_{one.seed}_{time.time_ns() % 10**9}")
        results.append(result)
        _say(result.line())
        if arguments.report:
            with arguments.report.open("a") as file:
                file.write(_line(result) + "\n")
        if result.wrong:
            _say(json.dumps(result.wrong, indent=1, default=str))
            if not arguments.keep_whole:
                await _shorten(one, servers)
    _summary(results, time.monotonic() - begun)
    return int(any(result.wrong for result in results))


async def _shorten(failing: Schedule, servers: BenchServers) -> None:
    """Find the smallest prefix that fails, by halves: `low` faults went well, `high` did not."""
    low, high = -1, len(failing.faults)
    for number in range(SHORTENED_MAX):
        if high - low <= 1:
            break
        middle = (low + high) // 2
        result = await run(failing.prefix(middle), servers, f"faults_{failing.seed}_p{number}_{time.time_ns() % 10**9}")
        _say(f"  the first {middle} faults: {'WRONG' if result.wrong else 'ok'}")
        low, high = (low, middle) if result.wrong else (middle, high)
    _say(f"  smallest failing prefix found: {high} of {len(failing.faults)} faults; seed {failing.seed} reproduces it:")
    for fault in failing.faults[:high]:
        _say(f"    {fault}")


def _line(result: Result) -> str:
    one = result.schedule
    return json.dumps(
        {
            "seed": one.seed, "records": result.records, "faults": [str(fault) for fault in one.faults],
            "followers": one.followers, "seconds": round(result.seconds, 1), "checked": result.checked,
            "caught_up_s": round(result.caught_up_s, 1), "exits": result.exits, "recovery_s": result.recovery_s,
            "wrong": result.wrong,
        },
        default=str,
    )  # fmt: skip


def _summary(results: list[Result], seconds: float) -> None:
    kinds: defaultdict[str, int] = defaultdict(int)
    recovery: defaultdict[str, list[float]] = defaultdict(list)
    for result in results:
        for fault in result.schedule.faults:
            kinds[fault.kind] += 1
        for kind, found in result.recovery_s.items():
            recovery[kind] += found
    wrong = [result.schedule.seed for result in results if result.wrong]
    _say(
        f"{len(results)} schedules, {sum(result.records for result in results)} records, {sum(kinds.values())} faults,"
        f" {sum(result.checked for result in results)} rows compared, {seconds / 60:.1f} min: "
        f"{'0 lost, 0 doubled, 0 resurrected' if not wrong else f'WRONG: seeds {wrong}'}"
    )
    _say("faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())))
    for kind, found in sorted(recovery.items()):
        _say(
            f"records applied again after {kind}: {len(found)} times, median {statistics.median(found):.1f} s,"
            f" longest {max(found):.1f} s"
        )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
