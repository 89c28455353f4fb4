"""`tailrace dlq`: what could not be applied."""

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.prompt import Confirm

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table, stderr
from tailrace.errors import PartlyDoneError, PreconditionError, UnreachableError, UsageError
from tailrace.settings import Settings, load_settings
from tailrace.telemetry import configure_logging

if TYPE_CHECKING:
    from tailrace.operations.dead_letters import Contents, Count, Selector

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="topic/partition/offset, or the id of an event.")]
Codes = Annotated[list[str] | None, typer.Option("--code", help="E_SCHEMA, E_STORE, …; may be repeated.")]
Types = Annotated[list[str] | None, typer.Option("--type", help="Type of the event; may be repeated.")]
Projection = Annotated[str | None, typer.Option("--projection", help="Which one refused it.")]
Workspace = Annotated[str | None, typer.Option("--workspace", help="Id of the workspace.")]
Since = Annotated[str | None, typer.Option("--since", help="Failed last at or after; RFC 3339, or 24h, 30m, 7d.")]
Before = Annotated[str | None, typer.Option("--before", help="Failed last before; the same.")]
Topic = Annotated[str | None, typer.Option("--topic", help="With or without prefix.")]
Partition = Annotated[int | None, typer.Option("--partition", min=0)]
Key = Annotated[str | None, typer.Option("--key", help="The record's key.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count only; nothing is changed.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def _selected(  # noqa: PLR0913 - each is an option of the command line
    *,
    ids: Ids = None,
    code: Codes = None,
    type_: Types = None,
    projection: Projection = None,
    workspace: Workspace = None,
    since: Since = None,
    before: Before = None,
    topic: Topic = None,
    partition: Partition = None,
    key: Key = None,
    everything: All = False,
) -> "Selector":
    from tailrace.operations.dead_letters import Selector, utc

    now = datetime.now(UTC)
    selector = Selector(
        ids=tuple(ids or ()),
        projection=projection,
        codes=tuple(code or ()),
        types=tuple(type_ or ()),
        workspace=workspace,
        since=None if since is None else utc(since, now),
        before=None if before is None else utc(before, now),
        topic=topic,
        partition=partition,
        key=None if key is None else key.encode(),
    )
    if selector.selects_all and not everything:
        raise UsageError("which dead letters?", fix="name them, select some (--code, --type, …), or --all")
    return selector


def selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that select letters; it gets what they say as `selector`."""
    options, own = inspect.signature(_selected).parameters, inspect.signature(command)

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in options if name in given}
        command(_selected(**{"everything": command.__name__ == "ls"} | chosen), **given)

    offered = [one for one in own.parameters.values() if one.name != "selector"]
    if command.__name__ == "ls":  # all of them, unless some are selected
        offered += [one for name, one in options.items() if name not in ("ids", "everything")]
    else:
        offered = [*options.values(), *offered]
    with_options.__signature__ = own.replace(parameters=offered)  # type: ignore[attr-defined]  # typer reads these two
    with_options.__annotations__ = {one.name: one.annotation for one in offered}
    return with_options


def register(app: typer.Typer) -> None:
    """Add the noun and its verbs."""
    dlq = typer.Typer(help="Find, judge and repair dead letters.", no_args_is_help=True)
    for verb in (ls, show, redrive, discard):
        dlq.command()(verb)
    app.add_typer(dlq, name="dlq")


@selecting
def ls(
    selector: "Selector",
    *,
    closed: Annotated[bool, typer.Option("--closed", help="Resolved ones, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    after: Annotated[str | None, typer.Option(help="The next page: what the one before printed.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List dead letters, newest first; without what they hold.

    Example: `tailrace dlq ls --since 24h --code E_STORE`
    """
    from tailrace.operations.dead_letters import count, find

    settings = load_settings()
    configure_logging(settings.log)
    _gather(settings)
    page = find(settings, selector, limit=limit, after=after, closed=closed)
    counted = count(settings, selector, closed=closed)
    if output is Output.JSON:
        print_json(
            {
                "dead_letters": [letter.document() for letter in page.letters],
                "total": counted.letters,
                "by_code": counted.by_code,
                "waiting_behind": counted.behind,
                "oldest": counted.oldest,
                "after": page.after,
            }
        )
        return
    print_table(
        ["ID", "WHEN (UTC)", "PROJECTION", "CODE", "TYPE", "TRY", "BEHIND", "STATE", "REASON"],
        [
            [
                letter.id,
                letter.last_failed_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
                letter.projection,
                letter.code,
                (letter.event_type or "–").removeprefix("collab."),
                letter.attempts,
                letter.behind,
                letter.state,
                letter.reason,
            ]
            for letter in page.letters
        ],
    )
    note(_summary(counted))
    if page.after:
        note(f"more  the same with --after {page.after}")


def _gather(settings: Settings) -> None:
    """Bring in what the streams have refused. The table is there to be read without a broker, too."""
    import asyncio

    from tailrace.operations.gathering import gather

    try:
        asyncio.run(gather(settings))
    except (UnreachableError, PreconditionError) as error:
        note(f"letters of the streams may be missing: {error}")


def _summary(counted: "Count") -> str:
    parts = [f"{counted.letters:,} records", f"{len(counted.by_code)} codes"]
    if counted.behind:
        parts.append(f"{counted.behind:,} events wait behind them")
    if counted.oldest:
        age = datetime.now(UTC) - counted.oldest
        parts.append(f"oldest {age.days}d{age.seconds // 3600}h{age.seconds % 3600 // 60}m")
    return " · ".join(parts)


def show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="topic/partition/offset, or the id of an event.")],
    projection: Projection = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="What the record holds, too; it is noted who looked.")
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Nothing but the value's bytes on stdout; noted as well.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one dead letter: why, how often, what waits behind it, what was done. Its value only with `--reveal`.

    Example: `tailrace dlq show conversations/3/88012 --reveal`
    """
    from tailrace.operations.audit import audited
    from tailrace.operations.dead_letters import revealed
    from tailrace.operations.dead_letters import show as show_letter

    settings = load_settings()
    configure_logging(settings.log)
    _gather(settings)
    found = show_letter(settings, letter, projection=projection)
    if reveal or raw:
        with audited(settings, "dlq show --reveal", found.letter.id):
            revealed(settings, found.letter)
    if raw:
        sys.stdout.buffer.write(found.value or b"")
    elif output is Output.JSON:
        print_json(_document(found, reveal=reveal))
    else:
        _print_letter(found, reveal=reveal)


def _document(found: "Contents", *, reveal: bool) -> dict[str, Any]:
    return {
        **found.letter.document(),
        "key": _text(found.key),
        "headers": [{"name": name, "value": _text(value)} for name, value in found.headers],
        "value": _text(found.value) if reveal else None,
        "value_bytes": None if found.value is None else len(found.value),
        "revealed": reveal,
        "waiting_behind": found.behind,
        "history": found.history,
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")


def _print_letter(found: "Contents", *, reveal: bool) -> None:
    letter = found.letter
    rows: list[list[Any]] = [
        ["id", letter.id],
        ["state", letter.state if letter.resolution != "discarded" else f"discarded by {letter.resolved_by}"],
        ["code", f"{letter.code}  {letter.reason}"],
        ["projection", letter.projection],
        ["type", letter.event_type],
        ["event", letter.event_id],
        ["workspace", letter.workspace_id],
        ["attempts", str(letter.attempts)],
        ["appended", letter.append_time],
        ["first failed", letter.first_failed_at],
        ["last failed", letter.last_failed_at],
        ["key", _text(found.key)],
        *([f"header {name}", _text(value)] for name, value in found.headers),
        ["waiting behind", str(letter.behind)],
        *([f"  {event['type'].removeprefix('collab.')}", f"{event['event_id']}"] for event in found.behind),
    ]
    for step in found.history:
        said = " ".join(
            str(step[name]) for name in ("what", "code", "offset", "by", "why") if step.get(name) is not None
        )
        rows.append(["history", f"{step['at']}  {said}"])
    shown = _text(found.value) if reveal else f"{len(found.value or b''):,} bytes, hidden"
    print_table(["", ""], [*rows, ["value", shown]])
    if not reveal:
        note("show it  --reveal (it is noted who looked), or --raw for the bytes")


@selecting
def redrive(
    selector: "Selector",
    *,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it is recorded.")] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the workers' answer.")] = 10,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send dead letters back to where they came from, as they were; then what waits behind them goes on in order.

    Harmless to do twice. Exit code 7 when some were refused again or could not be sent.

    Example: `tailrace dlq redrive --code E_STORE --reason "index dropped" --yes`
    """
    import asyncio

    from tailrace.operations.audit import audited
    from tailrace.operations.redriving import redrive as send_back

    settings = load_settings()
    configure_logging(settings.log)
    if not _agreed(settings, selector, "Send back", dry_run=dry_run, yes=yes, output=output):
        return
    with audited(settings, "dlq redrive", _named(selector), reason) as entry:
        outcome = asyncio.run(send_back(settings, selector, reason, wait_s=wait))
        entry.after = outcome.document()
    if output is Output.JSON:
        print_json(outcome.document())
    note(
        f"sent {outcome.sent:,} · applied {outcome.applied:,} · failed again {outcome.refused_again:,}"
        f" · not reached yet {outcome.pending:,}"
    )
    if outcome.pending:
        note("not reached yet: is a worker running? They are in the log and wait for it")
    for place, why in outcome.unsent.items():
        note(f"not sent: {place} ({why})")
    if outcome.unsent or outcome.refused_again:
        raise PartlyDoneError(
            f"{outcome.refused_again + len(outcome.unsent):,} of them are dead letters still", fix="tailrace dlq ls"
        )


