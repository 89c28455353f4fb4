"""The producer for code without an event loop."""

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from tailrace.producer.client import Producer
from tailrace.producer.errors import CloseIncomplete, ProducerClosed
from tailrace.producer.results import Ack, Failed, Result
from tailrace.producer.stamping import Attributes, Publishable
from tailrace.schemas.fields import Data

T = TypeVar("T")


class SyncProducer:
    """A `Producer` that runs in a thread of its own; may be called from any number of threads.

    `with SyncProducer(Producer(settings, source="/billing")) as producer: producer.publish(...)`. Results, errors and
    bounds are those of `Producer`. Events of one key are in the log in the order of the calls, as far as the calling
    threads have one.
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread and connect; raises what `Producer.start` raises."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tailrace-producer", daemon=True)
        self._thread.start()
        try:
            self._call(self._producer.start()).result()
        except BaseException:
            self._stop()
            raise

    def submit(
        self, event: Publishable | str, data: Mapping[str, Any] | Data | None = None, **attributes: Unpack[Attributes]
    ) -> "Future[Ack]":
        """Hand an event over and return the future of its Ack; waits for room and raises like `Producer.submit`."""
        acknowledged = self._call(self._producer.submit(event, data, **attributes)).result()
        return self._call(_result(acknowledged))

    def publish(
        self, event: Publishable | str, data: Mapping[str, Any] | Data | None = None, **attributes: Unpack[Attributes]
    ) -> Ack:
        """Publish one event and wait until it is acknowledged; raises what `Producer.publish` raises."""
        return self.submit(event, data, **attributes).result()

    def publish_many(self, events: Iterable[Publishable]) -> list[Result]:
        """Publish events and return their results in the same order. The iterable is read in the producer's thread."""
        return self._call(self._producer.publish_many(events)).result()

    def flush(self) -> None:
        """Wait until every event handed over so far is acknowledged or has failed."""
        self._call(self._producer.flush()).result()

    def close(self) -> tuple[Failed, ...]:
        """Flush within the bound and end the thread; returns what was not acknowledged."""
        if self._loop is None:
            return ()
        try:
            return self._call(self._producer.close()).result()
        finally:
            self._stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        unacknowledged = self.close()
        if unacknowledged and error is None:
            raise CloseIncomplete(unacknowledged)

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        if self._loop is None:
            coroutine.close()
            raise ProducerClosed
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _stop(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop and thread:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _result(future: "asyncio.Future[Ack]") -> Ack:
    return await future
