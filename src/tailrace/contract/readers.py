"""Who reads an event: which tables, keys, documents and topics change because of it (CONTRACT 2 to 4).

The tests hold the tables, keys and documents against the verification's fold: an effect that is not listed fails them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tailrace.schemas.catalogue import PREFIX


@dataclass(frozen=True, slots=True)
class Readers:
    """`tables` with their schema, `keys` families in Redis, `documents` aliases in Elasticsearch, `topics` derived."""

    tables: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()


def _readers(tables: str = "", keys: str = "", documents: str = "", topics: str = "") -> Readers:
    named = tuple(name if "." in name else f"collab.{name}" for name in tables.split())
    return Readers(named, tuple(keys.split()), tuple(documents.split()), tuple(topics.split()))


_PROFILE = _readers("users", documents="messages files users")
_WORKSPACE = _readers("workspaces")
_WORKSPACE_MEMBER = _readers("workspace_members workspaces", documents="users", topics="notifications")
_INVITATION = _readers("workspace_invitations")
_INTEGRATION = _readers("integrations")
_CHANNEL = _readers("channels", documents="messages", topics="notifications")
_ARCHIVING = _readers("channels")
_CHANNEL_MEMBER = _readers("channel_members channels", "channel_members unread_counts", topics="notifications")
_EDIT = _readers("messages", "recent_messages", "messages", "notifications")
_VISIBILITY = _readers(
    "messages message_reactions channel_pins channels notifications",
    "recent_messages unread_counts",
    "messages files",
)
_PIN = _readers("messages channel_pins", documents="messages")
_SHARE = _readers("message_files messages", documents="messages files")

_BY_NAME: Final[Mapping[str, Readers]] = {
    "user.registered": _PROFILE,
    "user.updated": _PROFILE,
    "user.status_changed": _readers("users", documents="users"),
    "user.preferences_changed": _readers("users"),
    "user.logged_in": _readers("users"),
    "user.erased": _readers(
        "users workspace_members workspaces channel_members channels messages channel_pins message_reactions files"
        " message_files notifications",
        "session connection presence channel_members recent_messages unread_counts",
        "messages files users",
        "notifications",
    ),
    "workspace.created": _WORKSPACE,
    "workspace.updated": _WORKSPACE,
    "workspace.deleted": _readers(
        "workspaces workspace_members channel_members channels",
        "session connection presence typing message_rate channel_members recent_messages unread_counts",
        "messages files users",
        "notifications",
    ),
    "workspace_member.joined": _WORKSPACE_MEMBER,
    "workspace_member.updated": _WORKSPACE_MEMBER,
    "workspace_member.left": _readers(
        "workspace_members workspaces channel_members channels",
        "session connection channel_members unread_counts",
        "users",
        "notifications",
    ),
    "invitation.created": _INVITATION,
    "invitation.accepted": _INVITATION,
    "invitation.revoked": _INVITATION,
    "integration.installed": _INTEGRATION,
    "integration.updated": _INTEGRATION,
    "integration.removed": _INTEGRATION,
    "channel.created": _CHANNEL,
    "channel.updated": _CHANNEL,
    "channel.archived": _ARCHIVING,
    "channel.unarchived": _ARCHIVING,
    "channel.deleted": _readers("channels", "channel_members recent_messages unread_counts", "messages"),
    "channel_member.joined": _CHANNEL_MEMBER,
    "channel_member.updated": _CHANNEL_MEMBER,
    "channel_member.left": _CHANNEL_MEMBER,
    "channel.read": _readers("channel_members notifications analytics.daily_active_users", "unread_counts"),
    "message.posted": _readers(
        "messages message_reactions message_files channel_pins channels analytics.daily_active_users"
        " analytics.message_analytics analytics.user_activity",
        "recent_messages unread_counts message_rate typing",
        "messages files",
        "notifications trends",
    ),
    "message.edited": _EDIT,
    "message.deleted": _VISIBILITY,
    "message.restored": _VISIBILITY,
    "message.pinned": _PIN,
    "message.unpinned": _PIN,
    "reaction.added": _readers(
        "message_reactions messages analytics.daily_active_users analytics.user_activity",
        "recent_messages",
        "messages",
        "trends",
    ),
    "reaction.removed": _readers("message_reactions messages", "recent_messages", "messages"),
    "file.uploaded": _readers(
        "files message_files messages analytics.daily_active_users analytics.user_activity", documents="files messages"
    ),
    "file.processed": _readers("files", documents="files"),
    "file.scanned": _readers("files messages", documents="files messages"),
    "file.shared": _SHARE,
    "file.unshared": _SHARE,
    "file.accessed": _readers("files"),
    "file.deleted": _readers("files messages", documents="files messages"),
    "activity.recorded": _readers("analytics.events analytics.daily_active_users workspace_members", documents="users"),
    "session.started": _readers("sessions workspace_members analytics.user_activity", "session", "users"),
    "session.ended": _readers("sessions workspace_members analytics.user_activity", "session", "users"),
    "presence.changed": _readers(keys="presence", topics="notifications"),
    "typing.started": _readers(keys="typing"),
    "connection.opened": _readers(keys="connection"),
    "connection.closed": _readers(keys="connection"),
    "notification.raised": _readers("notifications"),
    "trend.window_closed": _readers(),
}

READERS: Final[Mapping[str, Readers]] = {PREFIX + name: readers for name, readers in _BY_NAME.items()}
"""By type; every type of the catalogue is in it."""