@selecting
def discard(
    selector: "Selector",
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded.")],
    dry_run: DryRun = False,
    yes: Yes = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Resolve dead letters without applying them; what waits behind them goes on without them.

    Example: `tailrace dlq discard conversations/3/88012 --reason "sent by a test" --yes`
    """
    from tailrace.operations.audit import audited
    from tailrace.operations.dead_letters import discard as resolve

    settings = load_settings()
    configure_logging(settings.log)
    if not reason.strip():
        raise UsageError("a reason is needed", fix='--reason "why nobody will miss them"')
    if not _agreed(settings, selector, "Discard", dry_run=dry_run, yes=yes, output=output):
        return
    with audited(settings, "dlq discard", _named(selector), reason) as entry:
        done = resolve(settings, selector, reason)
        entry.after = {"discarded": done}
    if output is Output.JSON:
        print_json({"discarded": done})
    note(f"discarded {done:,}")


def _named(selector: "Selector") -> str:
    """What was selected, as it was said."""
    given = {name: value for name, value in asdict(selector).items() if value}
    return " ".join(f"{name}={value}" for name, value in given.items()) or "all"


def _agreed(settings: Settings, selector: "Selector", verb: str, *, dry_run: bool, yes: bool, output: Output) -> bool:
    """Say what is meant, and ask; False where there is nothing to do. Raises `typer.Exit(8)` for a no."""
    from tailrace.operations.dead_letters import count, must_be_known

    _gather(settings)
    must_be_known(settings, selector)
    counted = count(settings, selector)
    codes = ", ".join(f"{code} {number:,}" for code, number in counted.by_code.items())
    note(f"{counted.letters:,} open dead letters ({codes or 'none'}), {counted.behind:,} events wait behind them")
    if dry_run or not counted.letters:
        if output is Output.JSON:
            print_json(
                {
                    "dry_run": dry_run,
                    "selected": counted.letters,
                    "by_code": counted.by_code,
                    "waiting_behind": counted.behind,
                }
            )
        return False
    if not yes:
        if not (sys.stdin.isatty() and stderr.is_terminal):
            raise UsageError("this needs a confirmation", fix="add --yes")
        if not Confirm.ask(f"{verb} {counted.letters:,}?", console=stderr, default=False):
            raise typer.Exit(8)
    return True
