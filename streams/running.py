"""Runs streams until they are told to stop, and ends the process where one of them cannot be trusted any more."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn

import structlog

from tailrace.addresses import resolve
from tailrace.errors import TailraceError
from tailrace.probes import Part, Sample, watch
from tailrace.settings import Settings
from tailrace.streams.app import StreamApp
from tailrace.streams.pulse import watch_the_loop
from tailrace.streams.reading import Reader
from tailrace.streams.registry import create_app
from tailrace.streams.transport import anchors_of
from tailrace.streams.watchdog import Watchdog

log = structlog.get_logger()

TICK_S: Final = 1.0
WATCH_EVERY_S: Final = 5.0
HARD_STOP_EXIT: Final = 70
# What these log at every start and every rebalance is no fault, and it may quote records; what is one crashes the app.
_NOISY: Final = ("faust", "mode", "aiokafka")


async def run_streams(settings: Settings, names: Sequence[str], leave: Callable[[Exception], NoReturn]) -> None:
    """Run streams in this process until SIGTERM or SIGINT; the open batches are finished and committed first.

    Topics must exist. A second signal, or an end that takes longer than `worker.drain_timeout_s`, ends the process
    with exit code 70: nothing depends on a clean end. Where a stream fails, `leave` is called with the reason and must
    end the process at once: threads of Faust and aiokafka would keep it, and a commit now could only do harm. Positions
    stand where the last acknowledged outputs were, so running again is right.
    """
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    stopping = asyncio.Event()
    _stop_on_signals(stopping)
    watch_the_loop(settings.streams.stall_timeout_s)
    apps: list[StreamApp] = []
    try:
        for name in names:
            apps.append(create_app(name, settings))
            watch(_part(apps[-1]))
            await apps[-1].start()
            log.info("stream_started", stream=name, source=apps[-1].stream.source)
        await _run_until(stopping, apps, settings)
    except Exception as error:  # noqa: BLE001 - whatever it is, the process must not go on without this stream
        log.error("stream_failed", error=type(error).__name__)  # noqa: TRY400 - tracebacks may quote records
        leave(error)
    await _stop(apps, settings.worker.drain_timeout_s)


def _part(app: StreamApp) -> Part:
    def trouble() -> str | None:
        return None if app.joined and app.is_ready else "waits for its partitions"

    def samples() -> Iterator[Sample]:
        named, totals = ("stream", app.stream.name), app.pipeline.totals
        yield Sample("tailrace_events_consumed_total", totals.records, (named,))
        yield Sample("tailrace_stream_outputs_total", totals.outputs, (named,))

    return Part(app.stream.name, trouble, samples)


async def _run_until(stopping: asyncio.Event, apps: Sequence[StreamApp], settings: Settings) -> None:
    """Return when `stopping` is set; raise the first fault of an app or of what tends it."""
    told = asyncio.create_task(stopping.wait())
    ticks = [asyncio.create_task(_tick(app, stopping)) for app in apps]
    beside = [*ticks, *(asyncio.create_task(_watch(app, settings)) for app in apps)]
    waited: list[asyncio.Future[Any]] = [told, *beside, *(app.failed for app in apps)]
    try:
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        for app in apps:
            if app.failed.done():
                raise app.failed.result()
        for task in beside:
            if task.done():
                task.result()
        # Cut short, a tick would spoil the batch that Faust may still finish behind it.
        await asyncio.wait(ticks, timeout=settings.worker.drain_timeout_s)
    finally:
        told.cancel()
        for task in beside:
            task.cancel()


async def _tick(app: StreamApp, stopping: asyncio.Event) -> None:
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), TICK_S)
        if stopping.is_set():
            return
        await app.pipeline.tick(anchors_of(app.faust.consumer))


async def _watch(app: StreamApp, settings: Settings) -> None:
    """Tell when the stream is ready; raise where Faust crashed or stands still."""
    watchdog = Watchdog(settings.streams.stall_timeout_s)
    while True:
        await asyncio.sleep(WATCH_EVERY_S if app.is_ready else TICK_S)
        if app.faust.should_stop:
            kind = type(app.faust.crash_reason).__name__ if app.faust.crash_reason else "it stopped by itself"
            # If the broker is away, that is why, and this raises as much.
            await app.reader.ends(app.assigned or {0})
            raise TailraceError(f"stream {app.stream.name}: Faust crashed ({kind})", fix="run it again")
        partitions = app.assigned
        positions = {partition: app.pipeline.seen(partition) for partition in partitions}
        ends = await app.reader.ends(partitions) if partitions else {}
        at = asyncio.get_running_loop().time()
        if watchdog.stalled(at, joined=app.joined, positions=positions, ends=ends):
            if not app.joined or await _are_waiting(settings, app, watchdog.behind):
                raise TailraceError(
                    f"stream {app.stream.name}: records are waiting but none arrive", fix="run it again"
                )
            watchdog.forgive(at)
        if not app.is_ready and app.joined and all(positions[one] is not None or not ends[one] for one in partitions):
            app.is_ready = True
            log.info("stream_ready", stream=app.stream.name, partitions=len(partitions))


async def _are_waiting(settings: Settings, app: StreamApp, behind: Iterable[tuple[int, int, int]]) -> bool:
    """Whether there is a record in any of these stretches: the markers of transactions have offsets and are none."""
    reader = Reader(resolve(settings).kafka, settings.topic(app.stream.source), app.stream.source, settings.kafka)
    await reader.start()
    try:
        for partition, start, stop in behind:
            beginning = (await reader.beginnings([partition]))[partition]
            async for records in reader.read(partition, max(start, beginning), stop):
                if records:
                    return True
        return False
    finally:
        await reader.stop()


async def _stop(apps: Sequence[StreamApp], timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            for app in apps:
                await app.stop()
                log.info("stream_stopped", stream=app.stream.name, **vars(app.pipeline.totals))
    except TimeoutError:
        log.warning("stop_timed_out")
        os._exit(HARD_STOP_EXIT)


def _stop_on_signals(stopping: asyncio.Event) -> None:
    def stop() -> None:
        if stopping.is_set():
            os._exit(HARD_STOP_EXIT)
        log.info("stopping")
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
