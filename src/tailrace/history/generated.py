"""What an importer makes: events of the contract, with ids and sequences that depend on the export alone."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from tailrace.history.report import Report
from tailrace.producer.clock import LOGICAL_BITS
from tailrace.schemas.catalogue import PREFIX, key_of, topic_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Generated:
    """One event, ready to publish.

    `event` is a whole CloudEvent in JSON structured mode (contract section 1), `topic` the topic's name without its
    prefix, `key` the text of the record's key.
    """

    topic: str
    key: str
    event: dict[str, Any]


class Moment(NamedTuple):
    """When something happened: `us` microseconds since 1970 (UTC), `step` its place among things of one microsecond."""

    us: int
    step: int = 0

    @property
    def time(self) -> str:
        """RFC 3339, UTC, microseconds."""
        return rfc3339(self.us)

    @property
    def sequence(self) -> int:
        """The `sequence` of an event of this moment.

        It has the scale of the SDK's hybrid clock, so that what happens to an imported message later, live, is newer
        than everything that was imported about it, and a later export of the same history is too.
        """
        return (self.us << LOGICAL_BITS) + self.step

    def then(self, us: int) -> "Moment":
        """The first moment at or after `us` that is later than this one."""
        return Moment(us) if us > self.us else Moment(self.us, self.step + 1)


def rfc3339(us: int) -> str:
    """Text of a time given in microseconds since 1970, UTC."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class EventWriter:
    """Puts envelopes around data and counts them. `namespace` is that of the imported workspace's UUIDv5s."""

    namespace: UUID
    workspace_id: str
    source: str
    report: Report

    def write(self, name: str, subject: str, at: Moment, data: dict[str, Any], *, tag: str | None = None) -> Generated:
        """Make one event; `name` is the type without `collab.`.

        The id is a UUIDv5 of type, subject and `tag` (by default the sequence): an import of the same export makes the
        same ids. Fields of `data` that are None are left out.
        """
        sequence = str(at.sequence)
        type_ = PREFIX + name
        data = {field: value for field, value in data.items() if value is not None}
        event = {
            "specversion": "1.0",
            "id": str(uuid5(self.namespace, f"event:{type_}:{subject}:{sequence if tag is None else tag}")),
            "type": type_,
            "source": self.source,
            "subject": subject,
            "time": at.time,
            "sequence": sequence,
            "data": data,
        }
        if "workspace_id" in data:
            event["workspaceid"] = data["workspace_id"]
        self.report.made(type_)
        return Generated(topic_of(type_), key_of(type_, data), event)
