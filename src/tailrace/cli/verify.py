"""`tailrace verify`: what differs between the log and the tables."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table, stderr

if TYPE_CHECKING:
    from tailrace.verification.verify import Verification

LIMIT_DEFAULT = 100
PRINTED_MAX = 20
"""Differences of one table that a person is shown; `-o json` has all that were kept."""
CELL_MAX = 400
"""Characters of one row that are shown."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(
    projections: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROJECTION",
            help="Tables, or groups: postgres, collab, analytics, redis, search, streams. None: all.",
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
    limit: Annotated[
        int, typer.Option(min=0, help="Differences of each table that are kept; all are counted.")
    ] = LIMIT_DEFAULT,
) -> None:
    """Fold the whole log independently and list every difference. Exit code 10 if there is one.

    Run `tailrace wait` before: what a worker has not applied yet is a difference, too.

    Example: `tailrace verify messages channel_members -o json`
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging
    from tailrace.verification.verify import verify as run

    settings = load_settings()
    configure_logging(settings.log)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=stderr, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def watch(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step)
            bars.update(tasks[step], completed=done, total=total)

        outcome = run(settings, projections or (), limit=limit, watch=watch)
    if output is Output.JSON:
        print_json(outcome.document())
    else:
        _print(outcome)
    if outcome.differences:
        raise typer.Exit(10)


def _print(outcome: "Verification") -> None:
    rows = [[name, report.checked, report.count] for name, report in outcome.reports.items()]
    print_table(["PROJECTION", "CHECKED", "DIFFERENCES"], rows)
    for name, report in outcome.reports.items():
        shown = report.differences[:PRINTED_MAX]
        if shown:
            cells = [[_cell(one.key), _cell(one.expected), _cell(one.found)] for one in shown]
            print_table(["KEY", "EXPECTED", "FOUND"], cells, title=f"{name}: {len(shown)} of {report.count:,}")
    for projection, records in outcome.behind.items():
        if records:
            note(f"{projection} is {records:,} records behind the log: tailrace wait")


def _cell(row: dict[str, Any] | None) -> str | None:
    """One row in one cell, as Python would write it: no character of it reaches the terminal as a command."""
    from rich.markup import escape

    from tailrace.verification.compare import plain

    if row is None:
        return None
    text = ", ".join(f"{name}={plain(value)!r}" for name, value in row.items())
    return escape(text if len(text) <= CELL_MAX else f"{text[:CELL_MAX]}…")
