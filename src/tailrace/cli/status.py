"""`tailrace status`: what runs and how it does."""

from typing import Any

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table
from tailrace.cli.stack import document, masked
from tailrace.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(output: OutputOption = Output.TABLE) -> None:
    """Show the servers. Exit code 5 if one that should answer does not.

    Example: `tailrace status -o json`
    """
    from tailrace import stack

    settings = load_settings()
    servers = stack.status(settings)
    # Each section is a part of the document and a table of its own.
    if output is Output.JSON:
        print_json({**document(servers)})
    else:
        _print_servers(servers)
    if servers.unreachable:
        raise typer.Exit(5)


def _print_servers(servers: Any) -> None:
    print_table(
        ["SERVER", "STATE", "VERSION", "ADDRESS", "RESTARTS"],
        [[s.name, s.health, s.version, masked(s.name, s.address), s.restarts] for s in servers.servers],
    )
    for server in servers.servers:
        if server.detail:
            note(f"{server.name}: {server.detail}")
