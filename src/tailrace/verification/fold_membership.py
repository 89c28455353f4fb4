"""What ends things from outside (rule D), and memberships: their own events weighed against those endings."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from tailrace.schemas.event import Event
from tailrace.verification.fold_log import Log, Subject, by_fields, latest, newest_time, time_of


class Endings:
    """Erasures, workspace deletions and removals from workspaces: they win wherever they stand in the log (32, 35)."""

    def __init__(self, log: Log) -> None:
        self._erased = {user: time_of(s.last("user.erased")) for (user,), s in _about(log, "user.erased", "user_id")}
        self._deleted = {
            workspace: time_of(s.last("workspace.deleted"))
            for (workspace,), s in _about(log, "workspace.deleted", "workspace_id")
        }
        self._memberships = log.subjects(
            "workspace_member.joined",
            "workspace_member.updated",
            "workspace_member.left",
            by=by_fields("workspace_id", "user_id"),
        )

    def erased_at(self, user_id: str) -> datetime | None:
        """When the user was erased; None if never."""
        return self._erased.get(user_id)

    @property
    def erased(self) -> Collection[str]:
        """Users who were erased."""
        return self._erased.keys()

    def deleted_at(self, workspace_id: str) -> datetime | None:
        """When the workspace was deleted; None if never."""
        return self._deleted.get(workspace_id)

    def removed_at(self, workspace_id: str, user_id: str, began: datetime) -> datetime | None:
        """When a channel membership that began then was ended by a removal from the workspace; None if it was not.

        An unknown workspace membership ends nothing (6). The last removal is the highest-sequence `left`, and a
        channel membership that outlives it must have begun strictly later (7).
        """
        events = self._memberships.get((workspace_id, user_id))
        removal = events.last("workspace_member.left") if events else None
        if events is None or removal is None:
            return None
        is_out = events.last("workspace_member.joined", "workspace_member.updated", "workspace_member.left") is removal
        return removal.time if is_out or began <= removal.time else None


def _about(log: Log, name: str, field: str) -> Iterable[tuple[tuple[str], Subject]]:
    return log.subjects(name, by=lambda event: (str(event.data[field]),)).items()


@dataclass(frozen=True, slots=True)
class Membership:
    """What the events of one membership say by themselves (ruling 1).

    `profile` is the highest `joined` or `updated` and gives role, title, mute …; whether the membership is active comes
    from the highest event of all three kinds, and `own_left_at` is that event's time where it is a `left`.
    """

    profile: Event | None
    winner: Event
    joined_at: datetime
    own_left_at: datetime | None
    updated_at: datetime | None


def membership(joined: list[Event], updated: list[Event], left: list[Event]) -> Membership | None:
    """Evaluate one membership's events; None while no event of the three kinds has been seen."""
    winner = latest([*joined, *updated, *left])
    if winner is None:
        return None
    join, profile = latest(joined), latest([*joined, *updated])
    return Membership(
        profile=profile,
        winner=winner,
        joined_at=(join or winner).time,
        own_left_at=winner.time if winner.type.endswith(".left") else None,
        updated_at=newest_time(join, profile, winner),
    )
