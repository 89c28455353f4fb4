"""What one event touches: rows, keys, documents and rollup buckets, by the rules of the contract. Pure."""

from dataclasses import dataclass, field
from typing import Any, Final

from tailrace.projections.caches import Keys, minute_of
from tailrace.projections.channels import CHANNEL_MEMBERS, CHANNELS
from tailrace.projections.directory import INTEGRATIONS, INVITATIONS, USERS, WORKSPACE_MEMBERS, WORKSPACES
from tailrace.projections.documents import dirty_documents
from tailrace.projections.emoji import canonical_emoji
from tailrace.projections.files import FILES, SHARES
from tailrace.projections.notifications import NOTIFICATIONS
from tailrace.projections.rollups import COUNTED_TYPES
from tailrace.projections.sessions import SESSIONS
from tailrace.schemas.event import Event

_ENTITIES: Final = (
    USERS, WORKSPACES, WORKSPACE_MEMBERS, INVITATIONS, INTEGRATIONS, CHANNELS, CHANNEL_MEMBERS, FILES, SHARES,
    NOTIFICATIONS, SESSIONS,
)  # fmt: skip
_PINS: Final = ("collab.message.pinned", "collab.message.unpinned")
_ACTIVE: Final = ("collab.reaction.added", "collab.file.uploaded", "collab.channel.read", "collab.activity.recorded")
_OWN_DAY: Final = ("collab.reaction.added", "collab.file.uploaded", "collab.session.started", "collab.session.ended")


@dataclass(frozen=True, slots=True)
class RowKey:
    """A row of a table, written with its plain schema, such as `collab.messages`."""

    table: str
    key: dict[str, str]


@dataclass(frozen=True, slots=True)
class Bucket:
    """A row of a rollup."""

    table: str
    key: dict[str, str]


@dataclass(frozen=True, slots=True)
class Touched:
    """What an event touches directly. What hangs on it (counts of a channel, a thread's root) follows from the rows.

    `documents` are (alias, id); a `*` in an id stands for all workspaces of the user.
    """

    rows: list[RowKey] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    documents: list[tuple[str, str]] = field(default_factory=list)
    buckets: list[Bucket] = field(default_factory=list)


def touched_by(event: Event, keys: Keys) -> Touched:
    """What a decoded event touches; `keys` name the keys in Redis."""
    return Touched(_rows(event), _keys(event, keys), _documents(event), _buckets(event))


def _rows(event: Event) -> list[RowKey]:
    data, kind = event.data, event.type
    found = [
        RowKey(one.table, dict(zip(one.key, one.key_of(event), strict=True))) for one in _ENTITIES if kind in one.types
    ]
    if kind.startswith("collab.message."):
        found.append(RowKey("collab.messages", {"message_id": data["message_id"]}))
    if kind in _PINS:
        found.append(
            RowKey("collab.channel_pins", {"channel_id": data["channel_id"], "message_id": data["message_id"]})
        )
    if kind.startswith("collab.reaction."):
        emoji = canonical_emoji(data["emoji"])
        key = {"message_id": data["message_id"], "user_id": data["user_id"], "emoji": emoji}
        found += [
            RowKey("collab.message_reactions", key),
            RowKey("collab.messages", {"message_id": data["message_id"]}),
        ]
    if kind in SHARES.types:
        found.append(RowKey("collab.messages", {"message_id": data["message_id"]}))
    if kind == "collab.file.accessed":
        found.append(RowKey(FILES.table, {name: data[name] for name in FILES.key}))
    if kind == "collab.activity.recorded":
        found.append(RowKey("analytics.events", {"event_id": event.id}))
    return found


def _keys(event: Event, keys: Keys) -> list[str]:
    data = event.data
    noun, _, verb = event.type.removeprefix("collab.").partition(".")
    if noun in {"message", "reaction"}:
        found = [keys.name("recent_messages", data["channel_id"])]
        if verb in {"posted", "deleted", "restored"}:
            found.append(keys.name("unread_counts", "*", data["workspace_id"]))
        if verb == "posted":
            minute = str(minute_of(event.time))
            found.append(keys.name("message_rate", data["user_id"], data["channel_id"], minute))
        return found
    if noun in {"channel_member", "workspace_member"} or (noun, verb) == ("channel", "read"):
        found = [keys.name("unread_counts", data["user_id"], data["workspace_id"])]
        return found if noun != "channel_member" else [keys.name("channel_members", data["channel_id"]), *found]
    return _living_keys(noun, data, keys)


def _living_keys(noun: str, data: dict[str, Any], keys: Keys) -> list[str]:
    match noun:
        case "session":
            return [keys.name("session", data["session_id"])]
        case "connection":
            return [keys.name("connection", data["connection_id"])]
        case "presence":
            return [keys.name("presence", data["user_id"], data["workspace_id"])]
        case "typing":
            return [keys.name("typing", data["channel_id"], data["user_id"])]
    return []


def _documents(event: Event) -> list[tuple[str, str]]:
    dirty = dirty_documents([event])
    found = [("messages", one) for one in sorted(dirty.messages)]
    found += [("files", file_id) for _, file_id in sorted(dirty.files)]
    found += [("users", f"{workspace}:{user}") for workspace, user in sorted(dirty.members)]
    if event.type == "collab.session.started":
        found.append(("users", f"{event.data['workspace_id']}:{event.data['user_id']}"))
    return found + [("users", f"*:{user}") for user in sorted(dirty.profiles)]


def _buckets(event: Event) -> list[Bucket]:
    data, kind = event.data, event.type
    day = event.time.date().isoformat()
    posted = kind == "collab.message.posted" and data["message_type"] in COUNTED_TYPES
    user = data.get("uploader_id") or data.get("user_id")
    workspace = data.get("workspace_id")
    found = []
    if posted:
        hour = event.time.replace(minute=0, second=0, microsecond=0).isoformat().replace("+00:00", "Z")
        key = {"workspace_id": workspace, "channel_id": data["channel_id"], "hour": hour}
        found.append(Bucket("analytics.message_analytics", key))
    if workspace and user and (posted or kind in _ACTIVE):
        found.append(Bucket("analytics.daily_active_users", {"workspace_id": workspace, "date": day}))
    if workspace and user and (posted or kind in _OWN_DAY):
        found.append(Bucket("analytics.user_activity", {"workspace_id": workspace, "user_id": user, "date": day}))
    return found
