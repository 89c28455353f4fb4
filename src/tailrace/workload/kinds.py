"""The event types the generator makes, with the topic each belongs to (from the catalogue) and who sends it."""

from typing import Final, NamedTuple

from tailrace.schemas.catalogue import PREFIX, topic_of

_SOURCES: Final = {
    "conversations": ("/clients/web", "/clients/desktop", "/clients/ios", "/services/chat"),
    "directory": ("/services/directory", "/services/directory", "/services/accounts", "/admin/console"),
    "files": ("/services/files", "/services/files", "/services/media", "/clients/web"),
    "activity": ("/clients/web", "/clients/android", "/services/gateway", "/clients/desktop"),
    "signals": ("/gateway/eu-1", "/gateway/eu-2", "/gateway/us-1", "/gateway/ap-1"),
}


class Kind(NamedTuple):
    """One event type: full name, topic without prefix, and four producers to choose from."""

    type: str
    topic: str
    sources: tuple[str, str, str, str]


def _kind(name: str) -> Kind:
    topic = topic_of(PREFIX + name)
    return Kind(PREFIX + name, topic, _SOURCES[topic])


USER_REGISTERED: Final = _kind("user.registered")
USER_UPDATED: Final = _kind("user.updated")
USER_STATUS_CHANGED: Final = _kind("user.status_changed")
USER_PREFERENCES_CHANGED: Final = _kind("user.preferences_changed")
USER_LOGGED_IN: Final = _kind("user.logged_in")
USER_ERASED: Final = _kind("user.erased")
WORKSPACE_CREATED: Final = _kind("workspace.created")
WORKSPACE_UPDATED: Final = _kind("workspace.updated")
WORKSPACE_DELETED: Final = _kind("workspace.deleted")
WORKSPACE_MEMBER_JOINED: Final = _kind("workspace_member.joined")
WORKSPACE_MEMBER_UPDATED: Final = _kind("workspace_member.updated")
WORKSPACE_MEMBER_LEFT: Final = _kind("workspace_member.left")
INVITATION_CREATED: Final = _kind("invitation.created")
INVITATION_ACCEPTED: Final = _kind("invitation.accepted")
INVITATION_REVOKED: Final = _kind("invitation.revoked")
INTEGRATION_INSTALLED: Final = _kind("integration.installed")
INTEGRATION_UPDATED: Final = _kind("integration.updated")
INTEGRATION_REMOVED: Final = _kind("integration.removed")
CHANNEL_CREATED: Final = _kind("channel.created")
CHANNEL_UPDATED: Final = _kind("channel.updated")
CHANNEL_ARCHIVED: Final = _kind("channel.archived")
CHANNEL_UNARCHIVED: Final = _kind("channel.unarchived")
CHANNEL_DELETED: Final = _kind("channel.deleted")
CHANNEL_MEMBER_JOINED: Final = _kind("channel_member.joined")
CHANNEL_MEMBER_UPDATED: Final = _kind("channel_member.updated")
CHANNEL_MEMBER_LEFT: Final = _kind("channel_member.left")
CHANNEL_READ: Final = _kind("channel.read")
MESSAGE_POSTED: Final = _kind("message.posted")
MESSAGE_EDITED: Final = _kind("message.edited")
MESSAGE_DELETED: Final = _kind("message.deleted")
MESSAGE_RESTORED: Final = _kind("message.restored")
MESSAGE_PINNED: Final = _kind("message.pinned")
MESSAGE_UNPINNED: Final = _kind("message.unpinned")
REACTION_ADDED: Final = _kind("reaction.added")
REACTION_REMOVED: Final = _kind("reaction.removed")
FILE_UPLOADED: Final = _kind("file.uploaded")
FILE_PROCESSED: Final = _kind("file.processed")
FILE_SCANNED: Final = _kind("file.scanned")
FILE_SHARED: Final = _kind("file.shared")
FILE_UNSHARED: Final = _kind("file.unshared")
FILE_ACCESSED: Final = _kind("file.accessed")
FILE_DELETED: Final = _kind("file.deleted")
ACTIVITY_RECORDED: Final = _kind("activity.recorded")
SESSION_STARTED: Final = _kind("session.started")
SESSION_ENDED: Final = _kind("session.ended")
PRESENCE_CHANGED: Final = _kind("presence.changed")
TYPING_STARTED: Final = _kind("typing.started")
CONNECTION_OPENED: Final = _kind("connection.opened")
CONNECTION_CLOSED: Final = _kind("connection.closed")
