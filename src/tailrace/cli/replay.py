"""`tailrace replay` and `tailrace repair`: mend what differs from the log, and nothing else."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table, stderr

if TYPE_CHECKING:
    from tailrace.mending.replay import Outcome, Step
    from tailrace.mending.scope import Scope

replay = typer.Typer(no_args_is_help=True, help="Apply a part of the log again: plan it, apply it, undo it.")
repair = typer.Typer(no_args_is_help=True, help="Mend exactly what differs from the log.")

PERCENT = 10
INTERRUPTED = 130
TIMES = ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d"]
MIB = 2**20

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is recorded.")]
WorkspaceOption = Annotated[str | None, typer.Option(metavar="ID", help="Only what belongs to this workspace.")]
ChannelOption = Annotated[str | None, typer.Option(metavar="ID", help="Only this channel's rows.")]


def register(app: typer.Typer) -> None:
    """Add both."""
    app.add_typer(replay, name="replay")
    app.add_typer(repair, name="repair")


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C asks for a pause. Raised where it happens to arrive, it would be lost in code that swallows it."""
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _progress() -> Iterator[Callable[["Step"], None]]:
    """A bar for a terminal; one line for each tenth where nobody looks."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}
        told: dict[str, int] = {}

        def watch(step: "Step") -> None:
            if step.name not in tasks:
                tasks[step.name] = bars.add_task(step.name, total=step.total)
            bars.update(tasks[step.name], completed=step.done, total=step.total)
            percent = 100 * step.done // step.total if step.total else 0
            if not stderr.is_terminal and percent // PERCENT > told.get(step.name, -1):
                told[step.name] = percent // PERCENT
                rate = f" {step.rate:,.0f}/s" if step.rate else ""
                note(f"{step.name} {percent}% {step.done}/{step.total or '–'}{rate}")

        yield watch


def _scope(workspace: str | None = None, channel: str | None = None, message: str | None = None) -> "Scope":
    from uuid import UUID

    from tailrace.errors import UsageError
    from tailrace.mending.scope import Scope

    try:
        ids = [None if one is None else str(UUID(one)) for one in (workspace, channel, message)]
    except ValueError as error:
        raise UsageError("no id", fix="give a UUID") from error
    return Scope(workspace=ids[0], channel=ids[1], message=ids[2])


@repair.command("postgres")
def repair_command(
    reason: ReasonOption,
    workspace: WorkspaceOption = None,
    channel: ChannelOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what differs.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Mend the tables from the log, then the caches and documents that still differ. Exit code 10 if any is left.

    A second set of tables is filled beside the live ones (as much disk again) and dropped at the end; live traffic goes
    on. Rows that differ are copied whole, in one transaction, and can be put back: `tailrace replay undo JOB`.

    Example: `tailrace repair postgres --dry-run --reason "a wrong count was reported"`
    """
    from tailrace.mending.filling import Pace
    from tailrace.mending.replay import REPAIR, Work
    from tailrace.mending.replay import repair as run
    from tailrace.operations.jobs import JobPaused
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging

    settings = load_settings()
    configure_logging(settings.log)
    work = Work(REPAIR, "postgres", _scope(workspace, channel), reason, Pace(), dry_run)
    try:
        with _stopping(work.pace.stop), _progress() as watch:
            outcome = run(settings, work, watch)
    except JobPaused:
        note("paused at a safe point. Go on: the same command again")
        sys.exit(INTERRUPTED)
    _print(outcome, output, dry_run=dry_run)
    if outcome.stores.left or (dry_run and outcome.tables.rows):
        raise typer.Exit(10)


