"""Bounds of one producer."""

from dataclasses import dataclass
from pathlib import Path

from tailrace.producer.clock import DRIFT_MAX_S


@dataclass(frozen=True, slots=True)
class ProducerOptions:
    """Every wait, queue and batch of a producer has its bound here; the defaults suit a service and a bulk load alike.

    `delivery_timeout_s` runs from the call of `publish` to its result and includes waiting for room in the buffer.
    A single event may be larger than `batch_max_bytes`: it then travels alone. `clock_state` is a file that carries the
    clock of `sequence` over restarts, one per producer process; without it the wall clock alone does.
    """

    delivery_timeout_s: float = 30.0
    connect_timeout_s: float = 10.0
    request_timeout_s: float = 8.0
    close_timeout_s: float = 30.0
    discard_timeout_s: float = 2.0
    reconnect_wait_min_s: float = 0.1
    reconnect_wait_max_s: float = 2.0
    metadata_max_age_s: float = 60.0
    in_flight_max_events: int = 10_000
    in_flight_max_bytes: int = 32 * 2**20
    batch_max_events: int = 1_000
    batch_max_bytes: int = 256 * 2**10
    clock_state: Path | None = None
    clock_drift_max_s: float = DRIFT_MAX_S

    @property
    def answer_timeout_s(self) -> float:
        """A connection that owes an answer for so long is discarded; half of an event's time is left for the next."""
        return self.delivery_timeout_s / 2
