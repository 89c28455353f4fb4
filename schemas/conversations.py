"""Data of the events of the conversations topic: channels, their members, messages, reactions."""

from typing import Literal

from tailrace.schemas.fields import Data, FreeObject, Id, Timestamp


class ChannelProfile(Data):
    channel_id: Id
    workspace_id: Id
    name: str
    display_name: str | None = None
    description: str | None = None
    channel_type: Literal["public", "private", "dm", "group_dm"]
    is_general: bool
    topic: str | None = None
    purpose: str | None = None
    retention_policy: FreeObject | None = None
    allow_threads: bool
    allow_file_upload: bool
    allow_external_sharing: bool
    created_by: Id


class ChannelRef(Data):
    channel_id: Id
    workspace_id: Id


class ChannelMembership(Data):
    channel_id: Id
    workspace_id: Id
    user_id: Id
    role: Literal["admin", "member"]
    notification_level: Literal["all", "mentions", "none"]
    muted: bool
    muted_until: Timestamp | None = None
    invited_by: Id | None = None


class ChannelMemberLeft(Data):
    channel_id: Id
    workspace_id: Id
    user_id: Id
    removed_by: Id | None = None


class ChannelRead(Data):
    channel_id: Id
    workspace_id: Id
    user_id: Id
    last_read_message_id: Id
    last_read_at: Timestamp
    mark_unread: bool = False


class MessagePosted(Data):
    """`created_at` fixes the message's partition and its place in the channel; it is judged like `time` (ruling 74)."""

    message_id: Id
    channel_id: Id
    workspace_id: Id
    user_id: Id
    content: str
    message_type: Literal["text", "file", "system", "bot"]
    formatted_content: FreeObject | None = None
    thread_id: Id | None = None
    client_msg_id: str | None = None
    mentions: list[Id]
    file_ids: list[Id]
    created_at: Timestamp


class MessageRef(Data):
    """`message_created_at` is a hint: with it the row is found in one partition, without it in all (ruling 40a)."""

    message_id: Id
    channel_id: Id
    workspace_id: Id
    message_created_at: Timestamp | None = None


class MessageEdited(MessageRef):
    editor_id: Id
    content: str
    formatted_content: FreeObject | None = None
    mentions: list[Id]
    edited_at: Timestamp


class MessageVisibility(MessageRef):
    actor_id: Id


class MessagePin(MessageRef):
    user_id: Id


class Reaction(MessageRef):
    user_id: Id
    emoji: str
