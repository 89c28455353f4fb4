"""`tailrace archive`: the log in files, for as long as the folder is kept."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table, stderr

archive = typer.Typer(no_args_is_help=True, help="Keep the log in files, for longer than Kafka keeps it.")

FolderOption = Annotated[
    Path | None, typer.Option("--to", metavar="DIR", help="The folder; default: setting archive.dir, else data_dir.")
]
EVERY_S = 60.0


def register(app: typer.Typer) -> None:
    """Add the `archive` commands."""
    app.add_typer(archive, name="archive")


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bars:
        task = bars.add_task(what)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@archive.command("run")
def run_command(
    to: FolderOption = None,
    once: Annotated[bool, typer.Option("--once", help="End after one look; else look every minute.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Close the last, smaller segment of each partition, too.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Write closed segments of the topics to compressed files, each exactly once; nothing is ever overwritten.

    Kill it at any moment and start it again, or run it twice at once. Exit code 7 where Kafka had removed records
    before they were archived.

    Example: `tailrace archive run --once --to /var/lib/tailrace/archive`
    """
    import asyncio
    import time
    from datetime import UTC, datetime

    from tailrace.archiving.archive import folder
    from tailrace.archiving.running import archive as run
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging

    settings = load_settings()
    configure_logging(settings.log)
    path = folder(settings, to)
    while True:
        with _bar("archiving") as watch:
            done = asyncio.run(
                run(settings, path, lambda: datetime.now(UTC), close_all=everything and once, watch=watch)
            )
        if once:
            break
        time.sleep(EVERY_S)
    if output is Output.JSON:
        print_json(
            {"segments": len(done.segments), "records": done.records, "open": done.open_records, "lost": done.lost}
        )
    else:
        note(f"{len(done.segments):,} segments, {done.records:,} records written; {done.open_records:,} not closed yet")
    for topic, partition, first, end in done.lost:
        note(f"{topic}/{partition}: offsets {first:,} to {end - 1:,} were gone before they were archived")
    if done.lost:
        raise typer.Exit(7)


@archive.command("verify")
def verify_command(to: FolderOption = None, output: OutputOption = Output.TABLE) -> None:
    """Check checksums, gaps and overlaps, and compare what Kafka still has byte by byte. Exit code 10 for a problem.

    Example: `tailrace archive verify`
    """
    import asyncio
    from dataclasses import asdict

    from tailrace.archiving.archive import folder
    from tailrace.archiving.checking import check
    from tailrace.settings import load_settings

    settings = load_settings()
    with _bar("checking") as watch:
        found = asyncio.run(check(settings, folder(settings, to), watch))
    if output is Output.JSON:
        print_json(asdict(found))
    else:
        rows = [list(problem.values()) for problem in found.problems]
        if rows:
            print_table(["TOPIC", "PARTITION", "FIRST OFFSET", "PROBLEM"], rows)
        note(
            f"{found.segments:,} segments, {found.records:,} records, {found.compared:,} compared with Kafka:"
            f" {len(found.problems)} problems"
        )
    if found.problems:
        raise typer.Exit(10)


@archive.command("ls")
def ls_command(to: FolderOption = None, output: OutputOption = Output.TABLE) -> None:
    """List the segments.

    Example: `tailrace archive ls -o json`
    """
    from dataclasses import asdict
    from datetime import UTC, datetime

    from tailrace.archiving.archive import folder
    from tailrace.archiving.segments import manifests, places
    from tailrace.settings import load_settings

    settings = load_settings()
    path = folder(settings, to)
    held = [manifest for place in places(path) for manifest in manifests(path, *place)]
    if output is Output.JSON:
        print_json([asdict(manifest) for manifest in held])
        return
    rows = [
        [
            m.topic, m.partition, m.first_offset, m.end_offset, m.records, m.compressed_bytes,
            f"{datetime.fromtimestamp(m.first_timestamp / 1000, UTC):%Y-%m-%d %H:%M:%S}",
            f"{datetime.fromtimestamp(m.last_timestamp / 1000, UTC):%Y-%m-%d %H:%M:%S}",
        ]
        for m in held
    ]  # fmt: skip
    print_table(["TOPIC", "PART", "FIRST", "END", "RECORDS", "BYTES", "FROM (UTC)", "TO (UTC)"], rows)
