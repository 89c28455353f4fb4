"""`tailrace projection`: look at projections, pause, resume and drain them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table
from tailrace.cli.projections import duration, print_projections, projections_document
from tailrace.errors import PartlyDoneError
from tailrace.settings import Settings, load_settings
from tailrace.telemetry import configure_logging

if TYPE_CHECKING:
    from tailrace.operations.controls import Drained
    from tailrace.operations.overview import ProjectionStatus

Name = Annotated[str, typer.Argument(metavar="PROJECTION")]
Names = Annotated[list[str], typer.Argument(metavar="PROJECTION...", help="One or more.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is recorded, and `status` shows it.")]


def register(app: typer.Typer) -> None:
    """Add the noun and its verbs."""
    projection = typer.Typer(help="Look at projections, pause, resume and drain them.", no_args_is_help=True)
    for verb in (ls, show, pause, resume, drain):
        projection.command()(verb)
    app.add_typer(projection, name="projection")


def ls(output: OutputOption = Output.TABLE) -> None:
    """List the projections with their state, lag and last error.

    Example: `tailrace projection ls`
    """
    found = _found([])
    if output is Output.JSON:
        print_json(projections_document(found))
    else:
        print_projections(found)


def show(projection: Name, output: OutputOption = Output.TABLE) -> None:
    """Show one projection: its workers, its partitions, and what went wrong last.

    Example: `tailrace projection show search`
    """
    (found,) = _found([projection])
    if output is Output.JSON:
        print_json({"name": found.name, **found.document()})
        return
    print_projections([found])
    _print_workers(found)
    _print_partitions(found)
    if found.last_error is not None:
        note(f"last error  {found.last_error.source}: {found.last_error.code} {found.last_error.cause}")


def pause(projections: Names, reason: Reason, output: OutputOption = Output.TABLE) -> None:
    """Let workers finish what they have in hand and apply nothing more, within seconds; until it is resumed.

    It holds for every process and outlives restarts. Other projections go on; `redis` and `search` can come no further
    than `postgres`.

    Example: `tailrace projection pause search --reason "reindex"`
    """
    from tailrace.operations.controls import in_order
    from tailrace.operations.controls import pause as stop

    settings = _settings()
    _say({one.name: stop(settings, one.name, reason) for one in in_order(projections)}, output)


def resume(projections: Names, reason: Reason, output: OutputOption = Output.TABLE) -> None:
    """Let workers go on, from where the positions are now.

    Example: `tailrace projection resume search --reason "reindexed"`
    """
    from tailrace.operations.controls import in_order
    from tailrace.operations.controls import resume as go_on

    settings = _settings()
    _say({one.name: go_on(settings, one.name, reason) for one in reversed(in_order(projections))}, output)


def drain(
    projections: Names,
    reason: Reason,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait at most, for each.")] = 60,
    output: OutputOption = Output.TABLE,
) -> None:
    """Pause, and return when no worker can apply anything any more. Exit code 7 when not in time: it stays paused.

    Of several, followers are drained first: what they have in hand may still wait for `postgres`. A process that was
    killed or hangs is fenced after 15 seconds: what it holds cannot be applied even if it wakes.

    Example: `tailrace projection drain redis search postgres --reason "upgrade of PostgreSQL"`
    """
    from tailrace.operations.controls import drain as stop
    from tailrace.operations.controls import in_order

    settings = _settings()
    done: dict[str, Drained] = {}
    for one in in_order(projections):
        done[one.name] = stop(settings, one.name, reason, timeout_s=timeout)
        note(_drained(one.name, done[one.name]))
    if output is Output.JSON:
        print_json({name: _drained_document(drained) for name, drained in done.items()})
    if late := [name for name, drained in done.items() if not drained.is_complete]:
        raise PartlyDoneError(
            f"workers still hold unfinished batches: {', '.join(late)}",
            fix="tailrace projection show …; a follower's batch waits for postgres: drain followers first",
        )


def _settings() -> Settings:
    settings = load_settings()
    configure_logging(settings.log)
    return settings


def _drained(name: str, drained: "Drained") -> str:
    if not drained.is_complete:
        held = ", ".join(f"{report.owner} ({report.in_hand} in hand)" for report in drained.holding)
        return f"{name} is paused, but not drained: {held}"
    fenced = f"; fenced unheard: {', '.join(r.owner for r in drained.fenced)}" if drained.fenced else ""
    return f"{name} is drained{fenced}"


def _drained_document(drained: "Drained") -> dict[str, Any]:
    return {
        "state": "drained" if drained.is_complete else "paused",
        "holding": [{"owner": one.owner, "in_hand": one.in_hand} for one in drained.holding],
        "fenced": [one.owner for one in drained.fenced],
    }


def _say(done: dict[str, Any], output: Output) -> None:
    if output is Output.JSON:
        names = ("state", "reason", "actor", "at")
        print_json({name: {key: getattr(control, key) for key in names} for name, control in done.items()})
    for name, control in done.items():
        note(f"{name}: {control.state}; its workers obey within seconds")


def _found(names: list[str]) -> list["ProjectionStatus"]:
    import asyncio

    from tailrace.operations.controls import in_order
    from tailrace.operations.overview import overview

    in_order(names)  # refuses unknown ones
    return asyncio.run(overview(load_settings(), datetime.now(UTC), names))


def _print_workers(found: "ProjectionStatus") -> None:
    print_table(
        ["WORKER", "OBEYS", "IN HAND", "PARTS", "APPLIED", "RATE/s", "HEARD", "LAST ERROR"],
        [
            [
                one.owner,
                "silent" if one.is_silent else one.obeys,
                one.in_hand,
                one.partitions,
                one.applied,
                None if one.rate is None else f"{one.rate:,.0f}",
                f"{duration(max(0.0, (found.now - one.seen_at).total_seconds()))} ago",
                one.last_error,
            ]
            for one in found.workers
        ],
    )


def _print_partitions(found: "ProjectionStatus") -> None:
    print_table(
        ["TOPIC", "PART", "POSITION", "END", "LAG", "APPLIED TO (UTC)", "WAITS SINCE (UTC)", "OWNER", "HALTED"],
        [
            [
                p.topic,
                p.partition,
                p.next_offset,
                p.end,
                p.lag,
                None if p.append_time is None else p.append_time.strftime("%Y-%m-%d %H:%M:%S"),
                waiting.append_time.strftime("%Y-%m-%d %H:%M:%S")
                if (waiting := found.waiting.get((p.topic, p.partition)))
                else None,
                p.owner,
                p.halted_code,
            ]
            for p in found.position.partitions
        ],
    )
