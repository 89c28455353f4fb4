"""`tailrace status`: what runs and how it does."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table
from tailrace.cli.projections import COLUMNS, footer, print_projections, projections_document, row_of
from tailrace.cli.stack import document, masked
from tailrace.errors import UsageError
from tailrace.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tailrace.operations.overview import ProjectionStatus

WATCH_EVERY_S: Final = 2.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PROJECTION]...", help="None: all.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Draw it again every two seconds, until Ctrl-C.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the servers and how each projection does. Exit code 5 if a server that should answer does not.

    `–` is unknown, never 0. BEHIND is the age of the oldest record that waits by its append time, BY EVENT by when it
    happened; both grow while no worker runs.

    Example: `tailrace status --watch`
    """
    from tailrace import stack
    from tailrace.projections.registry import PROJECTIONS

    if unknown := [name for name in names or () if name not in PROJECTIONS]:
        raise UsageError(f"unknown projection: {', '.join(unknown)}", fix=f"one or more of {', '.join(PROJECTIONS)}")
    settings = load_settings()
    if watch:
        if output is Output.JSON:
            raise UsageError("--watch draws, -o json prints one document", fix="leave one of them out")
        _watch(lambda: _found(settings, names or ()))
        return
    # Each section is a part of the document and a table of its own; neither waits for the other.
    with ThreadPoolExecutor(max_workers=1) as pool:
        asked = pool.submit(stack.status, settings)
        found, why_not = _found(settings, names or ())
        servers = asked.result()
    if output is Output.JSON:
        print_json({**document(servers), **(projections_document(found) if found else {"projections": None})})
    else:
        _print_servers(servers)
        if found:
            print_projections(found)
        elif why_not:
            note(f"projections: {why_not}")
    if servers.unreachable:
        raise typer.Exit(5)


Found = tuple[Sequence["ProjectionStatus"] | None, str | None]
"""Projections, or why they cannot be shown."""


def _found(settings: Settings, names: Sequence[str]) -> Found:
    """A status that fails because one server is down would be of no use."""
    import asyncio

    from tailrace.errors import TailraceError
    from tailrace.operations.overview import overview

    try:
        return asyncio.run(overview(settings, datetime.now(UTC), names)), None
    except TailraceError as error:
        return None, f"{error}" + (f"  fix  {error.fix}" if error.fix else "")


def _watch(look: Callable[[], Found]) -> None:
    import time

    from rich.live import Live

    from tailrace.cli.output import stdout

    with Live(drawn(*look()), console=stdout, auto_refresh=False, screen=stdout.is_terminal) as live:
        try:
            while True:
                time.sleep(WATCH_EVERY_S)
                live.update(drawn(*look()), refresh=True)
        except KeyboardInterrupt:
            return


def drawn(found: Sequence["ProjectionStatus"] | None, why_not: str | None) -> "RenderableType":
    """What `--watch` shows: the table, and beneath it the halts, or why there is nothing to show."""
    from rich.console import Group
    from rich.text import Text

    from tailrace.cli.output import table_of

    if not found:
        return Text(f"projections: {why_not}")
    halts = [
        Text(f"{one.name}: {p.topic}/{p.partition} halted ({p.halted_code}): {p.halted_reason}")
        for one in found
        for p in one.position.halted
    ]
    return Group(table_of(COLUMNS, [row_of(one) for one in found]), *halts, Text(footer(found)))


def _print_servers(servers: Any) -> None:
    print_table(
        ["SERVER", "STATE", "VERSION", "ADDRESS", "RESTARTS"],
        [[s.name, s.health, s.version, masked(s.name, s.address), s.restarts] for s in servers.servers],
    )
    for server in servers.servers:
        if server.detail:
            note(f"{server.name}: {server.detail}")
