"""A rebuild as a job: one at a time, taken up again after a crash, its progress written down while it runs."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog

from tailrace.errors import PreconditionError, TailraceError
from tailrace.operations.jobs import HEARTBEAT_S, JobCancelled, JobLost, JobPaused, Jobs, Progress, jobs, process_owner
from tailrace.rebuilding.rebuild import Request, Step, Watch
from tailrace.settings import Settings

log = structlog.get_logger()

KIND: Final = "rebuild"
TARGET: Final = "everything"


class _Pulse:
    """Says that the owner lives, from a thread of its own: some steps (an index) take longer than a lease."""

    def __init__(self, settings: Settings, job_id: str, owner: str) -> None:
        self._settings = settings
        self._job_id = job_id
        self._owner = owner
        self._step = Step("beginning")
        self._ended = threading.Event()
        self._asked: PreconditionError | None = None
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self.note

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(HEARTBEAT_S * 5)

    def note(self, step: Step) -> None:
        """Remember how far it is. Raises what somebody asked for: `JobPaused`, `JobCancelled`, `JobLost`."""
        self._step = step
        if self._asked is not None:
            raise self._asked

    def _beat(self) -> None:
        while not self._ended.is_set() and self._asked is None:
            try:
                with jobs(self._settings) as desk:
                    while not self._ended.wait(HEARTBEAT_S):
                        desk.heartbeat(self._job_id, self._owner, _progress(self._step))
            except (JobPaused, JobCancelled, JobLost) as error:
                self._asked = error
            except TailraceError as error:  # the server is away: so is everything else that the rebuild needs
                log.warning("heartbeat_failed", error=type(error).__name__)
                self._ended.wait(HEARTBEAT_S)


def _progress(step: Step) -> Progress:
    return Progress(step.done, step.total, step.unit, step.rate, {"step": step.name})


@contextmanager
def as_job(settings: Settings, request: Request) -> Iterator[tuple[str, Watch, dict[str, Any]]]:
    """Do a rebuild, a switch or a rollback as the one job there may be: (id, what to tell about progress, outcome).

    Raises `PreconditionError` where somebody else is at it. The job of a process of this machine that is gone is taken
    up at once, without waiting for its lease to end.
    """
    owner = process_owner()
    with jobs(settings) as desk:
        job = desk.open_job(KIND, TARGET, {}, request.actor, request.reason)
        if job.state == "paused":
            job = desk.resume(job.job_id, request.actor)
        if job.owner is not None and is_gone(job.owner):
            desk.release(job.job_id, job.owner, "waiting")
        if not desk.claim(job.job_id, owner):
            raise PreconditionError(
                f"{job.job_id} is being done by {job.owner}", fix=f"tailrace jobs follow {job.job_id}"
            )
        with _doing(desk, job.job_id, owner) as outcome, _Pulse(settings, job.job_id, owner) as watch:
            yield job.job_id, watch, outcome


@contextmanager
def _doing(desk: Jobs, job_id: str, owner: str) -> Iterator[dict[str, Any]]:
    with desk.doing(job_id, owner) as outcome:
        yield outcome


def is_gone(owner: str) -> bool:
    """Whether the owner was a process of this machine that is not there any more."""
    host, _, number = owner.rpartition(":")
    if host != process_owner().rpartition(":")[0] or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
