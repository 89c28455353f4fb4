"""What a run is made of, and the runs that have a name."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tailrace.errors import UsageError

START_MIN: Final = datetime(2000, 1, 3, tzinfo=UTC)
Mix = tuple[tuple[str, float], ...]
"""Names of actions (`tailrace.workload.actions.ACTIONS`) with their weights."""

COMPANY: Final[Mix] = (
    ("post", 30), ("reply", 9), ("retry", 0.5), ("bot_post", 3), ("system_post", 0.5), ("edit", 3.2), ("delete", 1.2),
    ("restore", 0.3), ("pin", 0.5), ("unpin", 0.3), ("react", 16), ("unreact", 2), ("read", 13), ("mark_unread", 0.6),
    ("open_dm", 0.4), ("join_channel", 0.8), ("leave_channel", 0.5), ("rejoin_channel", 0.3), ("tune_channel", 0.4),
    ("create_channel", 0.12), ("change_channel", 0.4), ("archive_channel", 0.08), ("unarchive_channel", 0.08),
    ("delete_channel", 0.03), ("upload", 1.2), ("access_file", 2), ("share_file", 0.3), ("unshare_file", 0.2),
    ("delete_file", 0.15), ("activity", 5), ("session", 2), ("presence", 2), ("typing", 3), ("change_user", 0.3),
    ("swap_usernames", 0.03), ("suspend_user", 0.05), ("change_preferences", 0.2), ("change_member", 0.2),
    ("remove_member", 0.08), ("invite_back", 0.07), ("invite", 0.15), ("install_app", 0.06), ("change_app", 0.1),
    ("remove_app", 0.03), ("change_workspace", 0.05),
)  # fmt: skip
"""A company's day. Weights of actions, some of which bring several events: an upload its scan, a session its end."""

MESSAGES: Final[Mix] = (("post", 80), ("reply", 20))
MIXED: Final[Mix] = (
    ("post", 64), ("reply", 16), ("react", 11), ("unreact", 1), ("edit", 5), ("delete", 2),
    ("read", 0.6), ("pin", 0.1), ("restore", 0.1), ("join_channel", 0.1), ("leave_channel", 0.1),
)  # fmt: skip
"""Weights of events: each of these actions brings exactly one."""


_PEOPLE_MIN: Final = 3
_LIMITS: Final = {
    "events": (1, 10**10), "days": (1, 3_660), "workspaces": (1, 500), "users": (_PEOPLE_MIN, 100_000),
    "duplicates": (0, 0.5), "swapped": (0, 0.5), "late": (0, 0.5), "poison": (0, 1_000_000),
    "erasures": (0, 1_000), "deletions": (0, 500),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One run. The same profile gives the same bytes, on every machine.

    `events` counts different good events, the company's founding among them; duplicates and poison come on top.
    `start` is aware; the founding ends there, and the traffic fills the `days` after it. `duplicates`, `swapped` and
    `late` are shares of `events` (0 … 0.5), `poison` is a number of records. `erasures` users and `deletions`
    workspaces (never the last one) go for good in the second half. Raises `UsageError` for what cannot be made.
    """

    name: str
    start: datetime
    events: int = 50_000
    seed: int = 1
    days: int = 14
    workspaces: int = 3
    users: int = 90
    duplicates: float = 0.0
    swapped: float = 0.0
    late: float = 0.0
    poison: int = 0
    erasures: int = 0
    deletions: int = 0
    mix: Mix = COMPANY

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise UsageError("the start has no time zone", fix="write it as 2026-11-01T00:00:00Z")
        if self.start < START_MIN:
            raise UsageError(f"the log takes nothing from before 2000, so a run starts on {START_MIN.date()} or later")
        for field, (low, high) in _LIMITS.items():
            if not low <= getattr(self, field) <= high:
                raise UsageError(f"{field} must lie between {low:,} and {high:,}")
        if self.users < _PEOPLE_MIN * self.workspaces:
            raise UsageError(f"{self.workspaces} workspaces take {_PEOPLE_MIN * self.workspaces} users or more")

    @property
    def start_us(self) -> int:
        """The start in µs since 1970."""
        since = self.start - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


_ANY_START: Final = datetime(2026, 1, 5, tzinfo=UTC)
_NAMED: Final = {
    profile.name: profile
    for profile in (
        Profile(
            name="demo", start=_ANY_START, events=55_000, days=21, workspaces=4, users=120, duplicates=0.03,
            swapped=0.02, late=0.01, poison=30, erasures=2, deletions=1,
        ),
        Profile(name="steady", start=_ANY_START, erasures=1, deletions=1),
        Profile(name="messages", start=_ANY_START, events=1_000_000, workspaces=4, users=200, mix=MESSAGES),
        Profile(name="mixed", start=_ANY_START, events=1_000_000, workspaces=4, users=200, mix=MIXED),
    )
}  # fmt: skip
PROFILES: Final = tuple(_NAMED)
"""`demo` everything at once, `steady` a company without faults, `messages` and `mixed` for benchmarks."""


def named_profile(name: str, *, start: datetime | None = None, end: datetime | None = None, **changes: Any) -> Profile:
    """Take a profile by name and change some of its fields; a change that is None leaves the profile's own value.

    It starts at `start`, or so that its days end at `end`; one of the two is given. Where `events` is given and `users`
    is not, a short run gets a smaller company, so that the founding leaves room for traffic. Raises `UsageError` for an
    unknown name or a value that does not fit.
    """
    if name not in _NAMED:
        raise UsageError(f"there is no profile {name}", fix=f"one of {', '.join(PROFILES)}")
    profile = _NAMED[name]
    given = {field: value for field, value in changes.items() if value is not None}
    if "users" not in given:
        events = given.get("events", profile.events)
        workspaces = given.setdefault("workspaces", min(profile.workspaces, max(1, events // 500)))
        given["users"] = max(_PEOPLE_MIN * workspaces, min(profile.users, events // 40))
    if start is None:
        if end is None:
            raise UsageError("a run needs its start or its end")
        start = end - timedelta(days=given.get("days", profile.days))
    return replace(profile, start=start, **given)
