"""When a worker must stop refusing: a program or a store that fails on everything would drain the topic."""

from collections import deque
from copy import copy

from tailrace.consumers.errors import TooManyRefusedError
from tailrace.consumers.faults import Fault
from tailrace.settings import WorkerSettings


class RefusalGuard:
    """Counts the events that were refused by faults of ours, in a row and among the last ones.

    What the contract refuses is not counted: that is the producers' fault, however much of it comes.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._run_max = settings.dead_letter_run_max
        self._window = settings.dead_letter_window_events
        self._refused_max = int(settings.dead_letter_share_max * settings.dead_letter_window_events)
        self._run = 0
        self._seen = 0
        self._refused: deque[int] = deque()

    def trial(self) -> "RefusalGuard":
        """A copy that counts what may still be rolled back."""
        trial = copy(self)
        trial._refused = self._refused.copy()  # noqa: SLF001 - of the same class
        return trial

    def adopt(self, trial: "RefusalGuard") -> None:
        """Take over what a trial has counted."""
        self._run, self._seen, self._refused = trial._run, trial._seen, trial._refused  # noqa: SLF001 - of the same class

    def accepted(self, events: int) -> None:
        """So many events were applied."""
        if events:
            self._run = 0
            self._seen += events

    def refused(self, fault: Fault) -> None:
        """One event was refused. Raises `TooManyRefusedError` when this can be no bad event any more."""
        self._run += 1
        self._seen += 1
        self._refused.append(self._seen)
        while self._refused[0] <= self._seen - self._window:
            self._refused.popleft()
        if self._run > self._run_max:
            raise TooManyRefusedError(f"{self._run} events in a row", fault.reason)
        if len(self._refused) > self._refused_max:
            raise TooManyRefusedError(f"{len(self._refused)} of the last {self._window} events", fault.reason)
