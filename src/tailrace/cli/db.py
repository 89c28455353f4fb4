"""`tailrace db`: the schema's migrations."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.prompt import Confirm

from tailrace.cli.output import Output, OutputOption, ReasonOption, note, print_json, print_table, stderr
from tailrace.errors import UsageError
from tailrace.settings import Settings, load_settings
from tailrace.telemetry import configure_logging

ToOption = Annotated[int | None, typer.Option("--to", min=0, help="Number to stop at.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the noun and its verbs."""
    db = typer.Typer(help="Bring the database's schema up to date, and show where it is.", no_args_is_help=True)
    db.command()(migrate)
    db.command()(status)
    db.command()(rollback)
    app.add_typer(db, name="db")


def migrate(
    to: ToOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be applied.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Apply the pending migrations, then make the partitions around this month.

    May run on every start and several times at once: each migration is applied once.

    Example: `tailrace db migrate --dry-run`
    """
    from tailrace.operations import migrations
    from tailrace.operations.database import connection

    settings = load_settings()
    configure_logging(settings.log)
    made: list[str] = []
    if dry_run:
        with connection(settings) as conn:
            labels = [migration.label for migration in migrations.plan(conn, settings, to=to)]
    else:
        labels, made = _migrate(settings, to)
    if output is Output.JSON:
        print_json({"dry_run": dry_run, "migrations": labels, "partitions": made})
        return
    if dry_run:
        print_table(["PENDING"], [[label] for label in labels])
    else:
        note(f"migrations applied: {len(labels)}, partitions made: {len(made)}")


def _migrate(settings: Settings, to: int | None) -> tuple[list[str], list[str]]:
    """Labels of what was applied, and the partitions that were made."""
    from tailrace.months import keeper as partitions
    from tailrace.operations import migrations
    from tailrace.operations.audit import audited
    from tailrace.operations.database import connection

    made: list[str] = []
    with audited(settings, "db migrate", always=False) as entry, connection(settings) as conn:
        labels = [applied.label for applied in migrations.migrate(conn, settings, to=to)]
        if not migrations.status(conn, settings).pending:
            made = partitions.ensure_partitions(conn, settings, now=datetime.now(UTC))
        entry.after = {"migrations": labels, "partitions": made} if labels or made else None
    return labels, made


def status(output: OutputOption = Output.TABLE) -> None:
    """Show applied and pending migrations. Exit code 10 if files and database disagree.

    Example: `tailrace db status -o json`
    """
    from tailrace.operations import migrations
    from tailrace.operations.database import connection

    settings = load_settings()
    with connection(settings) as conn:
        found = migrations.status(conn, settings)
    if output is Output.JSON:
        print_json(_document(found))
    else:
        _print_status(found)
    if not found.consistent:
        raise typer.Exit(10)


def rollback(
    steps: Annotated[int, typer.Argument(min=1, help="How many to take back.")] = 1,
    to: ToOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting tables.")] = False,
    reason: ReasonOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take back the newest migrations, with the tables they made and the data in them.

    Example: `tailrace db rollback 1`
    """
    from tailrace.operations import migrations
    from tailrace.operations.audit import audited
    from tailrace.operations.database import connection

    settings = load_settings()
    configure_logging(settings.log)
    with connection(settings) as conn:
        applied = migrations.status(conn, settings).applied
        kept = applied[: -steps or None] if to is None else tuple(one for one in applied if one.number <= to)
        doomed = applied[len(kept) :]
        if doomed and not yes:
            _confirm([one.label for one in reversed(doomed)])
        labels = []
        if doomed:
            with audited(settings, "db rollback", reason=reason) as entry:
                entry.before = {"applied": [one.label for one in applied]}
                labels = migrations.rollback(conn, settings, to=kept[-1].number if kept else 0)
                entry.after = {"rolled_back": labels}
    if output is Output.JSON:
        print_json({"migrations": labels})
        return
    note(f"migrations rolled back: {len(labels)}")


def _confirm(labels: list[str]) -> None:
    for label in labels:
        note(f" · {label}")
    if not stderr.is_terminal:
        raise UsageError("rolling back needs a confirmation", fix="tailrace db rollback --yes")
    if not Confirm.ask("Take these back, with all data in their tables?", console=stderr, default=False):
        raise typer.Exit(8)


def _document(found: Any) -> dict[str, Any]:
    """The JSON form of a `MigrationStatus`; `drifted`, `unknown` and `skipped` are normally empty."""
    return {
        "current": found.current,
        "applied": [one._asdict() for one in found.applied],
        "pending": [{"number": one.number, "name": one.name} for one in found.pending],
        "drifted": found.drifted,
        "unknown": found.unknown,
        "skipped": found.skipped,
    }


def _print_status(found: Any) -> None:
    rows: list[list[Any]] = []
    for one in found.applied:
        state = "drifted" if one.label in found.drifted else "unknown" if one.label in found.unknown else "applied"
        applied_at = one.applied_at.astimezone(UTC)
        rows.append([one.label, state, f"{applied_at:%Y-%m-%dT%H:%M:%SZ}", one.applied_by, one.took_ms])
    rows += [[label, "skipped", None, None, None] for label in found.skipped]
    rows += [[one.label, "pending", None, None, None] for one in found.pending]
    print_table(["MIGRATION", "STATE", "APPLIED (UTC)", "BY", "MS"], rows)
