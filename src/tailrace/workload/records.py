"""What the generator gives out, and the count of it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

CONTENT_TYPE: Final = (("content-type", b"application/cloudevents+json"),)

Headers = tuple[tuple[str, bytes], ...]


class Generated(NamedTuple):
    """One record in the order of publication.

    `topic` is the name without prefix, `value` the event in CloudEvents' structured JSON mode (None: a null value),
    `type` the event's type (None where the record is no readable event). `fault` is None, "duplicate", "swapped",
    "late" or "poison"; a poison record has its class and what has to become of it in `poison` and `expected`, see
    `poison.py`.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    type: str | None
    headers: Headers = CONTENT_TYPE
    fault: str | None = None
    poison: str | None = None
    expected: str | None = None


@dataclass(slots=True)
class Summary:
    """Counts of what was made; filled while the records are taken.

    `types` counts events once each, without duplicates and poison. `poison` counts records by (class, outcome), where
    the outcome is a refusal code, "accepted" or "ignored". `bytes` is keys and values.
    """

    records: int = 0
    bytes: int = 0
    types: Counter[str] = field(default_factory=Counter)
    topics: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    poison: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def events(self) -> int:
        """Different good events, poison that is accepted not among them."""
        return self.types.total()

    @property
    def refusals(self) -> dict[str, int]:
        """How many records must be refused, by code."""
        codes: Counter[str] = Counter()
        for (_, outcome), count in self.poison.items():
            if outcome.startswith("E_"):
                codes[outcome] += count
        return dict(sorted(codes.items()))

    def add(self, record: Generated) -> None:
        """Count one record."""
        self.records += 1
        self.bytes += len(record.key or b"") + len(record.value or b"")
        self.topics[record.topic] += 1
        fault = record.fault
        if fault is not None:
            self.faults[fault] += 1
            if fault == "poison":
                self.poison[record.poison or "", record.expected or ""] += 1
        if fault not in {"poison", "duplicate"} and record.type is not None:
            self.types[record.type] += 1

    def as_document(self) -> dict[str, Any]:
        """Everything counted, ready for JSON."""
        return {
            "records": self.records,
            "events": self.events,
            "bytes": self.bytes,
            "topics": dict(sorted(self.topics.items())),
            "types": dict(sorted(self.types.items())),
            "duplicates": self.faults["duplicate"],
            "swapped": self.faults["swapped"],
            "late": self.faults["late"],
            "poison": [
                {"class": name, "expected": outcome, "records": count}
                for (name, outcome), count in sorted(self.poison.items())
            ],
            "refusals": self.refusals,
        }
