"""`tailrace caches`: fill, rebuild and repair the caches in Redis."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from tailrace.cli.output import Output, OutputOption, ReasonOption, note, print_json, stderr

caches = typer.Typer(no_args_is_help=True, help="Fill, rebuild and repair the caches in Redis.")

WorkspaceOption = Annotated[str | None, typer.Option(metavar="ID", help="Only this workspace's keys.")]


def register(app: typer.Typer) -> None:
    """Add the `caches` commands."""
    app.add_typer(caches, name="caches")


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def watch(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage)
            bars.update(tasks[stage], completed=done, total=total)

        yield watch


@caches.command("warm")
def warm_command(workspace: WorkspaceOption = None, output: OutputOption = Output.TABLE) -> None:
    """Fill recent messages, members and everybody's unread counts from PostgreSQL. Newer values stay.

    The counts of these users are kept from then on, for a day after they were last asked for.

    Example: `tailrace caches warm --workspace 0199a1b2-0000-7000-8000-000000000001`
    """
    import asyncio

    from tailrace.operations.caches import warm
    from tailrace.settings import load_settings

    with _bars() as watch:
        filled = asyncio.run(warm(load_settings(), _id(workspace), watch))
    if output is Output.JSON:
        print_json({"channels": filled.channels, "users": filled.users})
    else:
        note(f"{filled.channels:,} channels and the unread counts of {filled.users:,} users are filled")


@caches.command("rebuild")
def rebuild_command(
    workspace: WorkspaceOption = None,
    channel: Annotated[str | None, typer.Option(metavar="ID", help="Only this channel's keys.")] = None,
    user: Annotated[str | None, typer.Option(metavar="ID", help="Only this user's keys.")] = None,
    reason: ReasonOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Write keys anew from PostgreSQL, each replaced whole, while workers go on. Without an option: all of them.

    An interrupted rebuild goes on where it was when the command is given again.

    Example: `tailrace caches rebuild --channel 0199a1b2-0000-7000-8000-000000000002`
    """
    import asyncio

    from tailrace.errors import UsageError
    from tailrace.operations.audit import audited
    from tailrace.operations.caches import rebuild
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging

    scopes = {"workspace": _id(workspace), "channel": _id(channel), "user": _id(user)}
    given = [(scope, one) for scope, one in scopes.items() if one is not None]
    if len(given) > 1:
        raise UsageError("one scope at a time", fix="--workspace, --channel or --user")
    scope, scope_id = given[0] if given else ("everything", None)
    settings = load_settings()
    configure_logging(settings.log)
    target = scope if scope_id is None else f"{scope} {scope_id}"
    with audited(settings, "caches rebuild", target, reason) as entry, _bars() as watch:
        done = asyncio.run(rebuild(settings, scope, scope_id, watch))
        entry.after = {"generation": done.generation, "keys": done.done}
    if output is Output.JSON:
        print_json({"generation": done.generation, "scope": done.scope, "keys": done.done})
    else:
        note(f"rebuilt as generation {done.generation}")


@caches.command("repair")
def repair_command(reason: ReasonOption = None, output: OutputOption = Output.TABLE) -> None:
    """Compare every key with an independent fold of the log, and write exactly those anew that differ.

    Exit code 10 if differences are left afterwards.

    Example: `tailrace caches repair`
    """
    from tailrace.operations.audit import audited
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging
    from tailrace.verification.repair_redis import repair_redis

    settings = load_settings()
    configure_logging(settings.log)
    with audited(settings, "caches repair", reason=reason) as entry:
        repaired = repair_redis(settings)
        entry.after = {"repaired": repaired.keys, "differences": repaired.left}
    if output is Output.JSON:
        print_json({"repaired": repaired.keys, "differences": repaired.left})
    else:
        note(f"{repaired.keys:,} keys written anew, {repaired.left:,} differences left")
    if repaired.left:
        raise typer.Exit(10)


def _id(text: str | None) -> str | None:
    from uuid import UUID

    from tailrace.errors import UsageError

    try:
        return None if text is None else str(UUID(text))
    except ValueError as error:
        raise UsageError(f"{text} is no id", fix="give a UUID") from error
