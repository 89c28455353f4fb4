"""Long jobs as rows of `runtime.jobs`: opened once, taken by one process at a time, gone on with after any crash.

Whoever does a job opens it, claims it and calls `heartbeat` at every safe point; what an operator asked meanwhile comes
out of there as an exception, and the row says so already. An owner that was not heard of for `LEASE_S` may be replaced.

    with jobs(settings) as desk:
        job = desk.open_job("rebuild", "postgres", {"version": 2}, actor(), reason)
        if not desk.claim(job.job_id, owner):
            raise PreconditionError(f"{job.job_id} is being done", fix=f"tailrace jobs follow {job.job_id}")
        with desk.doing(job.job_id, owner) as done:
            …
            desk.heartbeat(job.job_id, owner, Progress(done=500, total=2_000, unit="records", rate=480.0))
            done["records"] = 2_000
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import psycopg
import structlog
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tailrace.errors import NotFoundError, PreconditionError, TailraceError
from tailrace.operations.database import connection
from tailrace.settings import Settings
from tailrace.sql.catalog import queries, render, schema_names

log = structlog.get_logger(__name__)

LEASE_S: Final = 30
"""An owner silent for so long may be replaced: call `heartbeat` at least every `HEARTBEAT_S`."""
HEARTBEAT_S: Final = 2.0
LOG_LINES_MAX: Final = 500
OPEN_STATES: Final = ("waiting", "running", "paused")


class JobOpenError(PreconditionError):
    """Another job of this kind and target, asked for with another spec, is not done yet: `job`."""

    def __init__(self, job: "Job") -> None:
        super().__init__(f"{job.job_id} is {job.state}", fix=f"tailrace jobs follow {job.job_id}, or cancel it")
        self.job = job


class JobLost(PreconditionError):  # noqa: N818 - it is a signal to stop, as the next two
    """The job is not this owner's any more; whatever it does from now on, somebody else does too."""


class JobPaused(PreconditionError):  # noqa: N818 - it is a signal to stop
    """Somebody asked for a pause, and the row says paused: stop here."""


