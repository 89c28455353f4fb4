"""Whether events can be taken now."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from tailrace.addresses import resolve
from tailrace.errors import TailraceError, UnreachableError
from tailrace.operations.topics import topic_partitions
from tailrace.schemas.catalogue import EVENT_TYPES
from tailrace.settings import Settings

FRESH_S: Final = 2.0
"""An answer is given again for so long: a probe must not become a load."""


@dataclass(frozen=True, slots=True)
class Health:
    """One dependency: `latency_ms` None where it did not answer, `reason` None where all is well."""

    name: str
    ok: bool
    latency_ms: float | None
    critical: bool
    reason: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        values = asdict(self)
        return {"status": "ok" if values.pop("ok") else "failed", **values}


Probe = Callable[[], Awaitable[Health]]


def log_probe(settings: Settings, clock: Callable[[], float] = time.monotonic) -> Probe:
    """Give the check that a broker answers and has every topic that events go to; `clock` counts seconds."""
    topics = {event.topic for event in EVENT_TYPES.values()}
    last: tuple[float, Health] | None = None

    async def probe() -> Health:
        nonlocal last
        begun = clock()
        if last and begun - last[0] < FRESH_S:
            return last[1]
        try:
            await topic_partitions(settings, resolve(settings).kafka, topics)
        except TailraceError as error:
            # Not its text, which holds addresses: anybody may ask.
            reason = "no broker answers" if isinstance(error, UnreachableError) else "topics are missing"
            health = Health("kafka", ok=False, latency_ms=None, critical=True, reason=reason)
        else:
            health = Health("kafka", ok=True, latency_ms=round((clock() - begun) * 1_000, 1), critical=True)
        last = (clock(), health)
        return health

    return probe
