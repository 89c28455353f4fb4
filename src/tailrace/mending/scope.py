"""Which rows a replay may touch: by workspace, channel, message, table, and by what a part of the log is about."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tailrace.addresses import resolve
from tailrace.archiving.archive import open_archive
from tailrace.errors import InvalidInputError
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.settings import Settings
from tailrace.verification.reading import TOPICS, Origin, RawRecord, read_records
from tailrace.verification.tables import DEAD_LETTERS, REDIS, SEARCH, chosen

ID_FIELDS: Final = ("message_id", "channel_id", "user_id", "file_id", "session_id", "workspace_id", "integration_id",
                    "invitation_id")  # fmt: skip
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
OWN_RUNTIME: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": ("message_ids", "thread_edges"),
    "message_files": ("tombstones",),
    "integrations": ("tombstones",),
    "files": ("file_accesses",),
    "workspace_members": ("last_seen",),
    "analytics.daily_active_users": ("day_members",),
    "analytics.message_analytics": ("hour_members",),
}
"""Tables of `runtime` that a table's rows cannot do without."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be touched; several conditions must all hold. Times are event times, aware UTC, `until` exclusive.

    `projections` are names as `tailrace verify` takes them, none: everything. `offsets` maps "topic/partition" (without
    prefix) to [first, end).
    """

    projections: tuple[str, ...] = ()
    workspace: str | None = None
    channel: str | None = None
    message: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    offsets: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def has_range(self) -> bool:
        """Whether it is bounded by a part of the log."""
        return bool(self.since or self.until or self.offsets)

    @property
    def relations(self) -> frozenset[str] | None:
        """Tables, as `schema.name` by their plain schemas; None for all of them."""
        if not self.projections or "postgres" in self.projections:
            return None
        found: set[str] = set()
        for name in chosen(self.projections) - {DEAD_LETTERS, *REDIS, *SEARCH}:
            found.add(name if "." in name else f"collab.{name}")
            found |= {f"runtime.{own}" for own in OWN_RUNTIME.get(name, ())}
        return frozenset(found | {"collab.messages_archive"} if "collab.messages" in found else found)

    @property
    def stores(self) -> tuple[str, ...]:
        """Comparisons of `tailrace verify` in the stores that follow the tables."""
        names = chosen(self.projections) if self.projections else frozenset((*REDIS, *SEARCH))
        if "postgres" in self.projections:
            names |= frozenset((*REDIS, *SEARCH))
        return tuple(name for name in (*REDIS, *SEARCH) if name in names)

    def document(self) -> dict[str, Any]:
        """As JSON, to be kept in a plan."""
        said = asdict(self)
        return {
            **said,
            "projections": list(self.projections),
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "offsets": {place: list(span) for place, span in self.offsets.items()},
        }

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "Scope":
        """From `document`."""
        return cls(
            tuple(said["projections"]),
            said["workspace"],
            said["channel"],
            said["message"],
            said["since"] and datetime.fromisoformat(said["since"]),
            said["until"] and datetime.fromisoformat(said["until"]),
            {place: (span[0], span[1]) for place, span in said["offsets"].items()},
        )


@dataclass(slots=True)
class Part:
    """A part of the log: how much there is of it, and what it is about, as values by the names of key columns."""

    records: int = 0
    bytes: int = 0
    by_partition: dict[str, int] = field(default_factory=dict)
    touched: dict[str, list[str]] = field(default_factory=dict)


def read_part(settings: Settings, scope: Scope) -> Part:
    """Read what the scope names of the log, archive included. Runs an event loop of its own.

    Raises what `read_records` raises.
    """
    part = Part()
    values: defaultdict[str, set[str]] = defaultdict(set)

    def take(topic: str, partition: int, records: Iterable[RawRecord]) -> None:
        place = f"{topic}/{partition}"
        for record in records:
            if not _is_in_offsets(scope, place, record.offset):
                continue
            event = decode(topic, record.key, record.value, _EPOCH + timedelta(milliseconds=record.timestamp))
            if isinstance(event, Event) and _is_in_time(scope, event) and _is_in_scope(scope, event.data):
                part.records += 1
                part.bytes += len(record.key or b"") + len(record.value or b"")
                part.by_partition[place] = part.by_partition.get(place, 0) + 1
                _touch(values, event)

    origin = Origin(archive=open_archive(settings))
    asyncio.run(read_records(settings, resolve(settings).kafka, TOPICS, take, origin=origin))
    part.touched = {name: sorted(found) for name, found in values.items()}
    return part


def _is_in_offsets(scope: Scope, place: str, offset: int) -> bool:
    if not scope.offsets:
        return True
    first, end = scope.offsets.get(place, (0, 0))
    return first <= offset < end


def _is_in_time(scope: Scope, event: Event) -> bool:
    """By when it happened; a message also by when it was written, which of an imported one is another time."""
    times = (event.time, event.data["created_at"]) if event.type == "collab.message.posted" else (event.time,)
    return any((scope.since is None or at >= scope.since) and (scope.until is None or at < scope.until) for at in times)


def _is_in_scope(scope: Scope, data: Mapping[str, Any]) -> bool:
    conditions = ((scope.workspace, "workspace_id"), (scope.channel, "channel_id"), (scope.message, "message_id"))
    # What names no workspace (a user, the end of a session) may belong to any.
    return all(wanted is None or data.get(name, wanted) == wanted for wanted, name in conditions)


def _touch(values: defaultdict[str, set[str]], event: Event) -> None:
    for name in ID_FIELDS:
        if event.data.get(name):
            values[name].add(event.data[name])
    if event.data.get("uploader_id"):
        values["user_id"].add(event.data["uploader_id"])
    if event.data.get("thread_id"):
        values["message_id"].add(event.data["thread_id"])
    values["event_id"].add(event.id)
    values["date"].add(event.time.date().isoformat())
    values["hour"].add(event.time.replace(minute=0, second=0, microsecond=0).isoformat())


def offsets_of(text: str) -> dict[str, tuple[int, int]]:
    """Read JSON like {"conversations/3": [1200, 1500]}, ends exclusive. Raises `InvalidInputError`."""
    try:
        said = json.loads(text)
        return {str(place): (int(span[0]), int(span[1])) for place, span in said.items()}
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidInputError('expected {"TOPIC/PARTITION": [FIRST, END], …}', fix="see docs/operators.md") from error
