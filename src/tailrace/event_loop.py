"""The event loop of our processes: uvloop, and the one thing that aiokafka does not expect of it.

asyncio's transports answer a write after their end with a warning; uvloop's raise RuntimeError. aiokafka expects
OSError only (its issue 1038), so a connection that is cut at the wrong moment would end the task that fetches or
sends, for good and without an error that anybody sees.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError

_Result = TypeVar("_Result")

_WRITERS = ("send", "_send_sasl_token")


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine to its end on a new uvloop, whose closed connections aiokafka takes for what they are."""
    import uvloop

    expect_closed_transports()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def expect_closed_transports() -> None:
    """Make aiokafka answer a write to a closed transport with `KafkaConnectionError`; a second call changes nothing.

    For programs that bring their own uvloop: the producer's connections call it.
    """
    for name in _WRITERS:
        method = getattr(AIOKafkaConnection, name)
        if not hasattr(method, "__wrapped__"):
            setattr(AIOKafkaConnection, name, _expecting(method))


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
