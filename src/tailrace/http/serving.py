"""Runs the HTTP way in until it is told to end; what was taken in is in the log by then."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
import uvicorn

from tailrace.errors import PreconditionError
from tailrace.http.access import check_address
from tailrace.http.app import Surroundings, create_app
from tailrace.http.readiness import log_probe
from tailrace.producer import Producer, ProducerOptions
from tailrace.settings import Settings

log = structlog.get_logger(__name__)

SOURCE: Final = "/http"
"""`source` of events that bring none."""
DELIVERY_TIMEOUT_S: Final = 10.0
"""A caller is told after this that the log cannot be reached; the SDK's own time is longer than callers wait."""
DRAIN_TIMEOUT_S: Final = 20
"""Requests that are being answered on SIGTERM have so long; longer than a delivery takes to fail."""
KEEP_ALIVE_S: Final = 30
BACKLOG: Final = 512


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the process by the signal and not with 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called with the address (port 0: a free one is chosen).

    Requests under way are answered first, then the producer is flushed. Raises `UsageError` for an address beyond
    loopback without a token, `PreconditionError` where the port is taken, `UnreachableError` where no broker answers,
    `CloseIncomplete` where something taken in could not be brought into the log.
    """
    token = settings.http.token.get_secret_value() if settings.http.token else None
    check_address(host, token)
    options = ProducerOptions(delivery_timeout_s=DELIVERY_TIMEOUT_S)
    with _listening(host, port) as listener:
        async with Producer(settings, source=SOURCE, options=options) as producer:
            app = create_app(Surroundings(producer, token, (log_probe(settings),)))
            server = _Server(
                uvicorn.Config(
                    app,
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    lifespan="off",
                    timeout_keep_alive=KEEP_ALIVE_S,
                    timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
                )
            )
            name = f"[{host}]" if ":" in host else host
            with _ended_by_signals(server):
                ready(f"http://{name}:{listener.getsockname()[1]}")
                await server.serve(sockets=[listener])


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise PreconditionError(
            f"cannot listen at {host}:{port}: {error.strerror}", fix="choose another --port"
        ) from error
    with listener:
        yield listener


@contextmanager
def _ended_by_signals(server: uvicorn.Server) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def end() -> None:
        log.info("http_ending")
        server.should_exit = True

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, end)
    try:
        yield
    finally:
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
