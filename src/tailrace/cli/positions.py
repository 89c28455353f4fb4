"""`tailrace wait` and `tailrace lag`: how far the projections are."""

from typing import Annotated, Any

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table, stderr
from tailrace.errors import PartlyDoneError, ThresholdError


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

    columns = (TextColumn("applying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task("apply", total=None)
        missing = asyncio.run(
            wait_for(
                load_settings(), timeout, lambda left, total: progress.update(task, total=total, completed=total - left)
            )
        )
    if output is Output.JSON:
        print_json({"applied": not missing, "missing": missing})
    if missing:
        named = ", ".join(f"{name} {count:,}" for name, count in missing.items())
        raise PartlyDoneError(f"not applied yet: {named} records", fix="tailrace lag; is a worker running?")
    note("everything in the log is applied")


def lag(
    max_seconds: Annotated[float | None, typer.Option(help="Exit code 10 when a projection is further behind.")] = None,
    partitions: Annotated[bool, typer.Option("--partitions", help="One line for each partition.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show how far each projection is behind the log, in records and seconds. `–` is unknown, never 0.

    Example: `tailrace lag --partitions`
    """
    import asyncio

    from tailrace.operations.positions import positions
    from tailrace.settings import load_settings

    found = asyncio.run(positions(load_settings()))
    if output is Output.JSON:
        print_json(projections_document(found))
    elif partitions:
        print_table(
            ["PROJECTION", "TOPIC", "PART", "POSITION", "END", "LAG", "APPEND TIME", "OWNER", "HALTED"],
            [
                [f.name, p.topic, p.partition, p.next_offset, p.end, p.lag, p.append_time, p.owner, p.halted_code]
                for f in found
                for p in f.partitions
            ],
        )
    else:
        print_projections(found)
    if max_seconds is not None and (late := [f.name for f in found if (f.behind_s or 0) > max_seconds]):
        raise ThresholdError(f"more than {max_seconds:g} s behind: {', '.join(late)}")


def projections_document(found: Any) -> dict[str, Any]:
    """Projections as JSON; numbers that are not known are null."""
    from tailrace.operations.halts import way_out

    return {
        "projections": {
            f.name: {
                "version": f.version,
                "state": f.state,
                "lag": f.lag,
                "behind_seconds": f.behind_s,
                "dead_letters": f.dead_letters,
                "parked": f.parked,
                "data_to": f.event_time,
                "partitions": [
                    {
                        "topic": p.topic,
                        "partition": p.partition,
                        "next_offset": p.next_offset,
                        "end_offset": p.end,
                        "lag": p.lag,
                        "append_time": p.append_time,
                        "owner": p.owner,
                        "halted": p.halted_code
                        and {"code": p.halted_code, "reason": p.halted_reason, "fix": way_out(f.name, p)},
                    }
                    for p in f.partitions
                ],
            }
            for f in found
        }
    }


def print_projections(found: Any) -> None:
    """Print one line for each projection, and one for each halted partition with its way out."""
    from tailrace.operations.halts import way_out

    print_table(
        ["PROJECTION", "VERSION", "STATE", "PARTS", "LAG", "BEHIND", "DEAD", "PARKED", "DATA TO (UTC)"],
        [
            [
                f.name,
                f.version,
                f.state,
                len(f.partitions),
                f.lag,
                None if f.behind_s is None else f"{f.behind_s:.1f}s",
                f.dead_letters,
                f.parked,
                None if f.event_time is None else f.event_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            ]
            for f in found
        ],
    )
    for f in found:
        for p in f.halted:
            note(f"{f.name}: {p.topic}/{p.partition} halted ({p.halted_code}): {p.halted_reason}")
            note(f"  fix  {way_out(f.name, p)}")
