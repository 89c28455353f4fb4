"""`tailrace rebuild`: make the read models anew beside the live ones, and switch to them in one step."""

import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table, stderr

if TYPE_CHECKING:
    from collections.abc import Callable

    from tailrace.rebuilding.rebuild import Built, Step
    from tailrace.rebuilding.switching import Switched
    from tailrace.settings import Settings

INTERRUPTED = 130
LINE_EVERY_PERCENT = 10

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is recorded.")]
VerifyOption = Annotated[bool, typer.Option("--verify", help="Compare it with the fold of the log as well.")]
SwitchOption = Annotated[bool, typer.Option("--switch/--no-switch", help="Switch to it when it is complete.")]
RollbackOption = Annotated[bool, typer.Option("--rollback", help="Go back to what was live before.")]
ProcessesOption = Annotated[int | None, typer.Option("--processes", min=1, max=32, help="None: one for each core.")]


def register(app: typer.Typer) -> None:
    """Add the noun and its verbs."""
    rebuild = typer.Typer(
        help="Make the read models anew from the log beside the live ones, and switch to them in one step.",
        invoke_without_command=True,
    )
    rebuild.callback()(group)
    rebuild.command("all")(all_command)
    rebuild.command("postgres")(postgres_command)
    rebuild.command("search")(search_command)
    rebuild.command("redis")(redis_command)
    rebuild.command("status")(status_command)
    rebuild.command("switch")(switch_command)
    rebuild.command("rollback")(rollback_command)
    rebuild.command("drop")(drop_command)
    app.add_typer(rebuild, name="rebuild")


def group(
    context: typer.Context,
    rollback: RollbackOption = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it is recorded.")] = None,
) -> None:
    """Make the read models anew from the log beside the live ones, and switch to them in one step.

    Example: `tailrace rebuild all --verify --reason "counts were wrong"`
    """
    from tailrace.errors import UsageError

    if context.invoked_subcommand is not None:
        return
    if not rollback:
        typer.echo(context.get_help())
        raise typer.Exit(2)
    if not reason:
        raise UsageError("a reason is needed", fix='tailrace rebuild --rollback --reason "…"')
    rollback_command(reason)


