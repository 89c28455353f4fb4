"""`tailrace report`: a workspace's month on one page."""

from pathlib import Path
from typing import Annotated

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    month: Annotated[str, typer.Option(metavar="YYYY-MM", help="The month, in the workspace's time zone.")],
    workspace: Annotated[
        str | None, typer.Option(metavar="W", help="Id, slug or name; not needed where there is only one.")
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Default: WORKSPACE-YYYY-MM.html.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for each of its queries.")] = 60.0,
    allow_stale: Annotated[
        bool, typer.Option(help="Read a replica that is more than 60 s behind; it says so.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Write a month's activity, people, channels, answers and reactions as one HTML page that needs nothing else.

    Example: `tailrace report --workspace acme --month 2026-11`
    """
    from tailrace.analysis.report import write_report
    from tailrace.settings import load_settings

    written = write_report(load_settings(), workspace, month, to, timeout_s=timeout, allow_stale=allow_stale)
    if output is Output.JSON:
        print_json({"file": written.path, "workspace": written.workspace, "month": month, "bytes": written.size,
                    "as_of": written.as_of.document()})  # fmt: skip
        return
    typer.echo(str(written.path))
    note(f"{written.size / 1024:,.0f} KiB · {written.as_of.sentence()}")
