"""`tailrace import`: other products' histories."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table, stderr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tailrace.history.generated import Generated
    from tailrace.history.report import Report
    from tailrace.history.sending import Sent

SHOWN_MAX: Final = 20
"""Files left out and events refused that are named on stderr; `-o json` has more."""

app = typer.Typer(help="Turn another product's history into events.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keep `slack` a command of its own while it is the only one."""


def register(parent: typer.Typer) -> None:
    """Add `import` to the command line."""
    parent.add_typer(app, name="import")


@app.command()
def slack(
    path: Annotated[Path, typer.Argument(help="The zip that Slack sends, or the folder it unpacks to.")],
    *,
    to: Annotated[
        str | None, typer.Option("--to", help="A file for the events as JSON Lines, `-` for stdout; else the log.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make the events, report, and send nothing.")] = False,
    workspace: Annotated[str | None, typer.Option(help="The workspace's name, which no export holds.")] = None,
    team_id: Annotated[str | None, typer.Option(help="Slack's id of the team, if its users do not tell.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Import a Slack export: people, channels, members, messages, threads, edits, reactions, pins, files.

    Importing the same export again changes nothing. What was not understood is in the report; files of the export
    that cannot be read are left out and named, with exit code 7.

    Example: `tailrace import slack "Acme Slack export.zip" --workspace Acme --dry-run`
    """
    from tailrace.errors import UsageError
    from tailrace.history.report import Report
    from tailrace.history.slack import SlackOptions, slack_events
    from tailrace.history.slack_export import read_slack_export

    if to == "-" and output is Output.JSON and not dry_run:
        raise UsageError("stdout cannot hold both the events and the report", fix="give --to a file")
    report = Report()
    with read_slack_export(path) as export, _Progress() as progress:
        events = slack_events(export, SlackOptions(workspace, team_id), report, progress)
        sent = _send(events, to, dry_run=dry_run)
    _show(report, sent, output, on_stdout=to != "-" or dry_run)
    _raise_if_partial(report, sent)


def _send(events: "Iterator[Generated]", to: str | None, *, dry_run: bool) -> "Sent":
    import sys

    from tailrace.history.sending import JsonLines, Nowhere, send

    if dry_run:
        return asyncio.run(send(events, Nowhere()))
    if to is None:
        return asyncio.run(_publish(events))
    if to == "-":
        return asyncio.run(send(events, JsonLines(sys.stdout.buffer)))
    target = Path(to)
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as file:
            sent = asyncio.run(send(events, JsonLines(file)))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return sent


async def _publish(events: "Iterator[Generated]") -> "Sent":
    from tailrace.addresses import resolve
    from tailrace.history.sending import Log, send
    from tailrace.producer import Producer
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging

    settings = load_settings()
    configure_logging(settings.log)
    async with Producer(settings, source="/import", bootstrap_servers=resolve(settings).kafka) as producer:
        return await send(events, Log(producer))


def _show(report: "Report", sent: "Sent", output: Output, *, on_stdout: bool) -> None:
    document = {
        **report.document(),
        "sent": {
            "written": sent.written,
            "refused": sent.refused,
            "refusals": [{"id": refusal.event_id, "reason": refusal.reason} for refusal in sent.refusals],
        },
    }
    rows: list[list[Any]] = [list(row) for row in report.compared()]
    odd: list[list[Any]] = [[oddity.kind, oddity.count, oddity.first] for _, oddity in sorted(report.oddities.items())]
    if output is Output.JSON:
        print_json(document)
    elif on_stdout:
        print_table(["WHAT", "IN THE EXPORT", "EVENTS"], rows, title=f"Slack {report.workspace['team_id']}")
        if odd:
            print_table(["NOT UNDERSTOOD OR ASSUMED", "COUNT", "FIRST"], odd)
    else:
        for row in [*rows, *odd]:
            note("  ".join(str(cell) for cell in row if cell is not None))
    note(f"{report.events.total():,} events made, {sent.written:,} written")


def _raise_if_partial(report: "Report", sent: "Sent") -> None:
    from tailrace.errors import PartlyDoneError

    for unreadable in report.unreadable[:SHOWN_MAX]:
        note(f"left out {unreadable.file}: {unreadable.reason}")
    for refusal in sent.refusals[:SHOWN_MAX]:
        note(f"refused {refusal.event_id}: {refusal.reason}")
    if report.unreadable_count or sent.refused:
        raise PartlyDoneError(
            f"{report.unreadable_count} files left out, {sent.refused} events refused",
            fix="mend or remove the files and import again: nothing is imported twice",
        )


class _Progress:
    """Shows the day files done: a bar on a terminal, a line at every tenth elsewhere."""

    def __enter__(self) -> "Callable[[int, int], None]":
        from rich.progress import Progress

        self._bar = Progress(console=stderr, transient=True, disable=not stderr.is_terminal)
        self._task = self._bar.add_task("importing", total=None)
        self._tenth = 0
        self._bar.start()
        return self._update

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _update(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)
        tenth = done * 10 // total if total else 10
        if tenth > self._tenth and not stderr.is_terminal:
            note(f"import slack {tenth * 10}% {done}/{total} day files")
        self._tenth = max(tenth, self._tenth)
