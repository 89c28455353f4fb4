"""`tailrace indices`: look after the search indices."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.output import Output, OutputOption, ReasonOption, note, print_json, print_table, stderr

if TYPE_CHECKING:
    from tailrace.operations.audit import Entry
    from tailrace.settings import Settings

indices = typer.Typer(no_args_is_help=True, help="Look after the search indices: rebuild, switch, go back, move.")

AliasArgument = Annotated[str, typer.Argument(metavar="ALIAS", help="messages, files or users.")]


def register(app: typer.Typer) -> None:
    """Add the `indices` commands."""
    app.add_typer(indices, name="indices")


@indices.command("ls")
def ls_command(output: OutputOption = Output.TABLE) -> None:
    """List generations, workspaces with indices of their own, and the jobs that are open.

    Example: `tailrace indices ls -o json`
    """
    from tailrace.operations.indices import overview
    from tailrace.settings import load_settings

    found = asyncio.run(overview(load_settings()))
    if output is Output.JSON:
        print_json(found.document())
        return
    print_table(
        ["ALIAS", "GENERATION", "STATE"], [[g["alias"], g["generation"], g["state"]] for g in found.generations]
    )
    if found.routes:
        rows = [[r["workspace_id"], r["route"], r["moving_to"]] for r in found.routes]
        print_table(["WORKSPACE", "INDICES", "MOVING TO"], rows)
    if found.jobs:
        jobs = [
            [j["kind"], j["subject"], j["state"], j["documents"], j["documents_estimate"], j["reason"]]
            for j in found.jobs
        ]
        print_table(["JOB", "OF", "STATE", "DOCUMENTS", "OF ABOUT", "REASON"], jobs)


@indices.command("create")
def create_command() -> None:
    """Make templates, indices and aliases now; a worker does it with its first batch.

    Example: `tailrace indices create`
    """
    from tailrace.operations.indices import create
    from tailrace.settings import load_settings

    asyncio.run(create(load_settings()))


@indices.command("rebuild")
def rebuild_command(
    alias: AliasArgument,
    switch_after: Annotated[bool, typer.Option("--switch/--no-switch", help="Show it when it is complete.")] = True,
    reason: ReasonOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Build an alias's indices anew from PostgreSQL beside the live ones, compare them, and switch in one step.

    Searches and live indexing go on. What was there before is kept: `tailrace indices rollback` shows it again,
    `tailrace indices drop` gives it up. An interrupted rebuild goes on where it was.

    Example: `tailrace indices rebuild messages`
    """
    from rich.progress import Progress, TextColumn

    from tailrace.operations.audit import audited
    from tailrace.operations.indices import rebuild, switch
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging

    settings = load_settings()
    configure_logging(settings.log)
    with (
        audited(settings, "indices rebuild", alias, reason) as entry,
        Progress(TextColumn("{task.description}"), console=stderr, transient=True) as bars,
    ):
        task = bars.add_task("beginning")
        built = asyncio.run(
            rebuild(settings, alias, lambda done, step: bars.update(task, description=f"{step}: {done:,}"))
        )
        shown = asyncio.run(switch(settings, alias)) if switch_after else None
        entry.after = {"generation": built.generation, "mended": built.mended, "shown": shown is not None}
    if output is Output.JSON:
        document = {"alias": alias, "generation": built.generation, "compared": built.compared, "mended": built.mended}
        print_json({**document, "shown": shown is not None})
    else:
        note(f"{alias} generation {built.generation}: {built.compared:,} compared, {built.mended:,} mended")
        note("shown" if shown is not None else f"not shown yet: tailrace indices switch {alias}")


@indices.command("switch")
def switch_command(alias: AliasArgument, reason: ReasonOption = None) -> None:
    """Show the generation that was built; the one before is kept.

    Example: `tailrace indices switch messages`
    """
    from tailrace.operations.indices import switch

    with _audited("indices switch", alias, reason) as (settings, entry):
        generation = asyncio.run(switch(settings, alias))
        entry.after = {"shown": generation}
    note(f"{alias} shows generation {generation}")


@indices.command("rollback")
def rollback_command(alias: AliasArgument, reason: ReasonOption = None) -> None:
    """Show the generation that was shown before; it has been written all the time.

    Example: `tailrace indices rollback messages`
    """
    from tailrace.operations.indices import roll_back

    with _audited("indices rollback", alias, reason) as (settings, entry):
        generation = asyncio.run(roll_back(settings, alias))
        entry.after = {"shown": generation}
    note(f"{alias} shows generation {generation}")


@indices.command("drop")
def drop_command(alias: AliasArgument, reason: ReasonOption = None) -> None:
    """Give up every generation of an alias that is not shown.

    Example: `tailrace indices drop messages`
    """
    from tailrace.operations.indices import drop

    with _audited("indices drop", alias, reason) as (settings, entry):
        dropped = asyncio.run(drop(settings, alias))
        entry.after = {"dropped": dropped}
    note(f"dropped: {', '.join(map(str, dropped)) or 'nothing'}")


@indices.command("high-volume")
def high_volume_command(
    workspace: Annotated[str, typer.Argument(metavar="WORKSPACE", help="Id.")],
    off: Annotated[bool, typer.Option("--off", help="No longer.")] = False,
    reason: ReasonOption = None,
) -> None:
    """Give a workspace an index for each month of its messages; a worker moves them while they are searched.

    Example: `tailrace indices high-volume 01a18fd1-48e0-7e0b-8ed8-96e6dfc4eac6`
    """
    from tailrace.operations.indices import mark_high_volume

    with _audited("indices high-volume", workspace, reason) as (settings, entry):
        asyncio.run(mark_high_volume(settings, workspace, is_high_volume=not off))
        entry.after = {"is_high_volume": not off}
    note("a search worker moves it; tailrace indices ls")


@indices.command("after-restore")
def after_restore_command(reason: ReasonOption = None) -> None:
    """Say that the database was restored to an earlier state, and have everything indexed again above what was.

    Example: `tailrace indices after-restore`
    """
    from tailrace.operations.indices import after_restore

    with _audited("indices after-restore", "", reason) as (settings, _):
        asyncio.run(after_restore(settings))
    note("a search worker writes everything again; tailrace indices ls")


@contextmanager
def _audited(command: str, target: str, reason: str | None) -> Iterator[tuple["Settings", "Entry"]]:
    """The settings, and what is put down of the command."""
    from tailrace.operations.audit import audited
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging

    settings = load_settings()
    configure_logging(settings.log)
    with audited(settings, command, target, reason) as entry:
        yield settings, entry
