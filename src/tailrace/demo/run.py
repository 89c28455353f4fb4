"""The demo from beginning to end."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

import psycopg

from tailrace.addresses import resolve
from tailrace.demo.children import in_thread
from tailrace.demo.derived import derived
from tailrace.demo.display import Display
from tailrace.demo.interruption import Interruption
from tailrace.demo.outcome import DeadLetters, Outcome
from tailrace.demo.position import Position
from tailrace.demo.scene import Scene
from tailrace.demo.stage import MAIN, STREAMS, Stage
from tailrace.demo.traffic import Request, SlackTraffic, Traffic, generated_traffic
from tailrace.errors import PartlyDoneError
from tailrace.months.keeper import ensure_partitions
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.operations.positions import ProjectionPosition, positions, wait
from tailrace.operations.streams import wait_for_streams
from tailrace.operations.topics import apply_topics
from tailrace.projections.registry import PROJECTIONS
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names
from tailrace.verification.verify import Verification, verify
from tailrace.workload import Published

LOOK_EVERY_S: Final = 0.25
STALL_S: Final = 90.0
"""Nothing published and nothing applied for so long: longer than a worker takes to die, be missed and return."""
WAIT_S: Final = 3_600.0
"""For the slowest projection, which may have millions of records before it, as long as it moves."""
DIFFERENCES_KEPT: Final = 20


async def run_demo(
    settings: Settings, request: Request, display: Display, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Outcome:
    """Bring everything up, publish while a worker runs and dies and returns, wait, and compare with the log.

    `now` gives aware UTC. What is in the log and the tables before stays there; the run adds to it. Servers go on
    running at the end, workers do not. When it is cancelled, everything that it started is stopped, and what it
    published stays. Child processes read the environment, so `settings` must be those that `load_settings()` gives.

    Raises what the steps raise, and `PartlyDoneError` where nothing moves any more.
    """
    # First of all: whoever mistyped a path should not wait for servers to learn of it.
    export = await SlackTraffic.open(settings, request.export) if request.export else None
    async with Stage(settings, display) as stage:
        await stage.bring_up()
        await _prepare(stage, now)
        start = await _position(settings)
        with Position(settings, start) as position:
            before = position.before
            traffic = export or generated_traffic(settings, request, records_before=before, now=now())
            if before:
                display.say(f"the log holds {before:,} records already; they stay, this adds to them")
            streamed = await _stream(stage, traffic, position)
        verification = await _check(stage)
        return Outcome(
            traffic=traffic,
            records_before=before,
            servers=await stage.versions(),
            published=streamed[0],
            scene=streamed[1],
            interruption=streamed[2],
            verification=verification,
            dead_letters=await in_thread(partial(_dead_letters, settings, start)),
            parked=(await _position(settings)).parked,
            derived=await in_thread(partial(derived, settings, verification)),
            seconds=stage.seconds,
        )


async def _prepare(stage: Stage, now: Callable[[], datetime]) -> None:
    settings = stage.settings

    def schema() -> str:
        with connection(settings) as conn:
            applied = migrate(conn, settings)
            made = ensure_partitions(conn, settings, now=now())
        return f"{len(applied)} migrations, {len(made)} monthly partitions made"

    with stage.step("schema") as detail:
        detail.append(await in_thread(schema))
    with stage.step("topics") as detail:
        plan = await apply_topics(settings, resolve(settings).kafka)
        detail.append(f"{len(plan.topics)}, {len(plan.to_create)} of them created")


async def _position(settings: Settings) -> ProjectionPosition:
    return (await positions(settings, [MAIN]))[0]


async def _stream(stage: Stage, traffic: Traffic, position: Position) -> tuple[Published, Scene, Interruption]:
    """Publish, with a worker that dies in the middle, until everything is applied."""
    cut = Interruption(await stage.start_worker(), stage.start_worker)
    await stage.start_others()
    await stage.start_streams()
    publishing = asyncio.create_task(traffic.publish())
    try:
        with stage.step("stream") as detail:
            scene = await _follow(stage, traffic, publishing, position, cut)
            stage.display.close()
            detail.append(f"{scene.published:,} records published and applied")
        await stage.wait_for_others()
        with stage.step("streams") as detail:
            await _wait_for_streams(stage)
            detail.append(f"{', '.join(STREAMS)}: nothing waits")
        with stage.step("projections") as detail:
            await _wait_for_all(stage)
            detail.append(f"{', '.join(PROJECTIONS)}: everything in the log is applied")
        return publishing.result(), scene, cut
    except asyncio.CancelledError:
        stage.display.close()
        stage.display.say(f"stopping: {traffic.published:,} records are published", mark="✗")
        raise
    finally:
        publishing.cancel()
        # Delivers what it took before it ends.
        await asyncio.wait({publishing})


async def _follow(
    stage: Stage, traffic: Traffic, publishing: asyncio.Task[Published], position: Position, cut: Interruption
) -> Scene:
    """Look, act and show, several times a second, until everything is published, applied, and the worker is back."""
    scene = Scene(total=traffic.total)
    moved_at, moved = time.monotonic(), (0, 0)
    while not (scene.is_caught_up and cut.is_over and scene.worker == "running"):
        # Ends at once where publishing fails; when it is done, there is nothing left to pace the looks.
        await (asyncio.sleep(LOOK_EVERY_S) if publishing.done() else asyncio.wait({publishing}, timeout=LOOK_EVERY_S))
        if publishing.done():
            scene.total = publishing.result().records
            scene.all_published = True
        reading = await in_thread(position.read)
        scene.look(time.monotonic(), published=traffic.published, moved=reading.moved, backlog=position.backlog)
        if happened := await cut.step(scene, reading, time.monotonic()):
            stage.display.say(happened, mark="✗" if scene.worker == "killed" else "✓")
        stage.display.stream(scene)
        if moved != (scene.published, reading.moved):
            moved_at, moved = time.monotonic(), (scene.published, reading.moved)
        elif time.monotonic() - moved_at > STALL_S:
            if scene.is_caught_up:
                # Workers that somebody else runs hold all partitions, so ours has nothing to take over.
                break
            raise PartlyDoneError(
                f"{scene.lag:,} records wait, and nothing has moved for {STALL_S:g} s", fix="tailrace lag --partitions"
            )
    return scene


class _Patience:
    """Waits as long as there is less and less to wait for, and everything that works runs."""

    def __init__(self, stage: Stage, what: str) -> None:
        self._stage = stage
        self._what = what
        self._moved_at = time.monotonic()
        self._least, self._most = math.inf, 1

    def watch(self, left: int, total: int = 0) -> None:
        """See how many records are left; raises `PartlyDoneError` where nothing has moved for `STALL_S`."""
        self._most = max(self._most, left, total)
        self._stage.display.bar("applying", self._most - left, self._most, self._what)
        self._stage.others_must_run()
        if left < self._least:
            self._moved_at, self._least = time.monotonic(), left
        elif left and time.monotonic() - self._moved_at > STALL_S:
            raise PartlyDoneError(
                f"{left:,} records wait, and nothing has moved for {STALL_S:g} s", fix="tailrace lag --partitions"
            )

    def end(self, missing: Mapping[str, int]) -> None:
        """Take the bar away; raises `PartlyDoneError` if anything is missing."""
        self._stage.display.close()
        if missing:
            named = ", ".join(f"{name} {count:,}" for name, count in missing.items())
            raise PartlyDoneError(f"not applied within {WAIT_S:g} s: {named} records", fix="tailrace lag --partitions")


async def _wait_for_streams(stage: Stage) -> None:
    """What they write is in the log, too, so the projections are waited for afterwards."""
    patience = _Patience(stage, "records of the streams")
    patience.end(await wait_for_streams(stage.settings, WAIT_S, STREAMS, patience.watch))


async def _wait_for_all(stage: Stage) -> None:
    """Ask the log itself where it ends: what others published meanwhile counts as well, and so do all projections."""
    patience = _Patience(stage, "records of all projections")
    patience.end(await wait(stage.settings, WAIT_S, patience.watch))


async def _check(stage: Stage) -> Verification:
    """Stop the workers, so that nothing moves, and compare."""
    await stage.stop_workers()
    seen = (0, 0, "records read")

    def watch(step: str, done: int, total: int) -> None:
        nonlocal seen
        seen = (done, total, "records read" if step == "read" else step)

    with stage.step("verify") as detail:
        checking = asyncio.ensure_future(
            in_thread(partial(verify, stage.settings, limit=DIFFERENCES_KEPT, watch=watch))
        )
        while not checking.done():
            stage.display.bar("verifying", *seen)
            await asyncio.wait({checking}, timeout=LOOK_EVERY_S)
        stage.display.close()
        outcome = checking.result()
        detail.append(f"the log folded independently, {outcome.differences:,} differences")
    return outcome


def _dead_letters(settings: Settings, start: ProjectionPosition) -> tuple[DeadLetters, ...]:
    query = render(queries("demo")["dead_letters_by_code"], schema_names(settings.postgres))
    ends = [(p.topic, p.partition, p.end) for p in start.partitions]
    with connection(settings) as conn:
        rows = psycopg.RawCursor(conn).execute(query.encode(), (start.name, *map(list, zip(*ends, strict=True))))
        return tuple(DeadLetters(*row) for row in rows)
