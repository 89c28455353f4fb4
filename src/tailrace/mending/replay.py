"""Replays and repairs: fill tables beside the live ones, copy what differs, mend caches and documents, or undo it.

Nothing is published and no stream runs, so no notification is raised a second time: rows are copied, and that is all.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

import psycopg
import structlog

from tailrace.errors import NotFoundError, PreconditionError, TailraceError
from tailrace.mending.filling import FULL, Pace, fill_beside, lost_topics, temporary_version
from tailrace.mending.followers import Followed, follow_rows, mend_followers
from tailrace.mending.plans import Plan, get_plan, must_hold, take
from tailrace.mending.postgres import Mended, Mending, Undone
from tailrace.mending.postgres import undo as put_back
from tailrace.mending.scope import Scope, read_part
from tailrace.operations.audit import actor, audited
from tailrace.operations.jobs import (
    HEARTBEAT_S,
    Job,
    JobCancelled,
    JobLost,
    JobPaused,
    Jobs,
    Progress,
    jobs,
    process_owner,
)
from tailrace.rebuilding.filling import FillProgress
from tailrace.rebuilding.shadow import drop
from tailrace.settings import Settings

log = structlog.get_logger()

REPAIR: Final = "repair"
REPLAY: Final = "replay"
PULSE_JOIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """How far a job is; `name` is fill, compare, copy or stores."""

    name: str
    done: int = 0
    total: int | None = None
    rate: float | None = None


Watch = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay or repair changed, or would change."""

    job_id: str
    tables: Mended
    stores: Followed

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "job_id": self.job_id,
            "tables": self.tables.document(),
            "held_ms": self.tables.held_ms,
            "stores": self.stores.document(),
        }


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done."""

    kind: str
    target: str
    scope: Scope
    reason: str
    pace: Pace = FULL
    dry_run: bool = False


def repair(settings: Settings, work: Work, watch: Watch = lambda _step: None) -> Outcome:
    """Mend the live tables and what follows them from the log; with `dry_run` only say what differs.

    Goes on where an earlier run of the same repair was interrupted. Raises `PreconditionError` while somebody else is
    at it, or where the log is not whole; what was asked of the job meanwhile (`JobPaused`, `JobCancelled`).
    """
    with audited(settings, work.kind, work.target, work.reason) as entry:
        with _as_job(settings, work) as (job, pulse, outcome):
            with _dropping(settings, job.job_id):
                done = _mend(settings, work, job.job_id, _Told(pulse, watch))
            outcome.update(done.document())
        entry.after = done.document() | ({"dry_run": True} if work.dry_run else {})
        return done


def apply(
    settings: Settings, plan_id: str, reason: str, pace: Pace, now: datetime, watch: Watch = lambda _step: None
) -> Outcome:
    """Do what a plan says. Raises `PreconditionError` where it does not hold any more, `NotFoundError`."""
    plan = get_plan(settings, plan_id)
    if not _is_begun(settings, plan):
        must_hold(settings, plan, now)
    return repair(settings, Work(REPLAY, plan.plan_id, Scope.of(plan.scope), reason, pace), watch)


def undo(settings: Settings, job_id: str, reason: str) -> tuple[Undone, Followed]:
    """Put the rows back that a job changed, where nobody changed them since, and let caches and documents follow.

    Raises `NotFoundError`, and `PreconditionError` where the job changed nothing or has not ended.
    """
    with audited(settings, "replay undo", job_id, reason) as entry:
        with jobs(settings) as desk:
            job = desk.get_job(job_id)
        if job.kind not in (REPAIR, REPLAY):
            raise NotFoundError(f"{job.job_id} is no replay", fix="tailrace jobs ls")
        if job.is_open:
            raise PreconditionError(f"{job.job_id} is {job.state}", fix=f"tailrace jobs cancel {job.job_id}")
        undone = put_back(settings, job.job_id)
        entry.after = {"rows": undone.rows, "moved_on": undone.moved_on}
        if not undone.rows and not undone.moved_on:
            raise PreconditionError(f"{job.job_id} changed no row that could be put back", fix="tailrace jobs show")
        stores = follow_rows(settings, job.job_id) if undone.rows else Followed()
    return undone, stores


def _is_begun(settings: Settings, plan: Plan) -> bool:
    """A replay that was interrupted is gone on with, however old its plan is."""
    if plan.job_id is None:
        return False
    with jobs(settings) as desk:
        return desk.get_job(plan.job_id).is_open


class _Told:
    """Tells the caller and the job."""

    def __init__(self, pulse: "_Pulse", watch: Watch) -> None:
        self._pulse = pulse
        self._watch = watch

    def __call__(self, name: str, done: int = 0, total: int | None = None, rate: float | None = None) -> None:
        step = Step(name, done, total, rate)
        self._pulse.note(step)
        self._watch(step)

    def filling(self, progress: FillProgress) -> None:
        self("fill", progress.done, progress.total, progress.rate)


def _mend(settings: Settings, work: Work, job_id: str, tell: _Told) -> Outcome:
    scope = work.scope
    lost = lost_topics(settings)
    touched: Mapping[str, list[str]] | None = read_part(settings, scope).touched if scope.has_range else None
    tables = Mended()
    if scope.relations is None or scope.relations:
        version = temporary_version(job_id)
        tell("fill")
        filled = fill_beside(settings, version, work.pace, tell.filling)
        tell("compare")
        mending = Mending(settings, filled.shadow, job_id, scope, touched, lost)
        suspects = mending.look()
        tell("copy", 0, suspects)
        if suspects:
            tables = mending.mend(filled.reach, dry_run=work.dry_run)
        tell("copy", suspects, suspects)
        log.info("tables_mended", job=job_id, suspects=suspects, rows=tables.rows, held_ms=tables.held_ms)
        drop(settings, version)
    tell("stores")
    # Keys and documents are made of the tables: while those are wrong, nothing can be said of what follows them.
    is_sound = not (work.dry_run and tables.rows)
    stores = mend_followers(settings, scope, touched, dry_run=work.dry_run) if is_sound else Followed()
    return Outcome(job_id, tables, stores)


@contextmanager
def _dropping(settings: Settings, job_id: str) -> Iterator[None]:
    """Drop the filled tables where nobody will go on with them; a job that was paused or taken over needs them."""
    try:
        yield
    except (JobPaused, JobLost):
        raise
    except Exception:
        try:
            drop(settings, temporary_version(job_id))
        except (TailraceError, psycopg.Error) as error:
            log.warning("shadow_not_dropped", job=job_id, error=type(error).__name__)
        raise


@contextmanager
def _as_job(settings: Settings, work: Work) -> Iterator[tuple[Job, "_Pulse", dict[str, Any]]]:
    owner = process_owner()
    with jobs(settings) as desk:
        spec = {"scope": work.scope.document(), "dry_run": work.dry_run}
        job = desk.open_job(work.kind, work.target, spec, actor(), work.reason)
        if job.state == "paused":
            job = desk.resume(job.job_id, actor())
        if not desk.claim(job.job_id, owner):
            raise PreconditionError(
                f"{job.job_id} is being done by {job.owner}", fix=f"tailrace jobs follow {job.job_id}"
            )
        if work.kind == REPLAY:
            take(settings, get_plan(settings, work.target), job.job_id)
        with _doing(desk, job, owner) as outcome, _Pulse(settings, job.job_id, owner, work.pace.stop) as pulse:
            yield job, pulse, outcome


@contextmanager
def _doing(desk: Jobs, job: Job, owner: str) -> Iterator[dict[str, Any]]:
    with desk.doing(job.job_id, owner) as outcome:
        yield outcome


class _Pulse:
    """Says that the owner lives, from a thread of its own: a comparison takes longer than a lease.

    What somebody asks meanwhile is raised at the next note, between two steps or two batches: a safe point.
    """

    def __init__(self, settings: Settings, job_id: str, owner: str, stop: threading.Event) -> None:
        self._settings = settings
        self._job = job_id, owner
        self._stop = stop
        self._step = Step("begin")
        self._ended = threading.Event()
        self._asked: PreconditionError | None = None
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(PULSE_JOIN_S)

    def note(self, step: Step) -> None:
        """Remember how far it is. Raises `JobPaused`, `JobCancelled` or `JobLost`."""
        self._step = step
        if self._asked is not None:
            raise self._asked
        if self._stop.is_set():
            with jobs(self._settings) as desk:
                desk.release(*self._job)
            raise JobPaused(f"{self._job[0]} is paused", fix=f"tailrace jobs resume {self._job[0]}")

    def _beat(self) -> None:
        while not self._ended.is_set() and self._asked is None:
            try:
                with jobs(self._settings) as desk:
                    while not self._ended.wait(HEARTBEAT_S):
                        step = self._step
                        desk.heartbeat(
                            *self._job, Progress(step.done, step.total, "records", step.rate, {"step": step.name})
                        )
            except (JobPaused, JobCancelled, JobLost) as error:
                self._asked = error
            except TailraceError as error:
                log.warning("heartbeat_failed", error=type(error).__name__)
                self._ended.wait(HEARTBEAT_S)
