"""`tailrace partitions`: the monthly partitions of messages and events."""

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.prompt import Confirm

from tailrace.cli.output import Output, OutputOption, ReasonOption, note, print_json, print_table, stderr
from tailrace.errors import UsageError
from tailrace.settings import load_settings
from tailrace.telemetry import configure_logging

if TYPE_CHECKING:
    from tailrace.months.keeper import Partition

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


def register(app: typer.Typer) -> None:
    """Add the noun and its verbs."""
    partitions = typer.Typer(help="List, make and remove monthly partitions.", no_args_is_help=True)
    partitions.command()(ls)
    partitions.command()(ensure)
    partitions.command()(retire)
    app.add_typer(partitions, name="partitions")


def ls(output: OutputOption = Output.TABLE) -> None:
    """Show every partition with its bounds (UTC), size and indexes.

    Example: `tailrace partitions ls -o json`
    """
    from tailrace.months.keeper import list_partitions
    from tailrace.operations.database import connection

    settings = load_settings()
    with connection(settings) as conn:
        found = list_partitions(conn, settings)
    if output is Output.JSON:
        print_json({"partitions": [one._asdict() | {"attached": one.attached} for one in found]})
        return
    print_table(
        ["PARTITION", "BOUNDS (UTC)", "ROWS≈", "BYTES", "INDEXES", "STATE"],
        [[one.partition, _bounds(one), one.rows_estimate, one.bytes, one.indexes, one.state] for one in found],
    )


def _bounds(one: "Partition") -> str | None:
    if one.from_at and one.to_at:
        return f"{one.from_at.removesuffix('T00:00:00Z')} … {one.to_at.removesuffix('T00:00:00Z')}"
    return one.bounds.removeprefix("FOR VALUES WITH (").removesuffix(")") if one.bounds else None


def ensure(
    ahead: Annotated[
        int | None, typer.Option("--ahead", min=0, max=120, help="Months after this one.", show_default="from settings")
    ] = None,
    month: Annotated[list[str] | None, typer.Option("--month", help="Another month, YYYY-MM; may be repeated.")] = None,
    table: Annotated[
        list[str] | None,
        typer.Option("--table", help="Table; may be repeated.", show_default="collab.messages, analytics.events"),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make the partitions that are missing around this month, without blocking anybody.

    Example: `tailrace partitions ensure --ahead 3 --month 2024-05`
    """
    from tailrace.months.keeper import LIVE_TABLES, ensure_partitions
    from tailrace.operations.audit import audited
    from tailrace.operations.database import connection

    settings = load_settings()
    configure_logging(settings.log)
    months = [_month(text) for text in month or ()]
    with audited(settings, "partitions ensure", always=False) as entry, connection(settings) as conn:
        made = ensure_partitions(
            conn, settings, now=datetime.now(UTC), extra_months=months, ahead=ahead, tables=table or LIVE_TABLES
        )
        entry.after = {"made": made} if made else None
    if output is Output.JSON:
        print_json({"made": made})
        return
    note(f"partitions made: {len(made)}")


def retire(
    before: Annotated[str, typer.Option("--before", help="Months that end before this one begins, YYYY-MM.")],
    table: Annotated[str, typer.Option("--table", help="Table whose months go.")] = "collab.messages",
    drop: Annotated[bool, typer.Option("--drop", help="Delete them instead of keeping them detached.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: ReasonOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Detach old months: their rows are no longer in the table. They are kept under another name unless `--drop`.

    Needs a connection straight to the server, not through PgBouncer.

    Example: `tailrace partitions retire --before 2024-05 --yes`
    """
    from tailrace.months import removal as partition_removal
    from tailrace.operations.audit import audited
    from tailrace.operations.database import connection

    settings = load_settings()
    configure_logging(settings.log)
    month = _month(before)
    with connection(settings, session_lock_timeout_ms=settings.postgres.lock_timeout_ms) as conn:
        doomed = partition_removal.months_before(conn, settings, table=table, before=month)
        if doomed and not yes:
            _confirm(doomed, drop=drop)
        now = datetime.now(UTC)
        became: dict[str, str | None] = {}
        with audited(settings, "partitions retire", table, reason, always=bool(doomed)) as entry:
            for name in doomed:
                became[name] = partition_removal.retire(conn, settings, table=table, partition=name, now=now, drop=drop)
                entry.after = {"dropped" if drop else "detached": became}
    if output is Output.JSON:
        print_json({"table": table, "retired": became})
        return
    note(f"partitions retired: {len(became)}")


def _month(text: str) -> date:
    parts = _MONTH.fullmatch(text)
    if parts is None or parts[1] == "0000":
        raise UsageError(f"{text!r} is no month", fix="write it as YYYY-MM, such as 2024-05")
    return date(int(parts[1]), int(parts[2]), 1)


def _confirm(doomed: list[str], *, drop: bool) -> None:
    for name in doomed:
        note(f" · {name}")
    if not stderr.is_terminal:
        raise UsageError("retiring partitions needs a confirmation", fix="add --yes")
    if not Confirm.ask(f"{'Delete' if drop else 'Detach'} these?", console=stderr, default=False):
        raise typer.Exit(8)
