"""`tailrace demo`: the whole system at work."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table, stderr, stdout

if TYPE_CHECKING:
    from tailrace.demo import Outcome, Request
    from tailrace.settings import Settings

INTERRUPTED: Final = 130
TERMINATED: Final = 143
DIFFERENCES_FOUND: Final = 10
REPORT_COLUMNS: Final = 80


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    *,
    events: Annotated[int, typer.Option(metavar="N", min=100, help="Different good events.")] = 55_000,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Of the company; else one that this log has not seen.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A Slack export (zip or folder) instead of made-up traffic.")
    ] = None,
    down: Annotated[bool, typer.Option("--down/--keep", help="Stop the servers at the end, or let them run.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Publish into servers of your settings without asking.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Start the servers and show the whole system at work: about a minute.

    Publishes 55,000 events of a made-up company, some twice, some late, some poisonous, some through the inbound
    gateway, while workers apply them and streams raise notifications and count trends; kills a worker with SIGKILL in
    the middle, starts another, waits, and compares every table, cache, index, notification and window with the log.
    Running it again adds another company; nothing is deleted. Exit code 10 if a difference is found.

    Example: `tailrace demo --export "Acme Slack export.zip"`
    """
    from tailrace import stack
    from tailrace.demo import Request, report
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging

    settings = load_settings()
    # The demo tells what happens in its own words; the workers' logs are in the data folder.
    configure_logging(settings.log.model_copy(update={"level": "error"}))
    _must_be_meant(settings, yes=yes)
    outcome = _run(settings, Request(events=events, seed=seed, export=export))
    if output is Output.JSON:
        print_json(outcome.document())
    else:
        _print(outcome, report.next_steps(settings, stopped=down))
    if down:
        stack.down(settings)
        note("servers stopped; their data stays")
    if outcome.differences:
        raise typer.Exit(DIFFERENCES_FOUND)


def _must_be_meant(settings: "Settings", *, yes: bool) -> None:
    """Made-up events in a log that somebody uses cannot be taken out again."""
    from tailrace.errors import PreconditionError
    from tailrace.stack.servers import given_address

    given = [name for name in ("kafka", "postgres") if given_address(settings, name) is not None]
    if not given or yes:
        return
    question = f"the demo publishes for good, and the settings name a {' and a '.join(given)} that it would use"
    if not stderr.is_terminal:
        raise PreconditionError(question, fix="take the address out of the settings, or give --yes")
    if not Confirm.ask(f"{question}. Go on?", console=stderr, default=False):
        raise typer.Exit(8)


def _run(settings: "Settings", request: "Request") -> "Outcome":
    from tailrace.demo import display_for, run_demo
    from tailrace.demo.report import shown_command

    async def run() -> "Outcome":
        task = asyncio.current_task()
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel if task else lambda: None)
        return await run_demo(settings, request, display_for(stderr))

    try:
        return asyncio.run(run())
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        name = shown_command()
        note("stopped, with everything that the demo started; what is in the log and the tables stays")
        note(f"  {name} demo            go on: what is left is applied, and another company comes")
        note(f"  {name} down --purge    delete the servers' data in {settings.data_dir}")
        raise typer.Exit(INTERRUPTED if isinstance(error, KeyboardInterrupt) else TERMINATED) from None


def _print(outcome: "Outcome", next_steps: list[tuple[str, str]]) -> None:
    from tailrace.demo import report

    _heading("What happened")
    _print_folded(None, [[f" {label}", text] for label, text in report.story(outcome)])
    _heading("Tables")
    print_table(*report.tables(outcome))
    for heading, table in (
        ("Notifications: who was told", report.notifications),
        ("The hottest five minutes", report.hottest),
        ("Dead letters: what could not be applied, and why", report.dead_letters),
    ):
        columns, rows = table(outcome)
        if rows:
            _heading(heading)
            _print_folded(columns, rows)
    _heading(f"differences: {outcome.differences:,}", style="bold red" if outcome.differences else "bold green")
    stdout.print(f"parked: {outcome.parked:,} events wait for a message or a file", highlight=False)
    _heading("What to type next")
    for command, purpose in next_steps:
        # Not folded: a command is there to be copied.
        stdout.print(f"  {command}", highlight=False, markup=False, soft_wrap=True)
        stdout.print(f"      {purpose}", highlight=False, markup=False, style="dim")


def _heading(text: str, *, style: str = "bold") -> None:
    stdout.print(f"\n{text}", style=style, highlight=False, markup=False)


def _print_folded(columns: list[str] | None, rows: list[list[Any]]) -> None:
    """Print a table whose last column is long text; it is read, so it must not run across a wide screen."""
    table = Table(box=None, pad_edge=False, show_header=columns is not None, header_style="bold", padding=(0, 2, 0, 0))
    for index in range(len(rows[0])):
        last = index == len(rows[0]) - 1
        numeric = all(isinstance(row[index], int) for row in rows)
        heading = columns[index] if columns else ""
        table.add_column(heading, no_wrap=not last, overflow="fold", justify="right" if numeric else "left")
    for row in rows:
        cells = ("–" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        table.add_row(*map(Text, cells))
    stdout.print(table, highlight=False, width=min(stdout.width, REPORT_COLUMNS))
