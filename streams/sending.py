"""Writes a stream's outputs: in order, acknowledged by all replicas, or not at all as far as anybody may assume."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tailrace.errors import UnreachableError
from tailrace.settings import KafkaSettings
from tailrace.streams.records import Output

VALUE_BYTES_MAX: Final = 4 * 2**20 - 64 * 2**10
"""A dead letter's value that fits its topic's limit beside its headers; what is longer is cut."""
REQUEST_BYTES_MAX: Final = 5 * 2**20
BATCH_BYTES: Final = 256 * 2**10
LINGER_MS: Final = 5
CLOSE_TIMEOUT_S: Final = 10.0


class Sender:
    """One producer. After `send` raised it must not be used again: what was in flight has an unknown outcome.

    Not Faust's producer: that one is neither idempotent, so that it may change the order when a broker fails, nor has
    it a deadline.
    """

    def __init__(self, bootstrap: str, topic: Callable[[str], str], settings: KafkaSettings, timeout_s: float) -> None:
        self._topic = topic
        self._timeout_s = timeout_s
        self._bootstrap = bootstrap
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=LINGER_MS,
            max_batch_size=BATCH_BYTES,
            max_request_size=REQUEST_BYTES_MAX,
            request_timeout_ms=settings.request_timeout_ms,
        )

    async def start(self) -> None:
        """Connect; raises `UnreachableError`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._producer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from error

    async def stop(self) -> None:
        """Disconnect within `CLOSE_TIMEOUT_S`; aiokafka's own `stop` may wait for ever."""
        try:
            await asyncio.wait_for(self._producer.stop(), CLOSE_TIMEOUT_S)
        except (KafkaError, OSError, TimeoutError):
            return

    async def send(self, outputs: Sequence[Output]) -> None:
        """Write all outputs, those of one key in this order; returns when every one of them is acknowledged.

        Raises `UnreachableError` where that is not known within `timeout_s`.
        """
        if not outputs:
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                sent = [
                    await self._producer.send(
                        self._topic(output.topic),
                        value=output.value if output.value is None else output.value[:VALUE_BYTES_MAX],
                        key=output.key,
                        headers=list(output.headers),
                    )
                    for output in outputs
                ]
                for future in sent:
                    await future
        except (KafkaError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: BaseException) -> UnreachableError:
        return UnreachableError(f"{self._bootstrap} does not take records ({type(error).__name__})", fix="tailrace up")
