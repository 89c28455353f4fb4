"""`tailrace wait` and `tailrace lag`: how far the projections are."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table, stderr
from tailrace.cli.projections import print_projections, projections_document
from tailrace.errors import PartlyDoneError, ThresholdError

if TYPE_CHECKING:
    from tailrace.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(wait)
    app.command()(lag)


def wait(
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait at most.")] = 60,
    output: OutputOption = Output.TABLE,
) -> None:
    """Wait until every projection has applied everything that is in the log now. Exit code 7 if not in time.

    Example: `tailrace wait --timeout 120`
    """
    import asyncio

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from tailrace.operations.positions import wait as wait_for
    from tailrace.settings import load_settings

    settings = load_settings()
    columns = (TextColumn("applying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task("apply", total=None)
        missing = asyncio.run(
            wait_for(settings, timeout, lambda left, total: progress.update(task, total=total, completed=total - left))
        )
    if output is Output.JSON:
        print_json({"applied": not missing, "missing": missing})
    if missing:
        named = ", ".join(f"{name} {count:,}" for name, count in missing.items())
        raise PartlyDoneError(f"not applied yet: {named} records", fix=_way_on(settings, missing))
    note("everything in the log is applied")


def _way_on(settings: "Settings", missing: Iterable[str]) -> str:
    from tailrace.operations.controls import controls

    asked = {name: control.state for (name, _), control in controls(settings).items()}
    # A follower can come no further than the tables.
    paused = [name for name in {*missing, "postgres"} if asked.get(name, "running") != "running"]
    if paused:
        return (
            f'{", ".join(sorted(paused))}: paused; tailrace projection resume {" ".join(sorted(paused))} --reason "…"'
        )
    return "tailrace lag; is a worker running?"


def lag(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PROJECTION]...", help="None: all.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Exit code 10 when a projection is further behind.")] = None,
    partitions: Annotated[bool, typer.Option("--partitions", help="One line for each partition.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show how far each projection is behind the log, in records and seconds. `–` is unknown, never 0.

    Example: `tailrace lag --partitions`
    """
    import asyncio

    from tailrace.operations.overview import overview
    from tailrace.settings import load_settings

    found = asyncio.run(overview(load_settings(), datetime.now(UTC), names or ()))
    if output is Output.JSON:
        print_json(projections_document(found))
    elif partitions:
        print_table(
            ["PROJECTION", "TOPIC", "PART", "POSITION", "END", "LAG", "APPEND TIME", "OWNER", "HALTED"],
            [
                [f.name, p.topic, p.partition, p.next_offset, p.end, p.lag, p.append_time, p.owner, p.halted_code]
                for f in found
                for p in f.position.partitions
            ],
        )
    else:
        print_projections(found)
    if max_seconds is not None:
        started = (f for f in found if f.state != "new")
        late = [f.name for f in started if f.behind_s is None or f.behind_s > max_seconds]
        if late:
            raise ThresholdError(f"more than {max_seconds:g} s behind, or nobody knows: {', '.join(late)}")
