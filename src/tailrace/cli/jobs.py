"""`tailrace jobs`: long work, who does it and how far it is."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table
from tailrace.errors import PartlyDoneError, TailraceError
from tailrace.settings import load_settings
from tailrace.telemetry import configure_logging

if TYPE_CHECKING:
    from tailrace.operations.jobs import Job

GOES_ON = {
    "rebuild": 'tailrace rebuild all --reason "…"',
    "replay": 'tailrace replay apply {target} --reason "…"',
    "repair": 'tailrace repair postgres --reason "…"',
}
"""A job is done by the command that began it: what to type, by kind."""

JobId = Annotated[str, typer.Argument(metavar="ID", help="Such as 0012-rebuild, or the number alone.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; it is recorded.")]


def register(app: typer.Typer) -> None:
    """Add the noun and its verbs."""
    jobs = typer.Typer(help="Long work: who does it, how far it is, how it ended.", no_args_is_help=True)
    for verb in (ls, show, follow, pause, resume, cancel):
        jobs.command()(verb)
    app.add_typer(jobs, name="jobs")


def ls(
    kind: Annotated[str | None, typer.Option("--kind", help="Such as rebuild, replay, archive.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that have not ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """List jobs, newest first.

    Example: `tailrace jobs ls --open`
    """
    from tailrace.operations.jobs import jobs

    with jobs(load_settings()) as desk:
        found = desk.list_jobs(kind=kind, only_open=only_open, limit=limit)
    if output is Output.JSON:
        print_json({"jobs": [job.document() for job in found]})
        return
    print_table(
        ["ID", "TARGET", "STATE", "DONE", "RATE/s", "ETA", "ASKED (UTC)", "BY", "WHY", "ERROR"],
        [
            [
                job.job_id,
                job.target,
                _state(job),
                _percent(job),
                _rate(job),
                _eta(job),
                _time(job.created_at),
                job.requested_by,
                job.reason,
                job.error,
            ]
            for job in found
        ],
    )


def show(job_id: JobId, output: OutputOption = Output.TABLE) -> None:
    """Show one job with its log.

    Example: `tailrace jobs show 12`
    """
    from tailrace.operations.jobs import jobs

    with jobs(load_settings()) as desk:
        job = desk.get_job(job_id)
    if output is Output.JSON:
        print_json(job.document())
        return
    rows: list[list[Any]] = [
        ["id", job.job_id],
        ["target", job.target],
        ["state", _state(job)],
        ["progress", _line(job)],
        ["owner", job.owner],
        ["last heard", _time(job.heartbeat_at)],
        ["asked by", f"{job.requested_by}: {job.reason}"],
        ["created", _time(job.created_at)],
        ["started", _time(job.started_at)],
        ["finished", _time(job.finished_at)],
        *([f"spec {name}", str(value)] for name, value in job.spec.items()),
        *([f"outcome {name}", str(value)] for name, value in (job.outcome or {}).items()),
        ["error", job.error],
        *(["log", f"{line['at']}  {line['text']}"] for line in job.log),
    ]
    print_table(["", ""], rows)


def follow(
    job_id: JobId,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to follow at most.")] = 86_400,
    output: OutputOption = Output.TABLE,
) -> None:
    """Follow a job until it ends or is paused: one line on stderr whenever it moved. Exit code 1 when it failed.

    Exit code 7 when it has not ended in time, was paused or cancelled. Ctrl-C stops following, not the job.

    Example: `tailrace jobs follow 0012-rebuild --timeout 600`
    """
    from tailrace.operations.following import follow as follow_job

    job = follow_job(load_settings(), job_id, timeout, lambda moved: note(f"{_now()} {moved.job_id} {_line(moved)}"))
    if output is Output.JSON:
        print_json(job.document())
    if job.state == "failed":
        raise TailraceError(f"{job.job_id} failed: {job.error}", fix=f"tailrace jobs show {job.job_id}")
    if job.state != "done":
        raise PartlyDoneError(f"{job.job_id} is {job.state}", fix=f"tailrace jobs show {job.job_id}")


def pause(job_id: JobId, reason: Reason = None, output: OutputOption = Output.TABLE) -> None:
    """Ask a job to stop at its next safe point; it keeps its place.

    Example: `tailrace jobs pause 12 --reason "peak hours"`
    """
    _ask("pause", job_id, reason, output)


def cancel(job_id: JobId, reason: Reason = None, output: OutputOption = Output.TABLE) -> None:
    """Ask a job to give up at its next safe point; it cannot be resumed.

    Example: `tailrace jobs cancel 12 --reason "wrong version"`
    """
    _ask("cancel", job_id, reason, output)


def resume(job_id: JobId, reason: Reason = None, output: OutputOption = Output.TABLE) -> None:
    """Let a paused or failed job go on: it waits for the command that began it, which takes it up where it was.

    Example: `tailrace jobs resume 12`
    """
    from tailrace.operations.audit import actor, audited
    from tailrace.operations.jobs import jobs

    settings = load_settings()
    configure_logging(settings.log)
    with audited(settings, "jobs resume", job_id, reason) as entry, jobs(settings) as desk:
        found = desk.get_job(job_id)
        entry.target, entry.before = found.job_id, {"state": found.state}
        job = desk.resume(found.job_id, actor())
        entry.after = {"state": job.state}
    _say(job, output)
    if hint := GOES_ON.get(job.kind):
        note(f"it goes on with  {hint.format(target=job.target)}")


def _ask(what: Any, job_id: str, reason: str | None, output: Output) -> None:
    from tailrace.operations.audit import actor, audited
    from tailrace.operations.jobs import jobs

    settings = load_settings()
    configure_logging(settings.log)
    with audited(settings, f"jobs {what}", job_id, reason) as entry, jobs(settings) as desk:
        found = desk.get_job(job_id)
        entry.target, entry.before = found.job_id, {"state": found.state}
        job = desk.ask(found.job_id, what, actor())
        entry.after = {"state": job.state, "asked": job.asked}
    _say(job, output)


def _say(job: "Job", output: Output) -> None:
    if output is Output.JSON:
        print_json(job.document())
    note(f"{job.job_id} {_line(job)}")


def _line(job: "Job") -> str:
    parts = [_state(job)]
    if job.progress:
        total = job.progress.get("total")
        parts += [_percent(job) or "–", f"{job.progress['done']:,}/{'–' if total is None else f'{total:,}'}"]
        parts += [str(job.progress.get("unit", "")), f"{_rate(job) or '–'}/s", f"ETA {_eta(job) or '–'}"]
    return " ".join(parts)


def _state(job: "Job") -> str:
    return job.state if job.asked is None else f"{job.state} ({job.asked} asked)"


def _percent(job: "Job") -> str | None:
    return None if job.ratio is None else f"{job.ratio:.0%}"


def _rate(job: "Job") -> str | None:
    rate = job.progress.get("rate")
    return None if rate is None else f"{rate:,.0f}"


def _eta(job: "Job") -> str | None:
    if job.eta_s is None:
        return None
    minutes, seconds = divmod(round(job.eta_s), 60)
    return f"{minutes}m{seconds:02d}s" if minutes else f"{seconds}s"


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
