"""One schedule from its beginning to its end: events flow, faults happen, and the oracle compares every store."""

import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from bench_servers import BenchServers
from chaos import chaos
from disturbances import Disturbances
from fleet import Fleet, Proxies
from recovery import Recoveries
from schedules import Schedule

from tailrace.addresses import resolve
from tailrace.errors import TailraceError, UnreachableError
from tailrace.operations.positions import wait
from tailrace.schemas.catalogue import key_of, topic_of
from tailrace.settings import Settings
from tailrace.verification.verify import verify
from tailrace.workload import Generated, generate, named_profile, publish_records

CHAOS_WORLD_EVENTS = 400
CHAOS_SHARE = 0.25
"""The rest is a company's believable traffic, with repeats, wrong order, late events and poison."""
AT_ONCE = 0.3
"""Share of the events that is there when the first worker starts; the rest flows until the last fault."""
PUBLISHED_PIECE = 1_000
CAUGHT_UP_S = 180.0
DIFFERENCES_SHOWN = 3
START = datetime(2026, 1, 5, tzinfo=UTC)
OWN_FAULTS = "code IN ('E_STORE', 'E_PROJECTION')"


@dataclass
class Result:
    """What came of a schedule. `wrong` is empty where nothing was lost, doubled or brought back."""

    schedule: Schedule
    records: int
    seconds: float = 0.0
    caught_up_s: float = 0.0
    wrong: dict[str, Any] = field(default_factory=dict)
    checked: int = 0
    exits: Counter[int] = field(default_factory=Counter)
    recovery_s: dict[str, list[float]] = field(default_factory=dict)

    def line(self) -> str:
        """One line for a person."""
        faults = "; ".join(map(str, self.schedule.faults))
        ends = ", ".join(f"{code}×{count}" for code, count in sorted(self.exits.items()))
        slow = ", ".join(f"{kind} {max(found):.1f}s" for kind, found in sorted(self.recovery_s.items()) if found)
        return (
            f"seed {self.schedule.seed}: {'ok' if not self.wrong else 'WRONG'} · {self.records} records, "
            f"{self.checked} rows compared, {self.seconds:.0f}s, caught up {self.caught_up_s:.1f}s after the last fault"
            f" · exits {ends or 'none'} · recovered in {slow or '-'} · {faults}"
        )


def records_of(schedule: Schedule) -> list[Generated]:
    """The schedule's events, at least as many as it says."""
    rng = random.Random(f"events {schedule.seed}")
    strange = int(schedule.events * CHAOS_SHARE)
    profile = named_profile(
        "demo", start=START, events=schedule.events - strange, seed=schedule.seed + 1, workspaces=3, users=80,
        duplicates=0.05, swapped=0.03, late=0.02, poison=20,
    )  # fmt: skip
    queues = [generate(profile), _strange(schedule.seed, strange, rng)]
    left = [schedule.events - strange, strange]
    records: list[Generated] = []
    while queues:
        (queue,) = rng.choices(queues, left)
        record = next(queue, None)
        if record is None:
            del left[queues.index(queue)]
            queues.remove(queue)
        else:
            records.append(record)
    return records


def _strange(seed: int, count: int, rng: random.Random) -> Iterator[Generated]:
    """Colliding events of many small worlds, with repeats."""
    made = 0
    world = 0
    while made < count:
        events = chaos(seed * 1_000 + world, CHAOS_WORLD_EVENTS)
        events += [event for event in events if rng.random() < 0.15]
        rng.shuffle(events)
        for event in events:
            key = key_of(event["type"], event["data"]).encode()
            yield Generated(topic_of(event["type"]), key, json.dumps(event).encode(), event["type"])
        made += len(events)
        world += 1


