"""The tables that are compared: where they are, their keys and the columns that follow from events (CONTRACT, 2)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from tailrace.errors import UsageError

Reader = Callable[[Any], Any]


def _edit_history(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Times inside jsonb are text; how many digits they are written with is nobody's business."""
    return [{**entry, "edited_at": datetime.fromisoformat(entry["edited_at"])} for entry in entries]


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table of the comparison.

    `name` is what the report, the fold and the command line call it; `relations` are read together, as a union. `json`
    are the columns of that type. A row of which all `counters` are zero is the same as no row (ruling 64). `readers`
    turn what the driver gives into what the fold gives. `may_hold_more`: rows that the log does not explain are no
    difference (its older part is gone).
    """

    name: str
    schema: Literal["collab", "analytics"]
    relations: tuple[str, ...]
    key: tuple[str, ...]
    columns: tuple[str, ...]
    json: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    readers: Mapping[str, Reader] = field(default_factory=dict)
    may_hold_more: bool = False


def _collab(name: str, key: str, columns: str, relations: str | None = None, **more: Any) -> TableSpec:
    return TableSpec(
        name, "collab", tuple((relations or name).split()), tuple(key.split()), tuple(columns.split()), **more
    )


def _analytics(table: str, key: str, columns: str, **more: Any) -> TableSpec:
    return TableSpec(f"analytics.{table}", "analytics", (table,), tuple(key.split()), tuple(columns.split()), **more)


TABLES: Final[tuple[TableSpec, ...]] = (
    _collab(
        "users",
        "user_id",
        "email username display_name avatar_url timezone status title phone bio pronouns notification_settings"
        " theme_preferences language created_at updated_at last_login_at",
        json=("notification_settings", "theme_preferences"),
    ),
    _collab(
        "workspaces",
        "workspace_id",
        "name slug domain description avatar_url owner_id settings plan_type max_members billing_email"
        " subscription_status sso_enabled require_2fa member_count created_at updated_at deleted_at",
        json=("settings",),
    ),
    _collab(
        "workspace_members",
        "workspace_id user_id",
        "role title department status invited_by permissions timezone last_seen_at joined_at left_at updated_at",
        json=("permissions",),
    ),
    _collab(
        "workspace_invitations",
        "invitation_id",
        "workspace_id email role expires_at created_by created_at used_at revoked_at",
    ),
    _collab(
        "channels",
        "channel_id",
        "workspace_id name display_name description channel_type is_archived is_general topic purpose retention_policy"
        " allow_threads allow_file_upload allow_external_sharing created_by member_count last_message_at created_at"
        " updated_at archived_at deleted_at",
        json=("retention_policy",),
    ),
    _collab(
        "channel_members",
        "channel_id user_id",
        "workspace_id role notification_level muted muted_until is_active joined_at left_at invited_by"
        " last_read_message_id last_read_at",
    ),
    _collab("channel_pins", "channel_id message_id", "pinned_by pinned_at"),
    _collab(
        "messages",
        "message_id created_at",
        "workspace_id channel_id user_id content message_type formatted_content thread_id reply_count last_reply_at"
        " is_pinned is_deleted deleted_at reactions mentions has_files edited_at edit_count edit_history client_msg_id"
        " updated_at",
        "messages messages_archive",
        json=("formatted_content", "reactions", "edit_history"),
        readers={"edit_history": _edit_history},
    ),
    _collab("message_reactions", "message_id user_id emoji", "channel_id message_created_at added_at", "reactions"),
    _collab(
        "files",
        "workspace_id file_id",
        "uploader_id filename original_filename file_size mime_type file_hash storage_provider storage_bucket"
        " storage_key storage_region processing_status thumbnails extracted_text is_public virus_scan_status"
        " virus_scan_result tags download_count last_accessed_at created_at updated_at expires_at deleted_at",
        json=("thumbnails",),
    ),
    _collab("message_files", "message_id file_id", "channel_id file_comment attached_at"),
    _collab(
        "integrations",
        "integration_id",
        "workspace_id app_name app_id integration_type config scopes channel_id status last_error installed_by"
        " created_at updated_at",
        json=("config",),
    ),
    _collab("sessions", "session_id", "user_id workspace_id started_at ended_at"),
    _analytics("events", "event_id created_at", "workspace_id user_id event_type metadata", json=("metadata",)),
    _analytics(
        "daily_active_users",
        "workspace_id date",
        "user_count message_count reaction_count file_upload_count",
        counters=("user_count", "message_count", "reaction_count", "file_upload_count"),
    ),
    _analytics(
        "message_analytics",
        "workspace_id channel_id hour",
        "message_count unique_users total_message_length avg_message_length revised_at",
        counters=("message_count", "unique_users", "total_message_length"),
    ),
    _analytics(
        "user_activity",
        "workspace_id user_id date",
        "messages_sent reactions_given files_uploaded time_spent_minutes",
        counters=("messages_sent", "reactions_given", "files_uploaded", "time_spent_minutes"),
    ),
)

DEAD_LETTERS: Final = "dead_letters"
"""Name of the comparison of the refused records with `runtime.dead_letters`."""

SEARCH: Final = ("search.messages", "search.files", "search.users")
"""Names of the comparisons of what searches find."""

REDIS: Final = (
    "redis.recent_messages", "redis.unread_counts", "redis.channel_members", "redis.session", "redis.connection",
    "redis.presence", "redis.typing", "redis.message_rate",
)  # fmt: skip
"""Names of the comparisons of the families of keys."""

NOTIFICATIONS: Final = "notifications"
TRENDS: Final = "trends"
STREAMS: Final = (NOTIFICATIONS, TRENDS)
"""Names of the comparisons of what the streams raise and count."""

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "postgres": (*(table.name for table in TABLES), DEAD_LETTERS),
    "collab": tuple(table.name for table in TABLES if table.schema == "collab"),
    "analytics": tuple(table.name for table in TABLES if table.schema == "analytics"),
    "search": SEARCH,
    "redis": REDIS,
    "streams": STREAMS,
}
"""Names that stand for several tables."""

EVERYTHING: Final = (*GROUPS["postgres"], *SEARCH, *REDIS, *STREAMS)
"""Names of all comparisons."""


def chosen(names: Sequence[str]) -> frozenset[str]:
    """Names of the comparisons that these names of groups and tables mean; all of them for none.

    A table of `analytics` may be named without its schema. Raises `UsageError`, which lists the names, for another.
    """
    meant: dict[str, tuple[str, ...]] = {name: (name,) for name in EVERYTHING}
    meant |= {name.removeprefix("analytics."): (name,) for name in GROUPS["analytics"]}
    meant |= GROUPS
    if unknown := [name for name in names if name not in meant]:
        known = ", ".join((*GROUPS, *EVERYTHING))
        raise UsageError(f"unknown projection: {', '.join(unknown)}", fix=f"one or more of {known}")
    return frozenset(table for name in names or ("postgres",) for table in meant[name])
