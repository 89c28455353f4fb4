"""Long jobs: opened once, done by one, paused, resumed, taken over and ended."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tailrace.errors import NotFoundError, PreconditionError
from tailrace.operations import jobs as module
from tailrace.operations.jobs import Job, JobCancelled, JobLost, JobOpenError, JobPaused, Jobs, Progress, jobs
from tailrace.settings import Settings


@pytest.fixture
def desk(desk_settings: Settings) -> Iterator[Jobs]:
    with jobs(desk_settings) as opened:
        yield opened
        opened.conn.execute("DELETE FROM runtime.jobs")


def opened(desk: Jobs, target: str = "postgres") -> Job:
    return desk.open_job("rebuild", target, {"version": 2}, "ana", "new columns")


def fall_silent(desk: Jobs, job: Job) -> None:
    desk.conn.execute("UPDATE runtime.jobs SET heartbeat_at = now() - interval '31 seconds'")
    assert module.LEASE_S < 31


def test_two_people_who_start_the_same_job_get_one_and_one_of_them_does_it(desk_settings: Settings, desk: Jobs):
    def start(owner: str) -> tuple[str, bool]:
        with jobs(desk_settings) as own:
            job = opened(own)
            return job.job_id, own.claim(job.job_id, owner)

    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(start, [f"owner{n}" for n in range(8)]))

    assert len({job_id for job_id, _ in started}) == 1
    assert sum(is_mine for _, is_mine in started) == 1


def test_another_spec_of_an_open_job_is_refused_with_the_open_one(desk: Jobs):
    job = opened(desk)

    with pytest.raises(JobOpenError) as refused:
        desk.open_job("rebuild", "postgres", {"version": 3}, "bo", "other columns")

    assert refused.value.job == job
    assert opened(desk, "redis").job_id != job.job_id


def test_a_heartbeat_shows_how_far_it_is(desk: Jobs):
    job = opened(desk)
    assert desk.claim(job.job_id, "one")

    desk.heartbeat(job.job_id, "one", Progress(500, 2_000, "records", 100.0, {"offset": 7}))

    seen = desk.get_job(job.job_id.split("-", maxsplit=1)[0].lstrip("0"))
    assert (seen.state, seen.owner, seen.ratio, seen.eta_s) == ("running", "one", 0.25, 15.0)
    assert seen.progress["at"] == {"offset": 7}


@pytest.mark.parametrize(
    ("what", "raised", "state"), [("pause", JobPaused, "paused"), ("cancel", JobCancelled, "cancelled")]
)
def test_what_is_asked_of_a_job_happens_at_its_next_safe_point(desk: Jobs, what, raised, state):
    job = opened(desk)
    desk.claim(job.job_id, "one")
    asked = desk.ask(job.job_id, what, "bo")
    assert (asked.state, asked.asked) == ("running", what)

    with pytest.raises(raised), desk.doing(job.job_id, "one"):
        desk.heartbeat(job.job_id, "one", Progress(5))

    found = desk.get_job(job.job_id)
    assert (found.state, found.owner, found.asked, found.progress["done"]) == (state, None, None, 5)
    assert f"{what} asked for by bo" in [line["text"] for line in found.log]


@pytest.mark.parametrize(("what", "state"), [("pause", "paused"), ("cancel", "cancelled")])
def test_what_is_asked_of_a_job_nobody_is_at_happens_at_once(desk: Jobs, what, state):
    waiting, left = opened(desk), opened(desk, "redis")
    desk.claim(left.job_id, "one")
    fall_silent(desk, left)

    assert desk.ask(waiting.job_id, what, "bo").state == state
    assert desk.ask(left.job_id, what, "bo").state == state


def test_a_silent_owner_is_replaced_and_finds_out(desk: Jobs):
    job = opened(desk)
    desk.claim(job.job_id, "one")
    assert not desk.claim(job.job_id, "two")
    fall_silent(desk, job)

    assert desk.resume(job.job_id, "bo").job_id == job.job_id
    assert desk.claim(job.job_id, "two")

    with pytest.raises(JobLost):
        desk.heartbeat(job.job_id, "one", Progress(1))
    with pytest.raises(JobLost):
        desk.finish(job.job_id, "one", {})
    desk.release(job.job_id, "one")
    assert desk.get_job(job.job_id).owner == "two"


def test_the_end_of_a_job_is_written_whatever_it_is(desk: Jobs):
    job = opened(desk)
    desk.claim(job.job_id, "one")
    with pytest.raises(KeyboardInterrupt), desk.doing(job.job_id, "one"):
        raise KeyboardInterrupt
    assert desk.get_job(job.job_id).state == "paused"

    desk.resume(job.job_id, "ana")
    desk.claim(job.job_id, "two")
    with pytest.raises(ZeroDivisionError), desk.doing(job.job_id, "two"):
        _ = 1 / 0
    failed = desk.get_job(job.job_id)
    assert (failed.state, failed.error, failed.is_open) == ("failed", "ZeroDivisionError: division by zero", False)

    assert desk.resume(job.job_id, "ana").state == "waiting"
    desk.claim(job.job_id, "two")
    with desk.doing(job.job_id, "two") as outcome:
        outcome["rows"] = 12
    done = desk.get_job(job.job_id)
    assert (done.state, done.outcome, done.error, done.ratio) == ("done", {"rows": 12}, None, 1.0)
    assert done.finished_at is not None
    for refused in (lambda: desk.resume(job.job_id, "ana"), lambda: desk.ask(job.job_id, "pause", "ana")):
        with pytest.raises(PreconditionError, match="is done"):
            refused()


def test_a_failed_job_does_not_come_back_beside_its_successor(desk: Jobs):
    job = opened(desk)
    desk.claim(job.job_id, "one")
    desk.finish(job.job_id, "one", error="disk full")
    successor = opened(desk)

    with pytest.raises(JobOpenError) as refused:
        desk.resume(job.job_id, "ana")

    assert refused.value.job.job_id == successor.job_id


def test_the_log_of_a_job_is_bounded(desk: Jobs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LOG_LINES_MAX", 3)
    job = opened(desk)
    for number in range(6):
        desk.note(job.job_id, f"line {number}")

    assert [line["text"] for line in desk.get_job(job.job_id).log] == ["line 3", "line 4", "line 5"]


def test_jobs_are_listed_newest_first(desk: Jobs):
    first, second = opened(desk), opened(desk, "redis")
    desk.ask(first.job_id, "cancel", "bo")

    assert [job.job_id for job in desk.list_jobs()] == [second.job_id, first.job_id]
    assert [job.job_id for job in desk.list_jobs(kind="rebuild", only_open=True)] == [second.job_id]
    with pytest.raises(NotFoundError):
        desk.get_job("99999")
