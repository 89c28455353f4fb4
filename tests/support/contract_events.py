"""A tiny language for events of the contract: `given.posted("m1")` is a whole CloudEvent about a message called m1.

Names are short words of at most 12 ASCII characters, also where the contract wants ids: `in_world` writes the id of a
name, `named` reads it back, and ids sort like their names. The same events in another world are about other ids, so one
log can hold many worlds that must all end the same. Each event is by default one minute later than the one made before
it, and one sequence above it; its id is `e1`, `e2`, …
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

CloudEvent = dict[str, Any]

BASE = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
WORLDS_MAX = 2**31

ID_FIELDS = frozenset(
    {
        "user_id", "workspace_id", "channel_id", "message_id", "file_id", "session_id", "invitation_id",
        "integration_id", "connection_id", "uploader_id", "editor_id", "actor_id", "owner_id", "thread_id",
        "created_by", "invited_by", "removed_by", "installed_by", "last_read_message_id", "mentions", "file_ids",
        "channels",
    }
)  # fmt: skip
_NAME_BYTES = 12
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def at(text: str) -> datetime:
    """`12:30` of the day of the tests, or a whole date and time; UTC."""
    whole = text if "-" in text else f"{BASE.date()}T{text}"
    return datetime.fromisoformat(whole).replace(tzinfo=UTC)


def rfc3339(moment: datetime) -> str:
    """The contract's form of a time."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def id_of(name: str, world: int = 0) -> str:
    """Id of a name: the world's number, then the name's letters."""
    letters = name.encode("ascii")
    if len(letters) > _NAME_BYTES:
        raise ValueError(f"name longer than {_NAME_BYTES} letters: {name}")
    return str(UUID(bytes=world.to_bytes(4, "big") + letters.ljust(_NAME_BYTES, b"\0")))


def name_of(text: str) -> str:
    """Name behind an id; the id itself where there is none."""
    letters = UUID(text).bytes[4:].rstrip(b"\0")
    return letters.decode("ascii") if letters and letters.isascii() and letters.decode().isprintable() else text


def world_of(value: Any) -> int | None:
    """World that an id belongs to; None for what is no id."""
    return UUID(value).int >> 96 if isinstance(value, str) and _UUID.fullmatch(value) else None


def named(value: Any) -> Any:
    """The same value with names in place of ids, however deep."""
    if isinstance(value, dict):
        return {key: named(item) for key, item in value.items()}
    if isinstance(value, list):
        return [named(item) for item in value]
    return value if world_of(value) is None else name_of(value)


def in_world(event: CloudEvent, world: int = 0) -> CloudEvent:
    """The event with ids of this world in place of names."""
    data = {field: _ids(value, world) if field in ID_FIELDS else value for field, value in event["data"].items()}
    return event | {"id": id_of(event["id"], world), "data": data}


def _ids(value: Any, world: int) -> Any:
    if isinstance(value, list):
        return [_ids(item, world) for item in value]
    return value if value is None else id_of(value, world)


