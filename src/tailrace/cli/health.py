"""`tailrace health`: ask a process how it does, and tell how far all of them are."""

from typing import Annotated

import typer

from tailrace.cli.output import note

health = typer.Typer(no_args_is_help=True, help="Ask a worker whether it is well; serve the lag of all as metrics.")

TIMEOUT_S = 5


def register(app: typer.Typer) -> None:
    """Add the `health` commands."""
    app.add_typer(health, name="health")


@health.command()
def check(
    live: Annotated[bool, typer.Option("--live/--ready", help="Whether it turns, or whether it has its share.")] = True,
) -> None:
    """Ask the worker or streams that listen at `health.port` of this machine. Exit code 5 if all is not well.

    Example: `TAILRACE_HEALTH__PORT=8470 tailrace health check`
    """
    import urllib.error
    import urllib.request

    from tailrace.errors import UnreachableError, UsageError
    from tailrace.settings import load_settings

    port = load_settings().health.port
    if port is None:
        raise UsageError("the settings name no port", fix="TAILRACE_HEALTH__PORT=8470")
    url = f"http://127.0.0.1:{port}/{'livez' if live else 'readyz'}"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            note(answer.read().decode(errors="replace").strip())
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace").strip()
        raise UnreachableError(f"{url} answers {error.code}: {said}", fix="tailrace projection ls") from error
    except OSError as error:
        raise UnreachableError(f"nobody answers at {url}", fix="is the worker running?") from error


@health.command()
def serve() -> None:
    """Serve the lag of projections and streams at `health.host` and `health.port` as `/metrics`, until SIGTERM.

    One of these is enough for any number of workers; what a worker knows of itself it serves there, too.

    Example: `TAILRACE_HEALTH__PORT=8471 tailrace health serve`
    """
    import asyncio
    import signal

    from tailrace.errors import UsageError
    from tailrace.operations.metrics import Lag
    from tailrace.probes import probes
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging

    settings = load_settings()
    configure_logging(settings.log)
    if settings.health.port is None:
        raise UsageError("the settings name no port", fix="TAILRACE_HEALTH__PORT=8471")

    async def run() -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        lag = Lag(settings)
        async with probes(settings.health, [lag.part], lag.gather) as port:
            note(f"listening at {settings.health.host}:{port}")
            await lag.gather()
            await stopping.wait()

    asyncio.run(run())
