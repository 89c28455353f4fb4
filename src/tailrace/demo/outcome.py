"""What the demo found: the facts, and the document that `-o json` prints."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tailrace.demo.derived import Derived
from tailrace.demo.interruption import Interruption
from tailrace.demo.scene import Scene
from tailrace.demo.traffic import Traffic
from tailrace.verification.verify import Verification
from tailrace.workload import Published


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Unresolved dead letters of one code: those of this run, all there are, and one reason as an example."""

    code: str
    new: int
    total: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything there is to tell.

    `seconds` are those of the steps, by name, in order; `records_before` is what the log had ever held when the demo
    began; `servers` are versions by name, None where one does not answer.
    """

    traffic: Traffic
    records_before: int
    servers: dict[str, str | None]
    published: Published
    scene: Scene
    interruption: Interruption
    verification: Verification
    dead_letters: tuple[DeadLetters, ...]
    parked: int
    derived: Derived
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def differences(self) -> int:
        """What verification found; 0 is what the demo is about."""
        return self.verification.differences

    @property
    def rows(self) -> int:
        """Rows compared."""
        return sum(report.checked for report in self.verification.reports.values())

    def document(self) -> dict[str, Any]:
        """Give the facts as JSON values: counts in records, rates in records a second, times in seconds."""
        cut = self.interruption
        return {
            "differences": self.differences,
            "servers": self.servers,
            "records_before": self.records_before,
            "traffic": self.traffic.document(),
            "published": {"records": self.published.records, "per_second": round(self.published.rate)},
            "applied": {"records": self.scene.applied, "per_second_max": round(self.scene.applied_rate_max)},
            "worker": {
                "killed_at_published": cut.killed_at_published,
                "killed_at_applied": cut.killed_at_applied,
                "back_after_s": _rounded(cut.back_after_s),
                "waited_when_back": cut.waited_when_back,
                "caught_up_after_s": _rounded(cut.caught_up_after_s),
            },
            "tables": {
                name: {"checked": report.checked, "differences": report.count}
                for name, report in self.verification.reports.items()
            },
            "dead_letters": {
                letters.code: {"new": letters.new, "total": letters.total, "reason": letters.reason}
                for letters in self.dead_letters
            },
            "dead_letters_expected": self.traffic.refusals(),
            "parked": self.parked,
            "notifications": {one.kind: asdict(one) for one in self.derived.notified},
            "hottest": [asdict(one) for one in self.derived.hottest],
            "seconds": {name: round(took, 3) for name, took in self.seconds.items()},
        }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
