"""`tailrace http`: the HTTP way in."""

from typing import Annotated

import typer

from tailrace.cli.output import note

http = typer.Typer(no_args_is_help=True, help="Take events by HTTP.")


@http.callback()
def group() -> None:
    """Keep `serve` a command of its own while it is the only one."""


def register(app: typer.Typer) -> None:
    """Add the `http` commands."""
    app.add_typer(http, name="http")


@http.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen at; beyond loopback only with a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: a free one is chosen.")] = 8460,
) -> None:
    """Take events by HTTP and bring them into the log, until SIGTERM or Ctrl-C.

    `POST /v1/events` takes one CloudEvent or a batch and answers 202 with their places in the log; `:validate` sends
    nothing. `GET /readyz?verbose`, `/schemas/TYPE.json` and `/openapi.json` say the rest.

    Example: `tailrace http serve --port 8460`
    """
    from tailrace.errors import PreconditionError
    from tailrace.event_loop import run as run_loop
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging

    try:
        from tailrace.http.serving import serve as serve_http
    except ModuleNotFoundError as error:
        raise PreconditionError(
            f"{error.name} is not installed", fix="install Tailrace with the extra `http`: pip install 'tailrace[http]'"
        ) from error
    settings = load_settings()
    configure_logging(settings.log)
    run_loop(serve_http(settings, host, port, lambda address: note(f"listening at {address}")))