async def run(schedule: Schedule, servers: BenchServers, name: str) -> Result:
    """Run a schedule under names of its own; never raises for what the workers do."""
    begun = time.monotonic()
    records = await asyncio.to_thread(records_of, schedule)
    settings = await servers.begin(name, batch_max_events=schedule.batch_max_events)
    result = Result(schedule, len(records))
    try:
        with tempfile.TemporaryDirectory(prefix="tailrace-faults-") as folder:
            await _live(schedule, settings, servers, records, Path(folder), result)
            if not result.wrong:
                await asyncio.to_thread(_compare, settings, result)
            if result.wrong:
                result.wrong["log"] = _last_words(Path(folder))
    finally:
        await servers.end(name)
    result.seconds = time.monotonic() - begun
    return result


async def _live(
    schedule: Schedule,
    settings: Settings,
    servers: BenchServers,
    records: list[Generated],
    folder: Path,
    result: Result,
) -> None:
    at_once = int(len(records) * AT_ONCE)
    await _publish(settings, records[:at_once], None)
    stores = {"redis": "redis", "search": "elasticsearch"}
    behind = ("kafka", "postgres", *(stores[name] for name in schedule.followers))
    recoveries = Recoveries(settings, len(records))
    async with AsyncExitStack() as stack:
        proxies = await stack.enter_async_context(Proxies(settings, behind))
        fleet = await stack.enter_async_context(Fleet(settings, proxies, folder))
        for _ in range(schedule.workers):
            await fleet.add("postgres")
        for follower in schedule.followers:
            await fleet.add(follower)
            await fleet.add(follower)
        await recoveries.wait_for_owners(schedule.workers)
        rate = (len(records) - at_once) / schedule.span_s
        flow = asyncio.create_task(_publish(settings, records[at_once:], rate))
        disturbances = Disturbances(settings, servers, fleet, proxies, recoveries)
        started = time.monotonic()
        for fault in schedule.faults:
            await asyncio.sleep(max(0.0, started + fault.at_s - time.monotonic()))
            disturbances.begin(fault, schedule.seed)
        await flow
        await disturbances.end()
        over = time.monotonic()
        missing = await _caught_up(settings)
        result.caught_up_s = time.monotonic() - over
        if missing:
            result.wrong["missing"] = missing
        if codes := await fleet.finish():
            result.wrong["exit codes at the end"] = codes
        for member in fleet.members:
            result.exits.update(member.exits)
    result.recovery_s = dict(recoveries.seconds)


async def _publish(settings: Settings, records: list[Generated], rate: float | None) -> None:
    """Publish to the broker itself; a piece that it did not take for certain is published again."""
    for start in range(0, len(records), PUBLISHED_PIECE):
        while True:
            try:
                await publish_records(
                    resolve(settings).kafka, records[start : start + PUBLISHED_PIECE], settings=settings, rate=rate
                )
                break
            except (UnreachableError, OSError):
                await asyncio.sleep(0.5)


async def _caught_up(settings: Settings) -> dict[str, int]:
    deadline = time.monotonic() + CAUGHT_UP_S
    while True:
        try:
            missing = await wait(settings, deadline - time.monotonic())
        except TailraceError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
        else:
            return missing


def _compare(settings: Settings, result: Result) -> None:
    verified = verify(settings, limit=DIFFERENCES_SHOWN)
    document = verified.document()
    result.checked = sum(report["checked"] for report in document["projections"].values())
    if verified.differences:
        result.wrong["differences"] = {
            name: report["differences"] for name, report in document["projections"].items() if report["differences"]
        }
    if behind := {name: count for name, count in verified.behind.items() if count}:
        result.wrong["behind"] = behind
    with psycopg.connect(resolve(settings).postgres) as connection:
        letters = connection.execute(
            f"SELECT projection, code, reason, count(*) FROM runtime.dead_letters WHERE {OWN_FAULTS} GROUP BY 1, 2, 3"  # noqa: S608 - ours
        ).fetchall()
        halts = connection.execute(
            "SELECT topic, partition, halted_code FROM runtime.progress WHERE halted_code IS NOT NULL"
        ).fetchall()
    if letters:
        result.wrong["dead letters of legal events"] = letters
    if halts:
        result.wrong["halted"] = halts


def _last_words(folder: Path) -> dict[str, list[str]]:
    return {file.name: file.read_text(errors="replace").splitlines()[-8:] for file in sorted(folder.glob("*.log"))}
