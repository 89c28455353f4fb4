"""When refusing stops being right: the worker ends instead of draining the topic into the dead letters."""

import pytest

from tailrace.consumers.errors import TooManyRefusedError
from tailrace.consumers.faults import Fault
from tailrace.consumers.guard import RefusalGuard
from tailrace.schemas.refusals import RefusalCode
from tailrace.settings import WorkerSettings

FAULT = Fault(RefusalCode.E_PROJECTION, "KeyError at projections/messages.py:1")


def guard(*, run: int = 3, share: float = 1, window: int = 1_000) -> RefusalGuard:
    return RefusalGuard(
        WorkerSettings(dead_letter_run_max=run, dead_letter_share_max=share, dead_letter_window_events=window)
    )


def refuse(guard: RefusalGuard, events: int) -> None:
    for _ in range(events):
        guard.refused(FAULT)


def alternate(guard: RefusalGuard, times: int) -> None:
    for _ in range(times):
        guard.refused(FAULT)
        guard.accepted(1)


def test_a_run_up_to_the_limit_is_borne_and_one_more_is_not():
    it = guard(run=3)
    refuse(it, 3)
    with pytest.raises(TooManyRefusedError, match=r"4 events in a row .*KeyError at projections/messages\.py:1"):
        refuse(it, 1)


def test_one_event_that_is_applied_ends_the_run():
    it = guard(run=3)
    for _ in range(5):
        refuse(it, 3)
        it.accepted(1)


def test_a_batch_without_events_ends_no_run():
    it = guard(run=3)
    refuse(it, 3)
    it.accepted(0)
    with pytest.raises(TooManyRefusedError):
        refuse(it, 1)


def test_a_share_of_the_last_events_is_too_much_though_never_in_a_row():
    it = guard(share=0.1, window=100)
    with pytest.raises(TooManyRefusedError, match="11 of the last 100 events"):
        alternate(it, 20)


def test_what_left_the_window_counts_no_more():
    it = guard(share=0.1, window=100)
    for _ in range(50):
        refuse(it, 1)
        it.accepted(9)


def test_a_trial_counts_only_when_it_is_adopted():
    it = guard(run=3)
    trial = it.trial()
    refuse(trial, 3)
    refuse(it, 3)
    it.adopt(trial)
    with pytest.raises(TooManyRefusedError):
        refuse(it, 1)
