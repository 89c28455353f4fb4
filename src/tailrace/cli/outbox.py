"""`tailrace outbox`: events of producers that have a PostgreSQL of their own."""

from dataclasses import asdict
from typing import Annotated

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table

outbox = typer.Typer(no_args_is_help=True, help="Publish exactly what a producer's own database committed.")

DsnOption = Annotated[
    str,
    typer.Option("--dsn", envvar="TAILRACE_OUTBOX_DSN", help="postgresql://… of the producer's database."),
]
SchemaOption = Annotated[str, typer.Option("--schema", help="Schema that the outbox is in.")]
PUBLIC = "public"


def register(app: typer.Typer) -> None:
    """Add the `outbox` commands."""
    app.add_typer(outbox, name="outbox")


@outbox.command()
def install(
    dsn: Annotated[
        str | None, typer.Option("--dsn", envvar="TAILRACE_OUTBOX_DSN", help="postgresql://… of the database.")
    ] = None,
    schema: SchemaOption = PUBLIC,
    print_sql: Annotated[bool, typer.Option("--print-sql", help="Print the script for your own migrations.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Take the outbox away again.")] = False,
    force: Annotated[bool, typer.Option("--force", help="With --down: also with events in it.")] = False,
) -> None:
    """Make a table, the row of its relay and the function `outbox_publish`; nothing that exists is changed.

    Example: `tailrace outbox install --print-sql > migrations/20261121_outbox.sql`
    """
    import sys

    from tailrace.errors import UsageError
    from tailrace.outbox import operating
    from tailrace.outbox.texts import script

    if print_sql:
        sys.stdout.write(script("uninstall" if down else "install", schema))
        return
    if dsn is None:
        raise UsageError("which database?", fix="--dsn postgresql://…, or TAILRACE_OUTBOX_DSN, or --print-sql")
    if down:
        operating.uninstall(dsn, schema, force=force)
        note("the outbox is gone")
    else:
        operating.install(dsn, schema)
        note("the outbox is there; grant EXECUTE on outbox_publish to whoever publishes")


@outbox.command()
def relay(
    dsn: DsnOption,
    schema: SchemaOption = PUBLIC,
    once: Annotated[bool, typer.Option("--once", help="Publish what is committed now, then end.")] = False,
    lease_s: Annotated[
        float, typer.Option("--lease-s", min=1, help="Another relay takes over so long after this one died.")
    ] = 15.0,
) -> None:
    """Publish what was committed, in order, until SIGTERM or Ctrl-C; several may run, one of them publishes.

    Events are deleted once they are in the log. One that does not fit the contract is marked and passed over:
    `outbox status` lists it, `outbox free` has it tried again.

    Example: `TAILRACE_OUTBOX_DSN=postgresql://… tailrace outbox relay`
    """
    from tailrace.event_loop import run as run_loop
    from tailrace.outbox.relay import RelayOptions
    from tailrace.outbox.running import Place
    from tailrace.outbox.running import relay as run_relay
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging

    settings = load_settings()
    configure_logging(settings.log)
    options = RelayOptions(lease_s=lease_s)
    report = run_loop(run_relay(settings, Place(dsn, schema), once=once, options=options))
    note(f"{report.published:,} published · {report.refused:,} do not fit the contract")


@outbox.command()
def status(
    dsn: DsnOption,
    schema: SchemaOption = PUBLIC,
    max_age_s: Annotated[
        float | None, typer.Option("--max-age-s", help="Exit 10 where the oldest event waits longer.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say what waits, for how long, what was refused, whether a relay runs, and what may hold it up.

    Example: `tailrace outbox status --max-age-s 60`
    """
    from tailrace.errors import ThresholdError
    from tailrace.outbox import operating

    found = operating.status(dsn, schema)
    if output is Output.JSON:
        print_json(asdict(found))
    else:
        oldest = found.oldest_transaction
        print_table(
            ["WAITING", "OLDEST S", "BYTES", "REFUSED", "RELAY", "PUBLISHED", "OLDEST TRANSACTION"],
            [
                [
                    found.waiting,
                    None if found.oldest_s is None else f"{found.oldest_s:.1f}",
                    found.bytes,
                    found.refused,
                    "runs" if found.relay_runs else "none",
                    found.published,
                    f"pid {oldest['pid']} {oldest['seconds']:.1f} s" if oldest else None,
                ]
            ],
        )
        if found.refusals:
            rows = [[it["position"], it["id"], it["type"], it["code"], it["reason"]] for it in found.refusals]
            print_table(["POSITION", "ID", "TYPE", "CODE", "REASON"], rows)
    if max_age_s is not None and (found.oldest_s or 0) > max_age_s:
        raise ThresholdError(f"the oldest event waits for {found.oldest_s:.0f} s", fix="tailrace outbox relay")


@outbox.command()
def free(
    dsn: DsnOption,
    schema: SchemaOption = PUBLIC,
    id_: Annotated[str | None, typer.Option("--id", help="Only this event.")] = None,
) -> None:
    """Have refused events tried again, after the relay was updated or the row was mended.

    Example: `tailrace outbox free --id 0199c1d2-00e0-7000-8000-00000000001c`
    """
    from tailrace.outbox import operating

    note(f"{operating.free(dsn, schema, id_):,} events will be tried again within a minute")
