"""Data of the events of the signals topic: sessions, presence, typing, connections."""

from tailrace.schemas.fields import Data, Id


class SessionStarted(Data):
    """`ip_address` is text as the producer wrote it, not checked (ruling 83)."""

    session_id: Id
    user_id: Id
    workspace_id: Id
    device_type: str
    ip_address: str
    user_agent: str
    permissions: list[str]


class SessionEnded(Data):
    session_id: Id
    user_id: Id


class PresenceChanged(Data):
    user_id: Id
    workspace_id: Id
    status: str
    custom_status: str | None = None
    device_type: str
    timezone: str | None = None


class TypingStarted(Data):
    channel_id: Id
    user_id: Id


class ConnectionOpened(Data):
    """`channels` are channel ids."""

    connection_id: Id
    user_id: Id
    workspace_id: Id
    channels: list[Id]


class ConnectionClosed(Data):
    connection_id: Id
    user_id: Id
