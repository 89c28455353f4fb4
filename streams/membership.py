"""Who was a member of what, when, and how loudly they wanted to hear of it.

Everything is kept with its event time, so that a message is judged by what held when it happened, also when it is
read again years later. What a late event says about a moment that was judged already is not taken back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from tailrace.schemas.event import Event


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a membership: `level` is None where it left."""

    order: tuple[int, str]
    time: datetime
    joined: bool
    level: str | None
    muted: bool = False
    muted_until: datetime | None = None

    @property
    def active(self) -> bool:
        """The member is one from here on."""
        return self.level is not None

    def silences(self, kind_is_reply: bool, at: datetime) -> bool:  # noqa: FBT001 - the one question there is
        """Whether nothing is raised: level `none`, a mute at that time, or `mentions` for a mere reply (ruling 87)."""
        is_muted = self.muted and (self.muted_until is None or self.muted_until > at)
        return is_muted or self.level == "none" or (kind_is_reply and self.level == "mentions")


@dataclass(slots=True)
class Membership:
    """The changes of one member, as far as they are known."""

    changes: list[Change] = field(default_factory=list)

    def add(self, change: Change) -> None:
        """Take a change; the same event again is none."""
        if all(change.order != known.order for known in self.changes):
            self.changes.append(change)

    def standing(self, at: datetime) -> Change | None:
        """The settings that held at that time; None for whoever was no active member then."""
        newest = _newest(change for change in self.changes if change.time <= at)
        return newest if newest is not None and newest.active else None

    def began(self, at: datetime) -> datetime | None:
        """When it began, as of that time: the newest join, else the newest change (ruling 1)."""
        known = [change for change in self.changes if change.time <= at]
        newest = _newest(change for change in known if change.joined) or _newest(known)
        return None if newest is None else newest.time

    def removed(self, at: datetime) -> datetime | None:
        """When it last ended, as of that time (ruling 7)."""
        newest = _newest(change for change in self.changes if change.time <= at and not change.active)
        return None if newest is None else newest.time


def _newest(changes: Iterable[Change]) -> Change | None:
    return max(changes, key=lambda change: change.order, default=None)


def change_of(event: Event) -> Change:
    """The change that a membership event of a channel or a workspace makes."""
    data = event.data
    left = event.type.endswith(".left")
    return Change(
        order=(event.sequence, event.id),
        time=event.time,
        joined=event.type.endswith(".joined"),
        level=None if left else data.get("notification_level", "all"),
        muted=bool(data.get("muted")),
        muted_until=data.get("muted_until"),
    )
