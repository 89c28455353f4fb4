"""Who and what there is: people, workspaces, channels, and the messages and files that are still in somebody's mind.

Memory is bounded: a channel remembers some recent and some old messages, a workspace some files. What is forgotten
stays in the log, it is only not referred to any more.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from tailrace.workload.agenda import Agenda
from tailrace.workload.dice import Dice
from tailrace.workload.profiles import Profile
from tailrace.workload.vocabulary import Texts, vocabulary
from tailrace.workload.writer import Writer

RECENT_MAX: Final = 40
OLDER_MAX: Final = 16
THREADS_MAX: Final = 24
TRASH_MAX: Final = 8
REACTIONS_MAX: Final = 12
FORMER_MAX: Final = 16
FILES_MAX: Final = 64
APPS_MAX: Final = 12
DM_SHARE: Final = 0.15


@dataclass(slots=True, eq=False)
class User:
    """A person, or the account of an app."""

    id: str
    email: str
    username: str
    display_name: str
    timezone: str
    language: str
    title: str | None = None
    phone: str | None = None
    bio: str | None = None
    pronouns: str | None = None
    avatar_url: str | None = None
    erased: bool = False
    earlier_name: str | None = None

    def profile(self) -> dict[str, Any]:
        """`data` of user.registered and user.updated: the whole register."""
        optional = {
            "avatar_url": self.avatar_url,
            "title": self.title,
            "phone": self.phone,
            "bio": self.bio,
            "pronouns": self.pronouns,
        }
        return {
            "user_id": self.id,
            "email": self.email,
            "username": self.username,
            "display_name": self.display_name,
            "timezone": self.timezone,
            "language": self.language,
            **{name: value for name, value in optional.items() if value is not None},
        }


@dataclass(slots=True, eq=False)
class Message:
    """A message that may still be answered, reacted to, edited, pinned or deleted."""

    id: str
    created_at: str
    created_us: int
    author: User
    content: str
    root_id: str | None = None
    client_id: str | None = None
    alias: tuple[str, str] | None = None
    deleted: bool = False
    pinned: bool = False
    reactions: list[tuple[User, str]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Channel:
    """A channel with its active members (the most talkative first) and what is remembered of it."""

    id: str
    workspace: "Workspace"
    name: str
    channel_type: str
    created_by: User
    is_general: bool = False
    topic: str | None = None
    purpose: str | None = None
    members: list[User] = field(default_factory=list)
    joined: set[str] = field(default_factory=set)
    former: deque[User] = field(default_factory=lambda: deque(maxlen=FORMER_MAX))
    recent: deque[Message] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))
    older: list[Message] = field(default_factory=list)
    threads: deque[Message] = field(default_factory=lambda: deque(maxlen=THREADS_MAX))
    trash: deque[Message] = field(default_factory=lambda: deque(maxlen=TRASH_MAX))
    pins: deque[Message] = field(default_factory=lambda: deque(maxlen=TRASH_MAX))

    def profile(self) -> dict[str, Any]:
        """`data` of channel.created and channel.updated: the whole register."""
        data = {
            "channel_id": self.id,
            "workspace_id": self.workspace.id,
            "name": self.name,
            "display_name": self.name.replace("-", " ").title(),
            "channel_type": self.channel_type,
            "is_general": self.is_general,
            "allow_threads": True,
            "allow_file_upload": True,
            "allow_external_sharing": self.channel_type == "public",
            "created_by": self.created_by.id,
        }
        if self.topic:
            data["topic"] = self.topic
        if self.purpose:
            data |= {"purpose": self.purpose, "description": self.purpose, "retention_policy": {"days": 365}}
        return data


@dataclass(slots=True, eq=False)
class File:
    """A file that may still be opened, shared or deleted."""

    id: str
    name: str
    workspace: "Workspace"
    uploader: User
    shares: list[tuple[Channel, Message]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Workspace:
    """A workspace. `weight` is its share of the traffic, `channels` stand in order of their popularity."""

    id: str
    name: str
    slug: str
    owner: User
    timezone: str
    offset_minutes: int
    language: str
    weight: float
    plan: str
    retention_days: int | None = None
    deleted: bool = False
    members: list[User] = field(default_factory=list)
    roles: dict[str, tuple[str, str]] = field(default_factory=dict)
    channels: list[Channel] = field(default_factory=list)
    dms: list[Channel] = field(default_factory=list)
    dm_circles: set[frozenset[str]] = field(default_factory=set)
    archived: list[Channel] = field(default_factory=list)
    former: deque[User] = field(default_factory=lambda: deque(maxlen=FORMER_MAX))
    files: deque[File] = field(default_factory=lambda: deque(maxlen=FILES_MAX))
    apps: list[dict[str, Any]] = field(default_factory=list)
    removed_apps: list[dict[str, Any]] = field(default_factory=list)
    bot: User | None = None
    members_max: int = 0

    def profile(self) -> dict[str, Any]:
        """`data` of workspace.created and workspace.updated: the whole register."""
        return {
            "workspace_id": self.id,
            "name": self.name,
            "slug": self.slug,
            "domain": f"{self.slug}.example",
            "owner_id": self.owner.id,
            "settings": {"timezone": self.timezone, "retention_days": self.retention_days},
            "plan_type": self.plan,
            "max_members": 10 if self.plan == "free" else 20_000,
            "billing_email": f"billing@{self.slug}.example",
            "subscription_status": "active" if self.plan != "free" else "trialing",
            "sso_enabled": self.plan == "enterprise",
            "require_2fa": self.plan in {"business", "enterprise"},
        }


class Company:
    """Everything the actions work on: chance, time, words, what is planned, and what there is."""

    __slots__ = ("agenda", "dice", "people", "profile", "texts", "words", "workspaces", "writer")

    def __init__(self, profile: Profile, dice: Dice, writer: Writer) -> None:
        self.profile = profile
        self.dice = dice
        self.writer = writer
        self.texts = Texts(dice)
        self.words = vocabulary()
        self.agenda = Agenda()
        self.workspaces: list[Workspace] = []
        self.people = 0

    def later(self, low_us: int, high_us: int) -> int:
        """Time that lies between `low_us` and `high_us` from now, in µs since 1970."""
        return self.writer.now + self.dice.between(low_us, high_us)

    def channel(self, workspace: Workspace) -> Channel:
        """Some channel of the workspace: by popularity, now and then a direct message."""
        dice = self.dice
        if workspace.dms and dice.random() < DM_SHARE:
            return workspace.dms[dice.zipf(len(workspace.dms))]
        return workspace.channels[dice.zipf(len(workspace.channels))]

    def member(self, channel: Channel) -> User:
        """Somebody in the channel, the talkative more often."""
        return channel.members[self.dice.zipf(len(channel.members))]

    def message(self, channel: Channel) -> Message | None:
        """Return a message of the channel, mostly a fresh one, seldom a deleted one; None where nothing suits."""
        dice = self.dice
        if channel.older and dice.chance(0.06):
            found = dice.pick(channel.older)
        elif channel.recent:
            found = channel.recent[-1 - dice.zipf(len(channel.recent))]
        else:
            return None
        return None if found.deleted and dice.chance(0.95) else found
