"""Watch a job from outside until it ends."""

import time
from collections.abc import Callable
from typing import Final

from tailrace.operations.jobs import Job, jobs
from tailrace.settings import Settings

POLL_S: Final = 0.5


def follow(settings: Settings, job_id: str, timeout_s: float, watch: Callable[[Job], None]) -> Job:
    """The job when it has ended or was paused, or after `timeout_s`; `watch` is told whenever it moved.

    Raises `NotFoundError` for a job that there is none of.
    """
    deadline = time.monotonic() + timeout_s
    seen: object = None
    with jobs(settings) as desk:
        while True:
            job = desk.get_job(job_id)
            now = (job.state, job.asked, job.progress.get("done"))
            if now != seen:
                watch(job)
            seen = now
            if job.state not in {"waiting", "running"} or time.monotonic() >= deadline:
                return job
            time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))
