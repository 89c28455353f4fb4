"""`tailrace status`: what runs and how it does."""

from typing import Any

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table
from tailrace.cli.positions import print_projections, projections_document
from tailrace.cli.stack import document, masked
from tailrace.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(output: OutputOption = Output.TABLE) -> None:
    """Show the servers and how far each projection is. Exit code 5 if a server that should answer does not.

    Example: `tailrace status -o json`
    """
    from tailrace import stack

    settings = load_settings()
    servers = stack.status(settings)
    # Each section is a part of the document and a table of its own.
    found, why_not = _projections(settings)
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


def _projections(settings: Any) -> tuple[Any, str | None]:
    """Projections, or why they cannot be shown: a status that fails because one server is down would be of no use."""
    import asyncio

    from tailrace.errors import TailraceError
    from tailrace.operations.positions import positions

    try:
        return asyncio.run(positions(settings)), None
    except TailraceError as error:
        return None, f"{error}" + (f"  fix  {error.fix}" if error.fix else "")


def _print_servers(servers: Any) -> None:
    print_table(
        ["SERVER", "STATE", "VERSION", "ADDRESS", "RESTARTS"],
        [[s.name, s.health, s.version, masked(s.name, s.address), s.restarts] for s in servers.servers],
    )
    for server in servers.servers:
        if server.detail:
            note(f"{server.name}: {server.detail}")
