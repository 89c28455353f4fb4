"""`tailrace gen`: a seeded workload as JSON Lines or straight into Kafka."""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, Self

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table, stderr

if TYPE_CHECKING:
    from tailrace.workload import Profile, Published, Summary

END_BEFORE_NOW: Final = timedelta(minutes=5)
"""Where the run ends when no start is given: events from the future would be refused."""
NOTE_EVERY_S: Final = 5.0
INTERRUPTED: Final = 130


class Target(StrEnum):
    """Where the records go."""

    STDOUT = "stdout"
    KAFKA = "kafka"


class Format(StrEnum):
    """How they are written on stdout."""

    JSONL = "jsonl"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("gen")(gen)


def gen(  # noqa: PLR0913 - every option is an argument
    *,
    profile: Annotated[str, typer.Option(help="`demo`, `steady`, `messages` or `mixed`.")] = "demo",
    events: Annotated[int | None, typer.Option(metavar="N", help="Different good events.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Another seed, another company.")] = None,
    workspaces: Annotated[int | None, typer.Option(metavar="N", help="They share the users by Zipf's law.")] = None,
    users: Annotated[int | None, typer.Option(metavar="N", help="At the beginning; more are invited.")] = None,
    duplicates: Annotated[float | None, typer.Option(metavar="SHARE", help="Of the events: sent twice.")] = None,
    swapped: Annotated[float | None, typer.Option(metavar="SHARE", help="Sent after their key's next one.")] = None,
    late: Annotated[float | None, typer.Option(metavar="SHARE", help="Happened days to months before.")] = None,
    poison: Annotated[
        int | None, typer.Option(metavar="N", help="Records that must be refused, a few of them just strange.")
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="RFC 3339; else so that it ends now.")] = None,
    days: Annotated[int | None, typer.Option(metavar="N", help="The traffic fills so many days.")] = None,
    to: Annotated[Target, typer.Option(help="`kafka`: into the topics, which must exist.")] = Target.STDOUT,
    rate: Annotated[str | None, typer.Option(metavar="R/s", help="With `--to kafka`: records a second.")] = None,
    form: Annotated[Format, typer.Option("--format", help="A line is an event.")] = Format.JSONL,
    records: Annotated[bool, typer.Option("--records", help="A line is a record: topic, key, value.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make a believable company's traffic: the same options and start give the same bytes.

    Without `--to kafka` the events are printed as JSON Lines, without poison, which need not be JSON; `--records`
    prints everything. The counts go to stderr, with `--to kafka` to stdout (`-o json` for one document).

    Example: `tailrace gen --profile demo --to kafka --rate 2000/s`
    """
    from tailrace.errors import UsageError
    from tailrace.workload import named_profile

    del form  # there is one so far
    changes = {
        "events": events,
        "seed": seed,
        "workspaces": workspaces,
        "users": users,
        "duplicates": duplicates,
        "swapped": swapped,
        "late": late,
        "poison": poison,
        "days": days,
    }
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    run = named_profile(profile, start=_start(start), end=now - END_BEFORE_NOW, **changes)
    note(
        f"gen: {run.name}, seed {run.seed}, {run.events:,} events from {run.start:%Y-%m-%dT%H:%M:%SZ}, {run.days} days"
    )
    if run.start + timedelta(days=run.days) > now + END_BEFORE_NOW:
        note("gen: the run ends in the future; the log refuses events more than 10 minutes ahead (E_TIME)")
    if to is Target.KAFKA:
        if records:
            raise UsageError("--records is for stdout")
        _to_kafka(run, _rate(rate), output)
    else:
        if rate is not None:
            raise UsageError("--rate goes with --to kafka")
        _to_stdout(run, whole=records)


def _start(text: str | None) -> datetime | None:
    from tailrace.errors import UsageError

    if text is None:
        return None
    try:
        start = datetime.fromisoformat(text.upper())
    except ValueError as error:
        raise UsageError(f"--start {text} is no time", fix="write it as 2026-11-01T00:00:00Z") from error
    return start.astimezone(UTC) if start.tzinfo else start.replace(tzinfo=UTC)


def _rate(text: str | None) -> float | None:
    from tailrace.errors import UsageError

    if text is None:
        return None
    try:
        rate = float(text.removesuffix("/s"))
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise UsageError(f"--rate {text} is no rate", fix="write it as 2000/s")
    return rate


def _to_stdout(run: "Profile", *, whole: bool) -> None:
    from tailrace.workload import Summary, generate, write_lines

    summary = Summary()
    try:
        skipped = write_lines(generate(run, summary), sys.stdout.buffer, whole=whole)
    except BrokenPipeError:
        # Nobody reads any more, as with `| head`: not a failure. Python would complain when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if skipped:
        note(f"gen: {skipped} poison records left out, they are no JSON Lines; --records has them")
    note(
        f"gen: {summary.records:,} records, {summary.events:,} events, {summary.faults['duplicate']:,} duplicates, "
        f"{summary.faults['swapped']:,} swapped, {summary.faults['late']:,} late, {summary.faults['poison']} poison"
    )


def _to_kafka(run: "Profile", rate: float | None, output: Output) -> None:
    from tailrace.addresses import resolve
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging
    from tailrace.workload import Summary, generate, publish_records

    settings = load_settings()
    configure_logging(settings.log)
    summary = Summary()
    total = int(run.events * (1 + run.duplicates)) + run.poison
    with _Progress(total) as progress:
        publishing = publish_records(
            resolve(settings).kafka,
            generate(run, summary),
            settings=settings,
            rate=rate,
            on_progress=progress.update,
        )
        try:
            published = asyncio.run(publishing)
        except KeyboardInterrupt:
            note(f"gen: stopped, {progress.records:,} records are in the log")
            raise typer.Exit(INTERRUPTED) from None
    _show(summary, published, output)


def _show(summary: "Summary", published: "Published", output: Output) -> None:
    if output is Output.JSON:
        seconds = round(published.seconds, 3)
        print_json(summary.as_document() | {"seconds": seconds, "records_per_second": round(published.rate)})
        return
    print_table(["EVENTS", "COUNT"], [[name, count] for name, count in sorted(summary.types.items())])
    faults = [[name, summary.faults[name]] for name in ("duplicate", "swapped", "late")]
    print_table(["FAULT", "RECORDS"], faults)
    poison = [[name, count, outcome] for (name, outcome), count in sorted(summary.poison.items())]
    if poison:
        print_table(["POISON", "RECORDS", "EXPECTED"], poison)
    note(f"gen: {published.records:,} records in {published.seconds:.1f} s, {published.rate:,.0f}/s")


class _Progress:
    """Count, rate and time left on stderr: a bar on a terminal, a line every few seconds elsewhere."""

    def __init__(self, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._total = total
        self.records = 0
        self._noted = 0.0
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:,.0f}/s"), TimeRemainingColumn())
        self._bar = Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)
        self._task = self._bar.add_task("gen", total=total, rate=0.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, so_far: "Published") -> None:
        """Show how far it is."""
        self.records = so_far.records
        self._bar.update(self._task, completed=so_far.records, rate=so_far.rate)
        if not stderr.is_terminal and so_far.seconds - self._noted >= NOTE_EVERY_S:
            self._noted = so_far.seconds
            left = max(0, self._total - so_far.records) / so_far.rate if so_far.rate else 0.0
            note(f"gen: {so_far.records:,} of {self._total:,} records, {so_far.rate:,.0f}/s, {left:.0f} s left")