def all_command(
    reason: ReasonOption,
    verify: VerifyOption = False,
    switch: SwitchOption = True,
    rollback: RollbackOption = False,
    processes: ProcessesOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Rebuild PostgreSQL, the search indices and the caches, and switch all three in one recorded step.

    Live traffic, readers and workers go on. Interrupted, killed or paused, the same command goes on where it was. What
    was live is kept for a week: `tailrace rebuild rollback`.

    Example: `tailrace rebuild all --verify --reason "counts were wrong"`
    """
    _rebuild("all", reason, verify, (switch, rollback), processes, output)


def postgres_command(
    reason: ReasonOption,
    verify: VerifyOption = False,
    switch: SwitchOption = True,
    rollback: RollbackOption = False,
    processes: ProcessesOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Rebuild the tables; search documents and caches are then written anew where they are.

    Example: `tailrace rebuild postgres --no-switch --reason "new column"`
    """
    _rebuild("postgres", reason, verify, (switch, rollback), processes, output)


def search_command(reason: ReasonOption, switch: SwitchOption = True, rollback: RollbackOption = False) -> None:
    """Rebuild the search indices alone, from the tables as they are.

    Example: `tailrace rebuild search --reason "new analyser"`
    """
    import asyncio

    from tailrace.operations import indices
    from tailrace.operations.audit import audited
    from tailrace.projections.documents import ALIASES

    settings = _settings()
    with audited(settings, "rebuild search", reason=reason) as entry:
        if rollback:
            entry.after = {alias: asyncio.run(indices.roll_back(settings, alias)) for alias in ALIASES}
        else:
            built = {alias: asyncio.run(indices.rebuild(settings, alias)).generation for alias in ALIASES}
            entry.after = {a: asyncio.run(indices.switch(settings, a)) for a in ALIASES} if switch else built
    for alias, generation in entry.after.items():
        note(f"{alias}: generation {generation}{'' if switch or rollback else ', not shown yet'}")


def redis_command(reason: ReasonOption) -> None:
    """Write every cached value anew under a new generation; each is replaced whole, none is ever missing.

    Example: `tailrace rebuild redis --reason "suspected"`
    """
    import asyncio

    from tailrace.operations import caches
    from tailrace.operations.audit import audited

    settings = _settings()
    with audited(settings, "rebuild redis", reason=reason) as entry:
        filled = asyncio.run(caches.rebuild(settings))
        entry.after = {"generation": filled.generation, "keys": filled.done}
    note(f"generation {filled.generation}: {filled.done:,} keys")


def status_command(output: OutputOption = Output.TABLE) -> None:
    """Show the versions there are, the switches between them, and how far the one being made is.

    Example: `tailrace rebuild status -o json`
    """
    from tailrace.rebuilding.rebuild import status

    found = status(_settings())
    if output is Output.JSON:
        print_json(found.document())
        return
    rows = [
        [one.version, one.state, one.created_at, one.live_at, one.kept_until, one.created_by, one.reason]
        for one in found.versions
    ]
    print_table(["VERSION", "STATE", "BEGUN (UTC)", "LIVE SINCE", "KEPT UNTIL", "BY", "WHY"], rows)
    if found.behind is not None and found.total is not None:
        note(f"the version being made has {found.total - found.behind:,} of {found.total:,} records")
    cuts = [
        [one.cutover_id, f"{one.from_version} → {one.to_version}", one.at, one.held_ms, one.finished_at, one.actor]
        for one in found.cutovers
    ]
    if cuts:
        print_table(["SWITCH", "VERSIONS", "AT (UTC)", "WORKERS HELD ms", "FOLLOWED BY ALL", "BY"], cuts)


def switch_command(
    reason: ReasonOption = "", verify: VerifyOption = False, output: OutputOption = Output.TABLE
) -> None:
    """Switch to the version that is ready, after comparing it once more.

    Example: `tailrace rebuild switch --verify`
    """
    from tailrace.rebuilding.rebuild import switch_over

    def work(settings: "Settings", request: Any, watch: "Callable[[Step], None]") -> dict[str, Any]:
        built, switched = switch_over(settings, request, _verifier() if verify else None, watch)
        return _document(built, switched)

    _as_job("rebuild switch", reason or "switch", work, output)


def rollback_command(reason: ReasonOption, output: OutputOption = Output.TABLE) -> None:
    """Make the version live again that was live before, brought up to now first; all three stores in one step.

    Example: `tailrace rebuild rollback --reason "the new one is slower"`
    """
    from dataclasses import replace

    from tailrace.mending.filling import archived_until
    from tailrace.rebuilding.rebuild import roll_back

    def work(settings: "Settings", request: Any, watch: "Callable[[Step], None]") -> dict[str, Any]:
        return {"switched": _switched(roll_back(settings, replace(request, open_log=archived_until), watch))}

    _as_job("rebuild rollback", reason, work, output)


def drop_command(
    version: Annotated[int | None, typer.Argument(metavar="[VERSION]", help="None: those whose time is over.")] = None,
    reason: ReasonOption = "",
) -> None:
    """Give up a version that is not live, with its tables and indices; without a number those kept for long enough.

    Example: `tailrace rebuild drop 1`
    """
    from datetime import UTC, datetime

    from tailrace.operations.audit import audited
    from tailrace.rebuilding.rebuild import drop, drop_overdue

    settings = _settings()
    with audited(settings, "rebuild drop", str(version or "overdue"), reason) as entry:
        if version is None:
            entry.after = drop_overdue(settings, datetime.now(UTC))
        else:
            entry.after = [version] if drop(settings, version) else []
    note(f"dropped: {', '.join(map(str, entry.after)) or 'nothing'}")


def _rebuild(
    what: str, reason: str, verify: bool, ends: tuple[bool, bool], processes: int | None, output: Output
) -> None:  # fmt: skip
    from dataclasses import replace

    from tailrace.mending.filling import archived_until, lost_topics
    from tailrace.rebuilding.rebuild import build, check, switch_over

    then_switch, rollback = ends
    if rollback:
        rollback_command(reason, output)
        return

    def work(settings: "Settings", request: Any, watch: "Callable[[Step], None]") -> dict[str, Any]:
        lost = lost_topics(settings)
        request = replace(
            request, with_followers=what == "all", processes=processes, open_log=archived_until, lost=lost
        )
        version = build(settings, request, watch)
        verifier = _verifier() if verify else None
        if not then_switch:
            return _document(check(settings, version, verifier, watch), None)
        return _document(*switch_over(settings, request, verifier, watch))

    _as_job(f"rebuild {what}", reason, work, output)


def _as_job(command: str, reason: str, work: Any, output: Output) -> None:
    from tailrace.operations.audit import actor, audited
    from tailrace.rebuilding.rebuild import Request
    from tailrace.rebuilding.working import as_job

    settings = _settings()
    request = Request(actor(), reason)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    with audited(settings, command, reason=reason) as entry:
        try:
            with as_job(settings, request) as (job_id, pulse, outcome), _Shown(job_id) as show:

                def watch(step: "Step") -> None:
                    pulse(step)
                    show(step)

                outcome.update(work(settings, request, watch))
                entry.after = outcome
        except KeyboardInterrupt:
            note(f"\nstopped at a safe point; nothing live was touched. Go on: tailrace {command} --reason …")
            raise typer.Exit(INTERRUPTED) from None
    if output is Output.JSON:
        print_json({"job": job_id, **outcome})
    else:
        _print(outcome)


def _settings() -> "Settings":
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging

    settings = load_settings()
    configure_logging(settings.log)
    return settings


def _verifier() -> "Callable[[Settings], int]":
    from tailrace.verification.verify import verify

    def differences(settings: "Settings") -> int:
        return verify(settings, ["postgres"], limit=0).differences

    return differences


def _document(built: "Built", switched: "Switched | None") -> dict[str, Any]:
    return {
        "version": built.version,
        "comparison": built.comparison.document() if built.comparison else None,
        "verified": built.verified,
        "switched": _switched(switched) if switched else None,
    }


def _switched(switched: "Switched") -> dict[str, Any]:
    return {
        "cutover": switched.cutover_id, "from_version": switched.from_version, "held_ms": switched.held_ms,
        "cache_generation": switched.cache_generation,
    }  # fmt: skip


def _print(outcome: dict[str, Any]) -> None:
    compared = outcome.get("comparison")
    if compared:
        note(
            f"version {outcome['version']}: {compared['rows']:,} rows compared, {compared['differences']:,} differ"
            + ("" if outcome["verified"] is None else f"; {outcome['verified']:,} differences from the log")
        )
    if switched := outcome.get("switched"):
        note(f"live since switch {switched['cutover']}; workers were held for {switched['held_ms']:,} ms")
        note(f" back: tailrace rebuild rollback --reason …   give up: tailrace rebuild drop {switched['from_version']}")
    else:
        note("not live yet: tailrace rebuild switch")


class _Lines:
    """Progress for those who read a file: a line for every tenth of a step."""

    def __init__(self) -> None:
        self._said: tuple[str, int] = ("", -1)

    def __call__(self, step: "Step") -> None:
        percent = 0 if not step.total else int(100 * step.done / step.total) // LINE_EVERY_PERCENT * LINE_EVERY_PERCENT
        if (step.name, percent) > self._said or step.name != self._said[0]:
            self._said = step.name, percent
            note(_text(step))


def _text(step: "Step") -> str:
    parts = [step.name]
    if step.total:
        parts += [f"{100 * step.done / step.total:.0f}%", f"{step.done:,}/{step.total:,} {step.unit}"]
    elif step.done:
        parts.append(f"{step.done:,} {step.unit}")
    if step.rate:
        parts.append(f"{step.rate:,.0f}/s")
        if step.total:
            parts.append(f"ETA {(step.total - step.done) / step.rate:,.0f}s")
    return "  ".join(parts)


class _Shown:
    """What shows progress on stderr: a line that changes on a terminal, else lines. Says first which job it is."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._bars: Any = None

    def __enter__(self) -> "Callable[[Step], None]":
        note(f"job {self._job_id}")
        if not sys.stderr.isatty():
            return _Lines()
        from rich.progress import Progress, TextColumn

        self._bars = Progress(TextColumn("{task.description}"), console=stderr, transient=True)
        self._bars.start()
        task = self._bars.add_task("beginning")
        return lambda step: self._bars.update(task, description=_text(step))

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()
