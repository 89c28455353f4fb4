"""One Faust app per stream, made so that none of Faust's defaults can lose a record or open a port."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import faust
import structlog

from tailrace.addresses import resolve
from tailrace.settings import Settings, StreamSettings
from tailrace.streams.companion import Companion
from tailrace.streams.pipeline import Pipeline
from tailrace.streams.reading import Reader
from tailrace.streams.records import Record
from tailrace.streams.sending import Sender
from tailrace.streams.stream import Stream
from tailrace.streams.transport import Transport, anchors_of

log = structlog.get_logger()


class _App(faust.App):
    """Faust's, less the folders that it makes for tables, which we have none of: the current one may be read-only."""

    def _create_directories(self) -> None:
        pass


class Connection(Protocol):
    """What is opened before the app and closed behind it."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


@dataclass
class StreamApp:
    """A stream and the Faust app that feeds it. `failed` is done when the process must end, with the reason.

    `joined` says whether the group has given us our partitions, be it none; `assigned` are those. `is_ready`: all of
    them have been read from once.
    """

    stream: Stream
    faust: Any
    pipeline: Pipeline
    connections: Sequence[Connection]
    reader: Reader
    failed: asyncio.Future[Exception] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    joined: bool = False
    is_ready: bool = False
    assigned: frozenset[int] = field(default_factory=frozenset)

    async def start(self) -> None:
        """Connect and join the group; raises `UnreachableError`."""
        for connection in self.connections:
            await connection.start()
        await self.faust.start()

    async def stop(self) -> None:
        """Commit, leave the group and disconnect; Faust may hang here, so give it a deadline."""
        await self.faust.stop()
        for connection in reversed(self.connections):
            await connection.stop()


def make_app(settings: Settings, stream: Stream, now: Callable[[], datetime] | None = None) -> StreamApp:
    """Make the app of a stream; must be called in the event loop that is to run it.

    Raises `UnreachableError` where no broker is known. `now` gives aware UTC.
    """
    bootstrap = resolve(settings).kafka
    source = settings.topic(stream.source)
    reader = Reader(bootstrap, source, stream.source, settings.kafka)
    sender = Sender(bootstrap, settings.topic, settings.kafka, settings.streams.send_timeout_s)
    clock = now or (lambda: datetime.now(UTC))
    companion = None if stream.beside is None else Companion(bootstrap, settings, stream.beside)
    look_around = None if companion is None else companion.catch_up
    pipeline = Pipeline(stream, source, reader, sender, clock, look_around)
    app = _App(
        settings.group(f"streams.{stream.name}"),
        broker=[f"kafka://{address}" for address in bootstrap.split(",")],
        autodiscover=False,
        processing_guarantee="at_least_once",  # its exactly-once mode loses and doubles
        web_enabled=False,
        topic_allow_declare=False,  # topics are made by `topics apply`, with their configuration
        topic_disable_leader=True,
        value_serializer="raw",
        key_serializer="raw",
        stream_buffer_maxsize=settings.streams.buffer_max_events,
        broker_commit_interval=settings.streams.commit_interval_ms / 1_000,
        broker_session_timeout=settings.kafka.session_timeout_ms / 1_000,
        broker_request_timeout=settings.kafka.request_timeout_ms / 1_000,
        loop=asyncio.get_running_loop(),
    )
    app.transport = Transport(app, bootstrap, settings.kafka, pipeline.position)
    made = StreamApp(stream, app, pipeline, (sender, reader, *([companion] if companion else [])), reader)
    _follow_assignment(made)
    _add_agent(made, app.topic(source, key_type=bytes, value_type=bytes), settings.streams)
    return made


def _follow_assignment(made: StreamApp) -> None:
    async def revoked(_app: Any, partitions: Any, **_: Any) -> None:
        made.pipeline.let_go({tp.partition for tp in partitions})
        made.joined, made.assigned = False, frozenset()
        made.faust.consumer.anchors = {}

    async def assigned(_app: Any, partitions: Any, **_: Any) -> None:
        made.joined, made.assigned = True, frozenset(tp.partition for tp in partitions)
        log.info("stream_partitions_assigned", stream=made.stream.name, partitions=len(made.assigned))

    # Not weakly, as by default: nothing else keeps these functions.
    made.faust.on_partitions_revoked.connect(revoked, weak=False)
    made.faust.on_partitions_assigned.connect(assigned, weak=False)


def _add_agent(made: StreamApp, topic: Any, bounds: StreamSettings) -> None:
    short = made.stream.source
    within_s = bounds.batch_max_age_ms / 1_000

    async def agent(stream: Any) -> None:
        async for events in stream.take_events(bounds.batch_max_events, within=within_s):
            generation = made.faust.consumer_generation_id
            records = [
                Record(
                    short,
                    message.partition,
                    message.offset,
                    round(message.timestamp * 1_000),
                    message.key,
                    message.value,
                    tuple(message.headers or ()),
                )
                for message in (event.message for event in events)
                # What was fetched before a rebalance comes again, from where the commits stand.
                if message.generation_id == generation
            ]
            try:
                await made.pipeline.process(records, anchors_of(made.faust.consumer))
            except Exception as error:  # noqa: BLE001 - whatever it is: an agent that raises is acknowledged
                await give_up(made, error)

    made.faust.agent(topic, name=f"tailrace.streams.{made.stream.name}")(agent)


async def give_up(made: StreamApp, error: Exception) -> None:
    """Say that the process must end, and never come back: an agent that raised would be acknowledged and go on."""
    if not made.failed.done():
        made.failed.set_result(error)
    await asyncio.get_running_loop().create_future()