class JobCancelled(PreconditionError):  # noqa: N818 - it is a signal to stop
    """Somebody asked for an end, and the row says cancelled: stop here."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is, in `unit`s; `rate` is units a second. None is unknown. `at` is what its kind goes on from."""

    done: int
    total: int | None = None
    unit: str = "records"
    rate: float | None = None
    at: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """One row. Times are aware UTC; `progress` has the fields of `Progress`, or is empty."""

    job_id: str
    kind: str
    target: str
    spec: dict[str, Any]
    state: str
    asked: str | None
    owner: str | None
    heartbeat_at: datetime | None
    progress: dict[str, Any]
    log: list[dict[str, Any]]
    outcome: dict[str, Any] | None
    error: str | None
    requested_by: str
    reason: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_open(self) -> bool:
        """It has not ended."""
        return self.state in OPEN_STATES

    @property
    def ratio(self) -> float | None:
        """Done of total, 0 to 1; None where that is not known."""
        done, total = self.progress.get("done"), self.progress.get("total")
        if self.state == "done":
            return 1.0
        return None if done is None or not total else float(min(1.0, done / total))

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the present rate; None where that is not known."""
        done, total, rate = (self.progress.get(name) for name in ("done", "total", "rate"))
        if self.state != "running" or done is None or total is None or not rate:
            return None
        return float(max(0.0, (total - done) / rate))

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "ratio": self.ratio, "eta_seconds": self.eta_s}


def process_owner() -> str:
    """What to call this process as an owner."""
    return f"{socket.gethostname()}:{os.getpid()}"


@contextmanager
def jobs(settings: Settings) -> Iterator["Jobs"]:
    """The jobs of an instance, on a connection of their own: a heartbeat must not wait for the job's transaction."""
    with connection(settings) as conn:
        yield Jobs(conn, settings)


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of an instance. The connection should be in autocommit mode: what is said here is seen at once.

    Every method raises `PreconditionError` where the tables are not there yet.
    """

    conn: psycopg.Connection[Any]
    settings: Settings

    def open_job(self, kind: str, target: str, spec: dict[str, Any], actor: str, reason: str) -> Job:
        """A new job that waits for an owner; or the open one of this kind and target, if it has the same spec.

        Raises `JobOpenError` where the open one has another spec.
        """
        for _ in range(2):  # again, should the open one end just now
            rows = self._run("open_job", kind, target, Jsonb(spec), actor, reason)
            if rows:
                log.info("job_opened", job=rows[0]["job_id"], kind=kind, target=target, by=actor, reason=reason)
                return Job(**rows[0])
            if rows := self._run("open_of", kind, target):
                found = Job(**rows[0])
                if found.spec != spec:
                    raise JobOpenError(found)
                return found
        raise TailraceError(f"a job {kind} {target} comes and goes", fix="tailrace jobs ls")

    def claim(self, job_id: str, owner: str) -> bool:
        """Take a job that waits, or whose owner has fallen silent; False where somebody is at it or it has ended."""
        taken = bool(self._run("claim_job", job_id, owner, LEASE_S))
        if taken:
            self.note(job_id, f"taken up by {owner}")
        return taken

    def heartbeat(self, job_id: str, owner: str, progress: Progress) -> None:
        """Say how far it is and that its owner lives; to be called at safe points, at least every `HEARTBEAT_S`.

        Raises `JobPaused`, `JobCancelled` or `JobLost`: then stop, having done nothing further.
        """
        rows = self._run("heartbeat", job_id, owner, Jsonb(asdict(progress)))
        match rows[0]["state"] if rows else "lost":
            case "paused":
                self.note(job_id, f"paused at {progress.done:,} {progress.unit}")
                raise JobPaused(f"{job_id} is paused", fix=f"tailrace jobs resume {job_id}")
            case "cancelled":
                self.note(job_id, f"cancelled at {progress.done:,} {progress.unit}")
                raise JobCancelled(f"{job_id} was cancelled", fix=f"tailrace jobs show {job_id}")
            case "lost":
                raise _lost(job_id)

    def note(self, job_id: str, text: str) -> None:
        """Add a line to the job's log; the oldest goes where there are `LOG_LINES_MAX`."""
        self._run("append_log", job_id, text, LOG_LINES_MAX)

    def finish(self, job_id: str, owner: str, outcome: dict[str, Any] | None = None, error: str | None = None) -> None:
        """End the job: done, or failed where there is an `error`. Raises `JobLost` where it is not this owner's."""
        stored = None if outcome is None else Jsonb(outcome)
        if not self._run("finish_job", job_id, owner, stored, error):
            raise _lost(job_id)
        self.note(job_id, "done" if error is None else f"failed: {error}")

    def release(self, job_id: str, owner: str, state: Literal["waiting", "paused"] = "paused") -> None:
        """Let go of the job at a safe point, for later or for somebody else; nothing where it is not this owner's."""
        if self._run("release_job", job_id, owner, state):
            self.note(job_id, f"{state}, let go by {owner}")

    @contextmanager
    def doing(self, job_id: str, owner: str) -> Iterator[dict[str, Any]]:
        """Do a claimed job: at the end it is done with the outcome put into what is yielded; an error makes it failed.

        Ctrl-C pauses it. What `heartbeat` raises passes through, the row being right already.
        """
        outcome: dict[str, Any] = {}
        try:
            yield outcome
        except (JobLost, JobPaused, JobCancelled):
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            with _not_hiding():
                self.finish(job_id, owner, outcome or None, said)
            raise
        except BaseException:  # Ctrl-C, a signal
            with _not_hiding():
                self.release(job_id, owner)
            raise
        self.finish(job_id, owner, outcome)

    def get_job(self, job_id: str) -> Job:
        """A job by its id, or by its number alone. Raises `NotFoundError`."""
        if rows := self._run("get_job", job_id):
            return Job(**rows[0])
        raise NotFoundError(f"no job {job_id}", fix="tailrace jobs ls")

    def list_jobs(self, *, kind: str | None = None, only_open: bool = False, limit: int = 50) -> list[Job]:
        """Jobs, newest first."""
        return [Job(**row) for row in self._run("list_jobs", kind, only_open, limit)]

    def ask(self, job_id: str, what: Literal["pause", "cancel"], actor: str) -> Job:
        """Ask the owner to pause or to give up at its next safe point; where nobody is at it, it is done at once.

        Raises `PreconditionError` for a job that has ended.
        """
        found = self.get_job(job_id)
        rows = self._run("ask_job", found.job_id, what, LEASE_S)
        if not rows:
            raise PreconditionError(f"{found.job_id} is {found.state}", fix=f"tailrace jobs show {found.job_id}")
        self.note(found.job_id, f"{what} asked for by {actor}")
        return self.get_job(found.job_id)

    def resume(self, job_id: str, actor: str) -> Job:
        """Let a paused or failed job wait for an owner again. One that waits already is left as it is.

        Raises `PreconditionError` for one that runs or has ended, `JobOpenError` where another took its place.
        """
        found = self.get_job(job_id)
        if found.state == "waiting" or (found.state == "running" and self._is_silent(found)):
            return found
        try:
            rows = self._run("resume_job", found.job_id)
        except psycopg.errors.UniqueViolation as error:
            raise JobOpenError(Job(**self._run("open_of", found.kind, found.target)[0])) from error
        if not rows:
            raise PreconditionError(f"{found.job_id} is {found.state}", fix=f"tailrace jobs show {found.job_id}")
        self.note(found.job_id, f"resumed by {actor}")
        return self.get_job(found.job_id)

    def _is_silent(self, job: Job) -> bool:
        (row,) = self._run("silence", job.job_id)
        return bool(row["seconds"] is None or row["seconds"] > LEASE_S)

    def _run(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        text = render(queries("jobs")[query], schema_names(self.settings.postgres))
        try:
            cursor = psycopg.RawCursor(self.conn, row_factory=dict_row).execute(text.encode(), parameters)
            return cursor.fetchall() if cursor.description else []
        except psycopg.errors.UndefinedTable as error:
            raise PreconditionError("the database has no table of jobs yet", fix="tailrace db migrate") from error


@contextmanager
def _not_hiding() -> Iterator[None]:
    """What fails while another error is on its way must not take its place."""
    try:
        yield
    except (TailraceError, psycopg.Error) as error:
        log.warning("job_not_updated", error=type(error).__name__)


def _lost(job_id: str) -> JobLost:
    return JobLost(f"{job_id} is not this process's any more", fix=f"tailrace jobs show {job_id}")
