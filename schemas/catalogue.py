"""Every event type and every topic of the contract (section 1): what carries what, under which key, for how long."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from tailrace.schemas import activity, conversations, derived, directory, files, signals
from tailrace.schemas.fields import Data

PREFIX: Final = "collab."
"""In front of every type's name; not moved by the topic-prefix setting (ruling 85)."""


INBOUND: Final = "inbound"
"""The topic of producers without the SDK: any type, any key."""
DERIVED: Final = ("notifications", "trends")
"""Topics that the streams write and no producer does."""


@dataclass(frozen=True, slots=True)
class EventType:
    """One row of the catalogue.

    `name` is the whole type ("collab.message.posted"), `model` the data of its newest version, `topic` the topic's name
    without prefix, `key` the fields of that data of which the first that is not null is the record's key. `older` are
    the models of the versions before it, the first version first; an upcaster leads from each to the next.
    """

    name: str
    model: type[Data]
    topic: str
    key: tuple[str, ...]
    older: tuple[type[Data], ...] = ()

    @property
    def models(self) -> tuple[type[Data], ...]:
        """Data of every version: that of version 1 comes first."""
        return (*self.older, self.model)

    @property
    def version(self) -> int:
        """The newest version."""
        return len(self.older) + 1


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. `name` without prefix; `carries` prefixes of types; `retention_days` None: for ever."""

    name: str
    carries: tuple[str, ...]
    retention_days: int | None


TOPICS: Final[tuple[TopicSpec, ...]] = (
    TopicSpec(
        "conversations",
        ("collab.channel.", "collab.channel_member.", "collab.message.", "collab.reaction."),
        None,
    ),
    TopicSpec(
        "directory",
        (
            "collab.user.",
            "collab.workspace.",
            "collab.workspace_member.",
            "collab.invitation.",
            "collab.integration.",
        ),
        None,
    ),
    TopicSpec("files", ("collab.file.",), None),
    TopicSpec("activity", ("collab.activity.",), None),
    TopicSpec("signals", ("collab.session.", "collab.presence.", "collab.typing.", "collab.connection."), 1),
    TopicSpec(INBOUND, ("collab.",), 7),
    TopicSpec("notifications", ("collab.notification.",), 30),
    TopicSpec("trends", ("collab.trend.",), 30),
    TopicSpec("dead-letters", (), 30),
)

_MODELS: Final[dict[tuple[str, tuple[str, ...]], dict[str, type[Data]]]] = {
    ("conversations", ("channel_id",)): {
        "channel.created": conversations.ChannelProfile,
        "channel.updated": conversations.ChannelProfile,
        "channel.archived": conversations.ChannelRef,
        "channel.unarchived": conversations.ChannelRef,
        "channel.deleted": conversations.ChannelRef,
        "channel_member.joined": conversations.ChannelMembership,
        "channel_member.updated": conversations.ChannelMembership,
        "channel_member.left": conversations.ChannelMemberLeft,
        "channel.read": conversations.ChannelRead,
        "message.posted": conversations.MessagePosted,
        "message.edited": conversations.MessageEdited,
        "message.deleted": conversations.MessageVisibility,
        "message.restored": conversations.MessageVisibility,
        "message.pinned": conversations.MessagePin,
        "message.unpinned": conversations.MessagePin,
        "reaction.added": conversations.Reaction,
        "reaction.removed": conversations.Reaction,
    },
    ("directory", ("user_id",)): {
        "user.registered": directory.UserProfile,
        "user.updated": directory.UserProfile,
        "user.status_changed": directory.UserStatus,
        "user.preferences_changed": directory.UserPreferences,
        "user.logged_in": directory.UserRef,
        "user.erased": directory.UserRef,
    },
    ("directory", ("workspace_id",)): {
        "workspace.created": directory.WorkspaceProfile,
        "workspace.updated": directory.WorkspaceProfile,
        "workspace.deleted": directory.WorkspaceRef,
        "workspace_member.joined": directory.WorkspaceMembership,
        "workspace_member.updated": directory.WorkspaceMembership,
        "workspace_member.left": directory.WorkspaceMemberLeft,
        "invitation.created": directory.InvitationCreated,
        "invitation.accepted": directory.InvitationClosed,
        "invitation.revoked": directory.InvitationClosed,
        "integration.installed": directory.IntegrationState,
        "integration.updated": directory.IntegrationState,
        "integration.removed": directory.IntegrationRef,
    },
    ("files", ("file_id",)): {
        "file.uploaded": files.FileUploaded,
        "file.processed": files.FileProcessed,
        "file.scanned": files.FileScanned,
        "file.shared": files.FileShare,
        "file.unshared": files.FileShare,
        "file.accessed": files.FileUse,
        "file.deleted": files.FileUse,
    },
    ("activity", ("user_id", "workspace_id")): {"activity.recorded": activity.ActivityRecorded},
    ("signals", ("user_id",)): {
        "session.started": signals.SessionStarted,
        "session.ended": signals.SessionEnded,
        "presence.changed": signals.PresenceChanged,
        "typing.started": signals.TypingStarted,
        "connection.opened": signals.ConnectionOpened,
        "connection.closed": signals.ConnectionClosed,
    },
    ("notifications", ("user_id",)): {"notification.raised": derived.NotificationRaised},
    ("trends", ("channel_id",)): {"trend.window_closed": derived.TrendWindowClosed},
}

_OLDER: Final[dict[str, tuple[type[Data], ...]]] = {
    "integration.installed": (directory.IntegrationStateV1, directory.IntegrationStateV2),
    "integration.updated": (directory.IntegrationStateV1, directory.IntegrationStateV2),
}
"""Models of the versions before the newest, where there are any."""

EVENT_TYPES: Final[Mapping[str, EventType]] = MappingProxyType(
    {
        PREFIX + name: EventType(PREFIX + name, model, topic, key, _OLDER.get(name, ()))
        for (topic, key), models in _MODELS.items()
        for name, model in models.items()
    }
)


def topic_of(type_: str) -> str:
    """Name, without prefix, of the topic that carries the type; KeyError for a type that is not in the catalogue."""
    return EVENT_TYPES[type_].topic


def key_of(type_: str, data: Mapping[str, Any]) -> str:
    """Text of the record's key for validated `data`; its UTF-8 bytes are the key. KeyError for an unknown type."""
    return next(str(data[field]) for field in EVENT_TYPES[type_].key if data.get(field) is not None)
