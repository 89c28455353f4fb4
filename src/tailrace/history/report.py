"""What an import found, what it made of it, and what it did not understand."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from tailrace.schemas.catalogue import PREFIX

UNREADABLE_LISTED_MAX: Final = 1_000
"""Unreadable files beyond this many are counted and not listed."""
KINDS_MAX: Final = 500
"""Kinds of oddities beyond this many are counted together as `other`: some are named by the export's own words."""
_COMPARED: Final = (
    ("teams", ("teams",), "workspace.created"),
    ("people and bots", ("users", "bots"), "user.registered"),
    ("deactivated accounts", ("deactivated",), "user.status_changed"),
    ("conversations", ("channels", "groups", "dms", "mpims"), "channel.created"),
    ("listed members", ("members",), None),
    ("joins", ("joins",), "channel_member.joined"),
    ("leaves", ("leaves",), "channel_member.left"),
    ("day files", ("day_files",), None),
    ("messages", ("messages",), "message.posted"),
    ("replies among them", ("replies",), None),
    ("threads", ("threads",), None),
    ("edits", ("edits",), "message.edited"),
    ("deleted messages", ("messages_deleted",), "message.deleted"),
    ("reactions", ("reactions",), "reaction.added"),
    ("pins", ("pins",), "message.pinned"),
    ("files", ("files",), "file.uploaded"),
    ("shares of files", ("file_shares",), "file.shared"),
    ("deleted files", ("files_deleted",), "file.deleted"),
)


@dataclass(slots=True)
class Oddity:
    """One kind of thing that was not understood or had to be assumed; `first` says where it was met first."""

    kind: str
    count: int
    first: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One file of the export of which nothing was imported."""

    file: str
    reason: str


@dataclass(slots=True)
class Report:
    """Counts of one import. It names files and the export's ids and times, never text or addresses of people."""

    found: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    oddities: dict[str, Oddity] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)
    unreadable_count: int = 0
    workspace: dict[str, str] = field(default_factory=dict)

    def saw(self, kind: str, count: int = 1) -> None:
        """Count something of the export."""
        self.found[kind] += count

    def made(self, type_: str) -> None:
        """Count an event."""
        self.events[type_] += 1

    def odd(self, kind: str, place: str, count: int = 1) -> None:
        """Count something that was not understood, or for which something had to be assumed."""
        if kind not in self.oddities and len(self.oddities) >= KINDS_MAX:
            kind = "other"
        oddity = self.oddities.get(kind)
        if oddity is None:
            self.oddities[kind] = Oddity(kind, count, place)
        else:
            oddity.count += count

    def cannot_read(self, file: str, reason: str) -> None:
        """Note a file that was left out, once."""
        self.unreadable_count += 1
        if len(self.unreadable) < UNREADABLE_LISTED_MAX:
            self.unreadable.append(Unreadable(file, reason))

    def compared(self) -> list[tuple[str, int, int | None]]:
        """Rows of label, count in the export, and count of the events made of it, None where none is meant to be.

        Events can be more: people who are in no list, and members whom the lists or only the messages tell of. They can
        be fewer: what was left out, which the oddities name. What this kind of export does not have is left out.
        """
        return [
            (label, sum(self.found[kind] for kind in kinds), None if name is None else self.events[PREFIX + name])
            for label, kinds, name in _COMPARED
            if any(kind in self.found for kind in kinds) or (name is not None and "teams" not in kinds)
        ]

    def document(self) -> dict[str, Any]:
        """Everything as one JSON object; kinds and types in alphabetical order."""
        return {
            "workspace": self.workspace,
            "found": dict(sorted(self.found.items())),
            "events": dict(sorted(self.events.items())),
            "events_total": self.events.total(),
            "not_understood": [asdict(self.oddities[kind]) for kind in sorted(self.oddities)],
            "unreadable": [asdict(entry) for entry in self.unreadable],
            "unreadable_total": self.unreadable_count,
        }
