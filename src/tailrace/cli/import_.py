"""`tailrace import`: other products' histories."""

import asyncio
from dataclasses import dataclass
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

ToOption = Annotated[
    str | None, typer.Option("--to", help="A file for the events as JSON Lines, `-` for stdout; else the log.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Make the events, report, and send nothing.")]
ResumeOption = Annotated[
    Path | None, typer.Option("--resume", help="A file that remembers how far it came: after a stop, go on there.")
]
RateOption = Annotated[
    float | None, typer.Option("--rate", min=1, help="Events a second at most, to leave room for live traffic.")
]


@dataclass(frozen=True, slots=True)
class Way:
    """Where the events go and how the report is shown."""

    to: str | None
    dry_run: bool
    resume: Path | None
    rate: float | None
    output: Output

    def __post_init__(self) -> None:
        from tailrace.errors import UsageError

        if self.to == "-" and self.output is Output.JSON and not self.dry_run:
            raise UsageError("stdout cannot hold both the events and the report", fix="give --to a file")
        if self.resume and (self.to is not None or self.dry_run):
            raise UsageError("only what goes into the log is resumed", fix="leave --resume out")


def register(parent: typer.Typer) -> None:
    """Add `import` to the command line."""
    parent.add_typer(app, name="import")


@app.command()
def slack(  # noqa: PLR0913 - each is an option of the command line
    path: Annotated[Path, typer.Argument(help="The zip that Slack sends, or the folder it unpacks to.")],
    *,
    to: ToOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = None,
    rate: RateOption = None,
    workspace: Annotated[str | None, typer.Option(help="The workspace's name, which no export holds.")] = None,
    team_id: Annotated[str | None, typer.Option(help="Slack's id of the team, if its users do not tell.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Import a Slack export: people, channels, members, messages, threads, edits, reactions, pins, files.

    Importing the same export again changes nothing. What was not understood is in the report; files of the export
    that cannot be read are left out and named, with exit code 7.

    Example: `tailrace import slack "Acme Slack export.zip" --workspace Acme --dry-run`
    """
    from tailrace.history.report import Report
    from tailrace.history.slack import SlackOptions, slack_events
    from tailrace.history.slack_export import read_slack_export

    way, report = Way(to, dry_run, resume, rate, output), Report()
    with read_slack_export(path) as export, _Progress("slack", "day files") as progress:
        sent = _send(slack_events(export, SlackOptions(workspace, team_id), report, progress), way)
    _conclude("Slack", report, sent, way)


@app.command()
def mattermost(  # noqa: PLR0913 - each is an option of the command line
    path: Annotated[Path, typer.Argument(help="The zip or the .jsonl of a bulk export.")],
    *,
    to: ToOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = None,
    rate: RateOption = None,
    server: Annotated[str, typer.Option(help="Any name for the server; the same one every time.")] = "mattermost",
    output: OutputOption = Output.TABLE,
) -> None:
    """Import a Mattermost bulk export: teams, people, channels, members, posts, threads, edits, reactions, files.

    Importing the same export again changes nothing. What was not understood is in the report; lines that cannot be
    read are left out and named, with exit code 7.

    Example: `tailrace import mattermost export.zip --server chat.acme.test --resume acme.progress`
    """
    from tailrace.history.mattermost import MattermostOptions, mattermost_events
    from tailrace.history.mattermost_export import MattermostExport
    from tailrace.history.report import Report

    way, report = Way(to, dry_run, resume, rate, output), Report()
    with MattermostExport(path) as export, _Progress("mattermost", "lines") as progress:
        sent = _send(mattermost_events(export, MattermostOptions(server), report, progress), way)
    _conclude("Mattermost", report, sent, way)


@app.command()
def zulip(  # noqa: PLR0913 - each is an option of the command line
    path: Annotated[Path, typer.Argument(help="The tarball of an export, or the folder it unpacks to.")],
    *,
    to: ToOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = None,
    rate: RateOption = None,
    realm: Annotated[str | None, typer.Option(help="The realm's name, if the export does not tell.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Import a Zulip export: people, streams, members, messages, topics as threads, edits, reactions, files.

    Importing the same export again changes nothing. What was not understood is in the report; files of the export
    that cannot be read are left out and named, with exit code 7.

    Example: `tailrace import zulip zulip-export.tar.gz --dry-run -o json`
    """
    from tailrace.history.report import Report
    from tailrace.history.zulip import ZulipOptions, zulip_events
    from tailrace.history.zulip_export import ZulipExport

    way, report = Way(to, dry_run, resume, rate, output), Report()
    with ZulipExport(path) as export, _Progress("zulip", "files of messages") as progress:
        sent = _send(zulip_events(export, ZulipOptions(realm), report, progress), way)
    _conclude("Zulip", report, sent, way)


def _send(events: "Iterator[Generated]", way: Way) -> "Sent":
    import sys

    from tailrace.history.sending import JsonLines, Nowhere, send

    if way.dry_run:
        return asyncio.run(send(events, Nowhere()))
    if way.to is None:
        return asyncio.run(_publish(events, way))
    if way.to == "-":
        return asyncio.run(send(events, JsonLines(sys.stdout.buffer)))
    target = Path(way.to)
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as file:
            sent = asyncio.run(send(events, JsonLines(file)))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return sent


async def _publish(events: "Iterator[Generated]", way: Way) -> "Sent":
    from tailrace.addresses import resolve
    from tailrace.history.resuming import Checkpoint
    from tailrace.history.sending import Log, send
    from tailrace.producer import Producer
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging

    settings = load_settings()
    configure_logging(settings.log)
    async with Producer(settings, source="/import", bootstrap_servers=resolve(settings).kafka) as producer:
        checkpoint = Checkpoint(way.resume) if way.resume else None
        if checkpoint and checkpoint.done:
            note(f"{checkpoint.done:,} events are in the log already")
        return await send(events, Log(producer, checkpoint, way.rate))


def _conclude(product: str, report: "Report", sent: "Sent", way: Way) -> None:
    _show(product, report, sent, way)
    _raise_if_partial(report, sent)


def _show(product: str, report: "Report", sent: "Sent", way: Way) -> None:
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
    if way.output is Output.JSON:
        print_json(document)
    elif way.to != "-" or way.dry_run:
        print_table(["WHAT", "IN THE EXPORT", "EVENTS"], rows, title=f"{product} {report.workspace['team_id']}")
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
            f"{report.unreadable_count} files or lines left out, {sent.refused} events refused",
            fix="mend or remove them and import again: nothing is imported twice",
        )


class _Progress:
    """Shows how much of the export is done: a bar on a terminal, a line at every tenth elsewhere."""

    def __init__(self, product: str, unit: str) -> None:
        self._product = product
        self._unit = unit

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
            note(f"import {self._product} {tenth * 10}% {done}/{total} {self._unit}")
        self._tenth = max(tenth, self._tenth)