@replay.command("plan")
def plan_command(  # noqa: PLR0913, PLR0917 - every option is an argument
    projection: Annotated[
        list[str] | None, typer.Option("--projection", help="As `tailrace verify` names them; none: everything.")
    ] = None,
    workspace: WorkspaceOption = None,
    channel: ChannelOption = None,
    message: Annotated[str | None, typer.Option(metavar="ID", help="Only this message.")] = None,
    since: Annotated[
        datetime | None, typer.Option("--from", formats=TIMES, help="Events that happened since, UTC.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", formats=TIMES, help="Events that happened before, UTC.")
    ] = None,
    offsets: Annotated[
        Path | None, typer.Option("--offsets", metavar="FILE", help='JSON: {"conversations/3": [1200, 1500], …}.')
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:  # fmt: skip
    """Say what a replay would touch and take; nothing is changed. The plan holds for 30 minutes.

    Example: `tailrace replay plan --from 2026-11-18 --to 2026-11-19`
    """
    from dataclasses import replace
    from datetime import UTC

    from tailrace.mending.plans import make_plan
    from tailrace.mending.scope import offsets_of
    from tailrace.operations.audit import actor
    from tailrace.settings import load_settings
    from tailrace.verification.tables import chosen

    chosen(projection or ())
    scope = replace(
        _scope(workspace, channel, message),
        projections=tuple(projection or ()),
        since=since and since.replace(tzinfo=UTC),
        until=until and until.replace(tzinfo=UTC),
        offsets=offsets_of(offsets.read_text(encoding="utf-8")) if offsets else {},
    )
    plan = make_plan(load_settings(), scope, actor(), datetime.now(UTC))
    if output is Output.JSON:
        print_json(plan.document())
        return
    said = plan.estimate
    rows: list[list[Any]] = [[place, count] for place, count in said["by_partition"].items()]
    note(f"Plan {plan.plan_id} (valid 30 min, nothing changed yet)")
    print_table(["PARTITION", "RECORDS"], rows)
    print_table(["TABLE", "ROWS COMPARED"], [[name, count] for name, count in said["rows"].items()])
    note(
        f"{said['records']:,} records, {said['bytes'] / MIB:,.1f} MiB · about {said['seconds']:,.0f} s ·"
        f" {said['disk_bytes'] / MIB:,.0f} MiB of disk for as long · stores: {', '.join(said['stores']) or 'tables'}"
    )
    note("side effects: none (no notification is raised again)")
    note(f'apply  tailrace replay apply {plan.plan_id} --reason "…"')


@replay.command("apply")
def apply_command(
    plan_id: Annotated[str, typer.Argument(metavar="PLAN")],
    reason: ReasonOption,
    rate: Annotated[float | None, typer.Option(min=1, help="Records a second; none: as fast as it goes.")] = None,
    ceiling: Annotated[
        float | None, typer.Option("--live-lag-ceiling", min=0, help="Wait while live tables are so many seconds late.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Apply a plan while live traffic goes on. Ctrl-C stops at a safe point; the same command goes on from there.

    Exit code 3 where the plan is too old or the world has moved, 10 where differences are left.

    Example: `tailrace replay apply 7K2Q-41 --reason "a row was altered by hand" --live-lag-ceiling 30`
    """
    from datetime import UTC

    from tailrace.mending.filling import Pace
    from tailrace.mending.replay import apply
    from tailrace.operations.jobs import JobPaused
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging

    settings = load_settings()
    configure_logging(settings.log)
    pace = Pace(rate, ceiling)
    try:
        with _stopping(pace.stop), _progress() as watch:
            outcome = apply(settings, plan_id, reason, pace, datetime.now(UTC), watch)
    except JobPaused:
        note(f'paused at a safe point. Go on: tailrace replay apply {plan_id} --reason "…"')
        sys.exit(INTERRUPTED)
    _print(outcome, output, dry_run=False)
    if outcome.stores.left:
        raise typer.Exit(10)


@replay.command("undo")
def undo_command(
    job_id: Annotated[str, typer.Argument(metavar="JOB")], reason: ReasonOption, output: OutputOption = Output.TABLE
) -> None:
    """Put back the rows that a replay or repair changed, as they were. Exit code 7 where others changed some since.

    Example: `tailrace replay undo 0012-replay --reason "it was right before"`
    """
    from dataclasses import asdict

    from tailrace.mending.replay import undo
    from tailrace.settings import load_settings

    undone, stores = undo(load_settings(), job_id, reason)
    if output is Output.JSON:
        print_json({**asdict(undone), "stores": stores.document()})
    else:
        note(f"{undone.rows:,} rows put back, {undone.moved_on:,} left: they changed since")
    if undone.moved_on:
        raise typer.Exit(7)


def _print(outcome: "Outcome", output: Output, *, dry_run: bool) -> None:
    if output is Output.JSON:
        print_json(outcome.document())
        return
    tables = outcome.tables
    names = sorted({*tables.missing, *tables.altered, *tables.extra})
    if names:
        rows: list[list[Any]] = [
            [name, tables.missing.get(name, 0), tables.altered.get(name, 0), tables.extra.get(name, 0)]
            for name in names
        ]
        print_table(["TABLE", "MISSING", "ALTERED", "EXTRA"], rows)
    for name, count in outcome.stores.written.items():
        note(f"{name}: {count:,} {'differ' if dry_run else 'written anew'}")
    verb = "differ" if dry_run else "mended"
    note(f"{tables.rows:,} rows {verb}; {outcome.stores.left:,} differences left in caches and search")
    if outcome.stores.left:
        note("hint  tailrace verify search redis; then tailrace indices rebuild, tailrace caches repair")
    if tables.rows and not dry_run:
        note(f'undo  tailrace replay undo {outcome.job_id} --reason "…"')
