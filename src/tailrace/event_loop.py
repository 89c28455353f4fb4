"""The event loop of our processes: uvloop, and what aiokafka gets wrong without a broker.

asyncio's transports answer a write after their end with a warning; uvloop's raise RuntimeError. aiokafka expects
OSError only (its issue 1038), so a connection that is cut at the wrong moment would end the task that fetches or
sends, for good and without an error that anybody sees.

While no broker answers it asks for metadata again at once, without a pause: a third of a core for each worker and a
hundred lines of log a second, for as long as the outage lasts.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError

_Result = TypeVar("_Result")

_WRITERS = ("send", "_send_sasl_token")
METADATA_PAUSE_S = 0.5


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine to its end on a new uvloop, with an aiokafka that bears lost connections."""
    import uvloop

    bear_lost_brokers()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def bear_lost_brokers() -> None:
    """Make aiokafka raise `KafkaConnectionError` for a write to a closed transport, and pause between vain questions.

    A second call changes nothing. For programs that bring their own loop: the producer's connections call it.
    """
    for name in _WRITERS:
        method = getattr(AIOKafkaConnection, name)
        if not hasattr(method, "__wrapped__"):
            setattr(AIOKafkaConnection, name, _expecting(method))
    if not hasattr(AIOKafkaClient._metadata_update, "__wrapped__"):  # noqa: SLF001 - the only place that knows it failed
        AIOKafkaClient._metadata_update = _pausing(AIOKafkaClient._metadata_update)  # noqa: SLF001


def _expecting(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def expecting(connection: AIOKafkaConnection, *args: object, **options: object) -> Any:
        try:
            return method(connection, *args, **options)
        except KafkaError:  # is a RuntimeError too
            raise
        except RuntimeError as error:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"{connection} broken: {error}") from error

    return expecting


def _pausing(update: Callable[..., Coroutine[Any, Any, bool]]) -> Callable[..., Coroutine[Any, Any, bool]]:
    @functools.wraps(update)
    async def pausing(*args: object) -> bool:
        found = await update(*args)
        if not found:
            await asyncio.sleep(METADATA_PAUSE_S)
        return found

    return pausing
