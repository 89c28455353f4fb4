"""What the models cannot say about themselves: a sentence per attribute and field, for readers of documents."""

from collections.abc import Mapping
from typing import Final

ATTRIBUTES: Final[Mapping[str, str]] = {
    "specversion": "The version of CloudEvents.",
    "id": (
        "A UUID in lower case. The same id is the same event: a retry keeps it, with `time` and `sequence`; a new "
        "event gets a new one."
    ),
    "type": "What happened; it decides topic, key and the shape of `data`.",
    "source": "A URI-reference that names the producer, such as `/services/billing`.",
    "subject": (
        "The id of the entity that changes; for a pair, both ids with `/` between them. Not compared with `data`, "
        "which counts."
    ),
    "time": "When it happened: RFC 3339; any offset is converted to UTC, digits beyond microseconds are cut.",
    "sequence": (
        "A decimal string, 0 to 9223372036854775807, that rises with each change of the subject: of two events that "
        "write the same, the higher one wins, whatever their order in the log; the other is stale, of which no dead "
        "letter tells. Where nobody gives one it is microseconds since 1970 × 2048; who shares a subject with such "
        "events uses the same scale. The sequences of the samples are row versions."
    ),
    "schemaversion": "The version of `data` for this type; absent or null means 1.",
    "workspaceid": "The workspace it belongs to, or absent. Not compared with `data`, which counts.",
    "correlationid": "Whatever ties events of one request together.",
    "causationid": "The id of what caused this event.",
    "datacontenttype": "`application/json`, or absent; not looked at, like every attribute that is not named here.",
    "data": "The payload. Fields that are not described are ignored.",
}

FIELDS: Final[Mapping[str, str]] = {
    "actor_id": "The user who did it.",
    "app_id": "The app's id in its own directory; any text.",
    "app": "Which app it is.",
    "bio": "Free text of the user.",
    "channel_id": "The channel.",
    "channels": "Ids of the channels the connection listens to.",
    "client_msg_id": "The client's own id of a message: a retry within 7 days with the same one is the same message.",
    "config": "Settings of the app's own shape; never secrets.",
    "content": "The text. NUL characters and lone surrogates are stored as U+FFFD.",
    "created_at": (
        "When the message was written; fixes its place in the channel and does not change. Of a notification that an "
        "edit raised: when it was edited."
    ),
    "custom_status": "Free text beside the status.",
    "device_type": "Any word, such as `desktop`.",
    "domain": "The company's domain.",
    "edited_at": "When the text was changed.",
    "editor_id": "The user who changed the text.",
    "emoji": "An emoji, or its name with or without colons; variants of one emoji are stored as one.",
    "event_type": "What was done, in the producer's own words, such as `report.opened`.",
    "expires_at": "From then on it is not valid any more.",
    "extracted_text": "Text found in the file, for searches.",
    "file_id": "The file.",
    "file_ids": "Files that will be shared with the message; each share is an event `collab.file.shared` of its own.",
    "file_size": "Bytes.",
    "formatted_content": "The text with its formatting, of the producer's own shape.",
    "health": "How it is doing.",
    "hot_score": "Follows from the counts alone.",
    "installed_by": "The user who installed it.",
    "invited_by": "The user who invited.",
    "ip_address": "As the producer saw it; not checked.",
    "is_general": "The channel everybody is in: the newest one that says so, one per workspace.",
    "kind": "The strongest reason for the notification.",
    "last_read_at": "Everything up to then is read. Older positions than the known one change nothing.",
    "last_read_message_id": "The message at that position.",
    "mark_unread": "True sets the position back.",
    "max_members": "So many members the plan allows.",
    "mentions": "Ids of the users the text names.",
    "message_created_at": "`created_at` of the message, as a hint where to look for it; may be left out.",
    "message_id": "The message; the producer of `collab.message.posted` makes the id.",
    "metadata": "What belongs to it, of the producer's own shape.",
    "muted_until": "Not muted any more from then on; absent with `muted` true: for ever.",
    "notification_id": "UUIDv5 of message and recipient.",
    "owner_id": "The user who owns the workspace.",
    "permissions": "What is allowed, in the producer's own words.",
    "removed_by": "The user who removed the member; absent where they left on their own.",
    "publisher": "Who offers the app; stays in the log, no table holds it.",
    "scopes": "What the app may do, in its own words.",
    "settings": "May hold `retention_days` (integer) and `timezone` (IANA name) beside others.",
    "since": "When it came into that status; stays in the log, no table holds it.",
    "storage_key": "Where the bytes are, within the bucket.",
    "thread_id": "The message this one answers; a reply to a reply is filed under the first message of the thread.",
    "thumbnails": "Where to find previews, of the producer's own shape.",
    "timezone": "IANA name; an unknown one counts as UTC.",
    "user_id": "The user it is about or who did it.",
    "window_seconds": "Length of the window: 60 and 300 begin every minute, 3600 every five minutes.",
    "window_start": "Begin of the window, by event time.",
    "workspace_id": "The workspace.",
}

LIMITS: Final = (
    "A schema cannot say everything. Beyond it: the whole record is at most 1,048,576 bytes of UTF-8 JSON without byte "
    "order mark, NaN or Infinity, nested at most 200 levels deep; `sequence` is at most 9223372036854775807; dates are "
    "in the calendar; integers are written without a decimal point; numbers in free objects fit a double; `time` (and "
    "`created_at` of a posted message) is not before 2000-01-01 and at most 10 minutes after the broker appended the "
    "record, by the broker's clock; the timestamp that a client gives its record does not count."
)
"""What the decoder refuses although the schema takes it; the tests hold the two together by this list."""

_REGISTER: Final = "a register is written again with what it holds"
_DELETED: Final = "it stays deleted; when is told by the higher `sequence`"

_AGAIN: Final[Mapping[str, str]] = {
    "activity.recorded": "another activity: a second row, though the user is active only once a day",
    "channel.deleted": _DELETED,
    "channel.read": "nothing: the position is there already",
    "connection.closed": "nothing: it is closed",
    "file.accessed": "another download: `download_count` rises",
    "file.deleted": _DELETED,
    "file.shared": "the file is attached once; the share's comment and time are those of the higher `sequence`",
    "file.uploaded": "a register is written again with what it holds; the upload is counted once",
    "message.edited": "no second entry in `edit_history`, since the text is the same; `edited_at` moves",
    "message.posted": (
        "nothing: the first posting of a `message_id` in the log stays. A new `message_id` with the same "
        "`client_msg_id` within 7 days is another name of the first message"
    ),
    "notification.raised": "nothing: its id follows from message and recipient",
    "reaction.added": "the reaction is there once; its place among the users is that of the higher `sequence`",
    "session.ended": "it stays ended; when is told by the higher `sequence`",
    "trend.window_closed": "the higher `sequence` is the window's value",
    "typing.started": "the key lives until 10 s after the newest one",
    "user.erased": _DELETED,
    "workspace.deleted": _DELETED,
}


def again(type_: str) -> str:
    """What the same content under another id and a higher sequence does; the same id never does anything."""
    return _AGAIN.get(type_.removeprefix("collab."), _REGISTER)
