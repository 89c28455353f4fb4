"""`tailrace progress`: end halts, and start partitions again."""

import sys
from typing import Annotated

import typer
from rich.prompt import Confirm

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table, stderr
from tailrace.errors import UsageError
from tailrace.settings import Settings, load_settings
from tailrace.telemetry import configure_logging

Projection = Annotated[str, typer.Argument(metavar="PROJECTION")]
Topic = Annotated[str | None, typer.Option("--topic", help="With or without prefix; none: every halted partition.")]
Partition = Annotated[int | None, typer.Option("--partition", min=0, help="None: all of the topic.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is recorded.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; nothing is changed.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the noun and its verbs."""
    progress = typer.Typer(help="End halts, and start partitions again.", no_args_is_help=True)
    for verb in (lift, reset, changes):
        progress.command()(verb)
    app.add_typer(progress, name="progress")


def lift(  # noqa: PLR0913 - each is an option of the command line
    projection: Projection,
    reason: Reason,
    *,
    topic: Topic = None,
    partition: Partition = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let halted partitions go on at their position, in the log as it is now. Workers find out within seconds.

    Example: `tailrace progress lift postgres --topic files --partition 3 --reason "same records, restored"`
    """
    _change("lift", projection, topic, partition, None, reason, dry_run=dry_run, yes=yes, output=output)


def reset(  # noqa: PLR0913 - each is an option of the command line
    projection: Projection,
    reason: Reason,
    *,
    to: Annotated[str, typer.Option("--to", help="`beginning`, `end` or an offset.")] = "beginning",
    topic: Topic = None,
    partition: Partition = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Start partitions again from the beginning of their log (harmless: everything is idempotent), or elsewhere.

    Example: `tailrace progress reset postgres --topic files --partition 3 --to beginning --reason "topic recreated"`
    """
    _change("reset", projection, topic, partition, to, reason, dry_run=dry_run, yes=yes, output=output)


def _change(  # noqa: PLR0913 - two commands in one
    verb: str,
    projection: str,
    topic: str | None,
    partition: int | None,
    to: str | None,
    reason: str,
    /,
    *,
    dry_run: bool,
    yes: bool,
    output: Output,
) -> None:
    import asyncio

    from tailrace.operations import halts
    from tailrace.operations.audit import audited

    settings = load_settings()
    configure_logging(settings.log)
    if not reason.strip():
        raise UsageError("a reason is needed", fix='--reason "what was found"')
    place = halts.Place(projection, topic, partition)
    if not _agreed(settings, place, verb if to is None else f"{verb} to {to}", dry_run=dry_run, yes=yes, output=output):
        return
    named = " ".join(str(part) for part in (projection, topic, partition) if part is not None)
    with audited(settings, f"progress {verb}", named, reason) as entry:
        done = asyncio.run(
            halts.lift(settings, place, reason) if to is None else halts.reset(settings, place, to, reason)
        )
        entry.before = {f"{one.topic}/{one.partition}": one.before for one in done}
        entry.after = {f"{one.topic}/{one.partition}": one.after for one in done}
    rows = [[one.topic, one.partition, one.halted_code, one.before, one.after] for one in done]
    columns = ["topic", "partition", "halted", "next_offset_before", "next_offset_after"]
    if output is Output.JSON:
        print_json({"changed": [dict(zip(columns, row, strict=True)) for row in rows]})
    else:
        print_table(["TOPIC", "PART", "HALTED", "BEFORE", "NOW"], rows)


def _agreed(settings: Settings, place: object, what: str, *, dry_run: bool, yes: bool, output: Output) -> bool:
    import asyncio

    from tailrace.operations import halts

    assert isinstance(place, halts.Place)  # noqa: S101 - said so late because the module is heavy
    is_all_halted = place.topic is None or what == "lift"
    meant = asyncio.run(halts.preview(settings, place, halted=is_all_halted))
    for one in meant:
        note(f"{one.topic}/{one.partition} at {one.next_offset} of {one.beginning}–{one.end} {one.halted_code or ''}")
    note(f"{len(meant):,} partitions: {what}")
    if dry_run or not meant:
        if output is Output.JSON:
            print_json({"changed": [], "selected": [f"{one.topic}/{one.partition}" for one in meant]})
        return False
    if not yes:
        if not (sys.stdin.isatty() and stderr.is_terminal):
            raise UsageError("this needs a confirmation", fix="add --yes")
        if not Confirm.ask("Go on?", console=stderr, default=False):
            raise typer.Exit(8)
    return True


def changes(limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50, output: OutputOption = Output.TABLE) -> None:
    """List what people did to positions, newest first.

    Example: `tailrace progress changes -o json`
    """
    from tailrace.operations import halts

    rows = halts.changes(load_settings(), limit)
    if output is Output.JSON:
        print_json({"changes": rows})
        return
    print_table(
        ["WHEN (UTC)", "PROJECTION", "TOPIC", "PART", "WHAT", "BEFORE", "NOW", "HALTED", "BY", "WHY"],
        [
            [
                row["changed_at"].strftime("%Y-%m-%d %H:%M:%S"), row["projection"], row["topic"], row["partition"],
                row["action"], row["next_offset_before"], row["next_offset_after"], row["halted_code"],
                row["changed_by"], row["reason"],
            ]
            for row in rows
        ],
    )  # fmt: skip