class Given:
    """Makes events. `seq`, `time` (text as for `at`, or a datetime) and `id` are the envelope's, all else is data."""

    def __init__(self) -> None:
        self._made = 0

    def event(
        self,
        name: str,
        /,
        *,
        seq: int | None = None,
        time: str | datetime | None = None,
        id: str | None = None,  # noqa: A002 - as in the envelope
        **data: Any,
    ) -> CloudEvent:
        self._made += 1
        happened = at(time) if isinstance(time, str) else time or BASE + timedelta(minutes=self._made)
        return {
            "specversion": "1.0",
            "id": id or f"e{self._made}",
            "type": f"collab.{name}",
            "source": "/tests",
            "subject": "-",
            "time": rfc3339(happened),
            "sequence": str(self._made if seq is None else seq),
            "data": {field: rfc3339(v) if isinstance(v, datetime) else v for field, v in data.items()},
        }

    # ── directory ──
    def user(self, user_id: str = "ana", kind: str = "registered", **more: Any) -> CloudEvent:
        profile: dict[str, Any] = {
            "email": f"{user_id}@example.org",
            "username": user_id,
            "display_name": user_id.title(),
        }
        return self.event(
            f"user.{kind}", **({"user_id": user_id} | profile | {"timezone": "UTC", "language": "pt"} | more)
        )

    def status(self, status: str, user_id: str = "ana", **more: Any) -> CloudEvent:
        return self.event("user.status_changed", user_id=user_id, status=status, **more)

    def preferences(self, user_id: str = "ana", **more: Any) -> CloudEvent:
        settings: dict[str, Any] = {"notification_settings": {"sound": True}, "theme_preferences": {"dark": False}}
        return self.event("user.preferences_changed", **({"user_id": user_id} | settings | more))

    def logged_in(self, user_id: str = "ana", **more: Any) -> CloudEvent:
        return self.event("user.logged_in", user_id=user_id, **more)

    def erased(self, user_id: str = "ana", **more: Any) -> CloudEvent:
        return self.event("user.erased", user_id=user_id, **more)

    def workspace(self, workspace_id: str = "w1", kind: str = "created", **more: Any) -> CloudEvent:
        profile: dict[str, Any] = {
            "name": "Acme",
            "slug": "acme",
            "owner_id": "ana",
            "settings": {},
            "plan_type": "free",
        }
        profile |= {"max_members": 10, "subscription_status": "active", "sso_enabled": False, "require_2fa": False}
        return self.event(f"workspace.{kind}", **({"workspace_id": workspace_id} | profile | more))

    def workspace_deleted(self, workspace_id: str = "w1", **more: Any) -> CloudEvent:
        return self.event("workspace.deleted", workspace_id=workspace_id, **more)

    def hired(self, user_id: str = "ana", workspace_id: str = "w1", kind: str = "joined", **more: Any) -> CloudEvent:
        return self.event(
            f"workspace_member.{kind}", **({"workspace_id": workspace_id, "user_id": user_id, "role": "member"} | more)
        )

    def removed(self, user_id: str = "ana", workspace_id: str = "w1", **more: Any) -> CloudEvent:
        return self.event("workspace_member.left", workspace_id=workspace_id, user_id=user_id, **more)

    def invited(self, invitation_id: str = "i1", **more: Any) -> CloudEvent:
        data: dict[str, Any] = {
            "invitation_id": invitation_id,
            "workspace_id": "w1",
            "email": "bo@example.org",
            "role": "guest",
        }
        return self.event("invitation.created", **(data | {"expires_at": at("18:00"), "created_by": "ana"} | more))

    def invitation(self, kind: str, invitation_id: str = "i1", **more: Any) -> CloudEvent:
        """`accepted`, `revoked`."""
        return self.event(f"invitation.{kind}", invitation_id=invitation_id, workspace_id="w1", **more)

    def integration(self, kind: str = "installed", integration_id: str = "g1", **more: Any) -> CloudEvent:
        data: dict[str, Any] = {"integration_id": integration_id, "workspace_id": "w1"}
        if kind != "removed":
            data |= {"app_name": "Bot", "app_id": "b", "integration_type": "bot", "config": {"a": 1}}
            data |= {"scopes": ["read"], "status": "active", "installed_by": "ana"}
        return self.event(f"integration.{kind}", **(data | more))

    # ── conversations ──
    def channel(self, channel_id: str = "c1", kind: str = "created", **more: Any) -> CloudEvent:
        data: dict[str, Any] = {"channel_id": channel_id, "workspace_id": "w1"}
        if kind in {"created", "updated"}:
            data |= {"name": channel_id, "channel_type": "public", "is_general": False, "created_by": "ana"}
            data |= dict.fromkeys(("allow_threads", "allow_file_upload", "allow_external_sharing"), True)
        return self.event(f"channel.{kind}", **(data | more))

    def joined(self, user_id: str = "ana", channel_id: str = "c1", kind: str = "joined", **more: Any) -> CloudEvent:
        data: dict[str, Any] = {"channel_id": channel_id, "workspace_id": "w1", "user_id": user_id, "role": "member"}
        return self.event(f"channel_member.{kind}", **(data | {"notification_level": "all", "muted": False} | more))

    def left(self, user_id: str = "ana", channel_id: str = "c1", **more: Any) -> CloudEvent:
        data: dict[str, Any] = {"channel_id": channel_id, "workspace_id": "w1", "user_id": user_id}
        return self.event("channel_member.left", **(data | more))

    def read(self, message_id: str, until: str, user_id: str = "ana", **more: Any) -> CloudEvent:
        data: dict[str, Any] = {"channel_id": "c1", "workspace_id": "w1", "user_id": user_id}
        data |= {"last_read_message_id": message_id, "last_read_at": rfc3339(at(until))}
        return self.event("channel.read", **(data | more))

    def posted(self, message_id: str = "m1", content: str = "hello", **more: Any) -> CloudEvent:
        data: dict[str, Any] = {"message_id": message_id, "channel_id": "c1", "workspace_id": "w1", "user_id": "ana"}
        data |= {"content": content, "message_type": "text", "mentions": [], "file_ids": []}
        event = self.event("message.posted", **(data | more))
        event["data"].setdefault("created_at", event["time"])
        return event

    def edited(self, content: str, message_id: str = "m1", **more: Any) -> CloudEvent:
        data: dict[str, Any] = {"message_id": message_id, "channel_id": "c1", "workspace_id": "w1", "editor_id": "ana"}
        event = self.event("message.edited", **(data | {"content": content, "mentions": []} | more))
        event["data"].setdefault("edited_at", event["time"])
        return event

    def about(self, kind: str, message_id: str = "m1", **more: Any) -> CloudEvent:
        """`deleted`, `restored`, `pinned`, `unpinned`."""
        who = "user_id" if kind.endswith("pinned") else "actor_id"
        data: dict[str, Any] = {"message_id": message_id, "channel_id": "c1", "workspace_id": "w1", who: "ana"}
        return self.event(f"message.{kind}", **(data | more))

    def reacted(self, emoji: str = "👍", message_id: str = "m1", user_id: str = "ana", **more: Any) -> CloudEvent:
        data: dict[str, Any] = {"message_id": message_id, "channel_id": "c1", "workspace_id": "w1", "user_id": user_id}
        return self.event("reaction.added", **(data | {"emoji": emoji} | more))

    def unreacted(self, emoji: str = "👍", message_id: str = "m1", user_id: str = "ana", **more: Any) -> CloudEvent:
        return self.reacted(emoji, message_id, user_id, **more) | {"type": "collab.reaction.removed"}

    # ── files, activity, signals ──
    def uploaded(self, file_id: str = "f1", **more: Any) -> CloudEvent:
        data: dict[str, Any] = {"file_id": file_id, "workspace_id": "w1", "uploader_id": "ana", "filename": "plan.pdf"}
        data |= {"original_filename": "Plan.pdf", "file_size": 10, "mime_type": "application/pdf", "file_hash": "0"}
        data |= {"storage_provider": "s3", "storage_bucket": "b", "storage_key": "k", "is_public": False, "tags": []}
        return self.event("file.uploaded", **(data | more))

    def file(self, kind: str, file_id: str = "f1", **more: Any) -> CloudEvent:
        """`processed`, `scanned`, `accessed`, `deleted`."""
        defaults: dict[str, Any] = {
            "processed": {"processing_status": "completed", "extracted_text": "text"},
            "scanned": {"virus_scan_status": "clean"},
        }.get(kind, {"user_id": "ana"})
        return self.event(f"file.{kind}", **({"file_id": file_id, "workspace_id": "w1"} | defaults | more))

    def shared(self, file_id: str = "f1", message_id: str = "m1", kind: str = "shared", **more: Any) -> CloudEvent:
        data: dict[str, Any] = {"file_id": file_id, "workspace_id": "w1", "channel_id": "c1", "message_id": message_id}
        return self.event(f"file.{kind}", **(data | more))

    def activity(self, user_id: str | None = "ana", **more: Any) -> CloudEvent:
        data: dict[str, Any] = {"workspace_id": "w1", "user_id": user_id, "event_type": "opened", "metadata": {}}
        return self.event("activity.recorded", **(data | more))

    def started(self, session_id: str = "s1", user_id: str = "ana", **more: Any) -> CloudEvent:
        data: dict[str, Any] = {
            "session_id": session_id,
            "user_id": user_id,
            "workspace_id": "w1",
            "device_type": "web",
        }
        return self.event("session.started", **(data | {"ip_address": "", "user_agent": "", "permissions": []} | more))

    def ended(self, session_id: str = "s1", user_id: str = "ana", **more: Any) -> CloudEvent:
        return self.event("session.ended", session_id=session_id, user_id=user_id, **more)


def in_sequence(events: Iterable[CloudEvent]) -> list[CloudEvent]:
    """Sorted by sequence: the order in which things happened."""
    return sorted(events, key=lambda event: int(event["sequence"]))
