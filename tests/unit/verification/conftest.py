"""A tiny language for facts about the fold: `given.…` makes events, `folded(…)` says what they lead to.

Ids are short words here ("m1", "ana"): the fold compares ids and never looks inside. The order of the arguments of
`folded` is the order of the log. Each event made by `given` is by default one minute later than the one made before it,
and one sequence above it.
"""

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace.schemas.event import Event
from tailrace.verification.fold import fold

BASE = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ORDERS_MAX = 120
"""Permutations of one log that are tried: all of up to five events, a seeded sample of more."""


def at(text: str) -> datetime:
    """`12:30` of the day of the tests, or a whole date and time; UTC."""
    whole = text if "-" in text else f"2026-11-20T{text}"
    return datetime.fromisoformat(whole).replace(tzinfo=UTC)


class Given:
    """Makes events. `seq`, `time` (text as for `at`) and `id` are the envelope's, everything else is data."""

    def __init__(self) -> None:
        self._made = 0

    def event(
        self,
        name: str,
        /,
        *,
        seq: int | None = None,
        time: str | None = None,
        id: str | None = None,  # noqa: A002 - its name in the envelope
        **data: Any,
    ) -> Event:
        self._made += 1
        happened = at(time) if time else BASE + timedelta(minutes=self._made)
        return Event(
            type=f"collab.{name}",
            id=id or f"event-{self._made:03}",
            sequence=self._made if seq is None else seq,
            time=happened,
            data=data,
            source="/tests",
            subject="-",
            schemaversion=1,
            workspaceid=None,
            correlationid=None,
            causationid=None,
            appended_at=happened + timedelta(seconds=1),
        )

    # ── directory ──
    def user(self, name: str = "user.registered", user_id: str = "ana", **more: Any):
        profile = {"email": "ana@example.org", "username": "ana", "display_name": "Ana", "avatar_url": None}
        profile |= {"timezone": "UTC", "title": None, "phone": None, "bio": None, "pronouns": None, "language": "pt"}
        return self.event(name, **({"user_id": user_id} | profile | more))

    def status(self, status: str, user_id: str = "ana", **more: Any):
        return self.event("user.status_changed", user_id=user_id, status=status, **more)

    def preferences(self, notification_settings: dict[str, Any], user_id: str = "ana", **more: Any):
        data = {"user_id": user_id, "notification_settings": notification_settings, "theme_preferences": {}}
        return self.event("user.preferences_changed", **(data | more))

    def logged_in(self, user_id: str = "ana", **more: Any):
        return self.event("user.logged_in", user_id=user_id, **more)

    def erased(self, user_id: str = "ana", **more: Any):
        return self.event("user.erased", user_id=user_id, **more)

    def workspace(self, name: str = "workspace.created", /, workspace_id: str = "w1", **more: Any):
        profile = {"name": "Acme", "slug": "acme", "domain": None, "description": None, "avatar_url": None}
        profile |= {"owner_id": "ana", "settings": {}, "plan_type": "free", "max_members": 10, "billing_email": None}
        profile |= {"subscription_status": "active", "sso_enabled": False, "require_2fa": False}
        return self.event(name, **({"workspace_id": workspace_id} | profile | more))

    def workspace_deleted(self, workspace_id: str = "w1", **more: Any):
        return self.event("workspace.deleted", workspace_id=workspace_id, **more)

    def hired(self, user_id: str = "ana", workspace_id: str = "w1", name: str = "workspace_member.joined", **more: Any):
        data = {"role": "member", "title": None, "department": None, "permissions": None, "timezone": None}
        data |= {"invited_by": None, "workspace_id": workspace_id, "user_id": user_id}
        return self.event(name, **(data | more))

    def removed(self, user_id: str = "ana", workspace_id: str = "w1", **more: Any):
        data = {"workspace_id": workspace_id, "user_id": user_id, "removed_by": None}
        return self.event("workspace_member.left", **(data | more))

    def invitation(self, name: str = "invitation.created", invitation_id: str = "i1", **more: Any):
        data = {"invitation_id": invitation_id, "workspace_id": "w1"}
        if name == "invitation.created":
            data |= {"email": "bo@example.org", "role": "guest", "expires_at": at("18:00"), "created_by": "ana"}
        return self.event(name, **(data | more))

    def integration(self, name: str = "integration.installed", integration_id: str = "g1", **more: Any):
        data = {"integration_id": integration_id, "workspace_id": "w1"}
        if name != "integration.removed":
            data |= {"app": {"app_id": "b", "name": "Bot", "publisher": None}, "integration_type": "bot"}
            data |= {"config": {"a": 1}, "scopes": ["read"], "channel_id": None, "installed_by": "ana"}
            data["health"] = {"status": more.pop("status", "active"), "last_error": None, "since": None}
        return self.event(name, **(data | more))

    # ── conversations ──
    def channel(self, name: str = "channel.created", /, channel_id: str = "c1", **more: Any):
        data = {"channel_id": channel_id, "workspace_id": "w1"}
        if name in {"channel.created", "channel.updated"}:
            data |= {"name": "general", "display_name": None, "description": None, "channel_type": "public"}
            data |= {"is_general": False, "topic": None, "purpose": None, "retention_policy": None, "created_by": "ana"}
            data |= dict.fromkeys(("allow_threads", "allow_file_upload", "allow_external_sharing"), True)
        return self.event(name, **(data | more))

    def joined(self, user_id: str = "ana", channel_id: str = "c1", name: str = "channel_member.joined", **more: Any):
        data = {"channel_id": channel_id, "workspace_id": "w1", "user_id": user_id, "role": "member"}
        data |= {"notification_level": "all", "muted": False, "muted_until": None, "invited_by": None}
        return self.event(name, **(data | more))

    def left(self, user_id: str = "ana", channel_id: str = "c1", **more: Any):
        data = {"channel_id": channel_id, "workspace_id": "w1", "user_id": user_id, "removed_by": None}
        return self.event("channel_member.left", **(data | more))

    def read(self, message_id: str, until: str, user_id: str = "ana", **more: Any):
        data = {"channel_id": "c1", "workspace_id": "w1", "user_id": user_id, "mark_unread": False}
        data |= {"last_read_message_id": message_id, "last_read_at": at(until)}
        return self.event("channel.read", **(data | more))

    def posted(self, message_id: str = "m1", content: str = "hello", **more: Any):
        data = {"message_id": message_id, "channel_id": "c1", "workspace_id": "w1", "user_id": "ana"}
        data |= {"content": content, "message_type": "text", "formatted_content": None, "thread_id": None}
        data |= {"client_msg_id": None, "mentions": [], "file_ids": []}
        event = self.event("message.posted", **(data | more))
        event.data.setdefault("created_at", event.time)
        return event

    def edited(self, content: str, message_id: str = "m1", **more: Any):
        data = {"message_id": message_id, "channel_id": "c1", "workspace_id": "w1", "message_created_at": None}
        data |= {"editor_id": "ana", "content": content, "formatted_content": None, "mentions": []}
        event = self.event("message.edited", **(data | more))
        event.data.setdefault("edited_at", event.time)
        return event

    def about(self, name: str, message_id: str = "m1", **more: Any):
        """`message.deleted`, `.restored`, `.pinned`, `.unpinned`."""
        data = {"message_id": message_id, "channel_id": "c1", "workspace_id": "w1", "message_created_at": None}
        who = "user_id" if name.endswith("pinned") else "actor_id"
        return self.event(name, **(data | {who: "ana"} | more))

    def reacted(
        self, emoji: str = "👍", message_id: str = "m1", user_id: str = "ana", name: str = "reaction.added", **more: Any
    ):
        data = {"message_id": message_id, "channel_id": "c1", "workspace_id": "w1", "message_created_at": None}
        return self.event(name, **(data | {"user_id": user_id, "emoji": emoji} | more))

    # ── files, activity, signals ──
    def uploaded(self, file_id: str = "f1", **more: Any):
        data = {"file_id": file_id, "workspace_id": "w1", "uploader_id": "ana", "filename": "plan.pdf"}
        data |= {"original_filename": "Plan.pdf", "file_size": 10, "mime_type": "application/pdf", "file_hash": "0"}
        data |= {"storage_provider": "s3", "storage_bucket": "b", "storage_key": "k", "storage_region": None}
        return self.event("file.uploaded", **(data | {"is_public": False, "tags": [], "expires_at": None} | more))

    def file(self, name: str, file_id: str = "f1", **more: Any):
        """`file.processed`, `.scanned`, `.accessed`, `.deleted`."""
        defaults = {
            "file.processed": {"processing_status": "completed", "thumbnails": None, "extracted_text": "text"},
            "file.scanned": {"virus_scan_status": "clean", "virus_scan_result": None},
        }.get(name, {"user_id": "ana"})
        return self.event(name, **({"file_id": file_id, "workspace_id": "w1"} | defaults | more))

    def shared(self, file_id: str = "f1", message_id: str = "m1", name: str = "file.shared", **more: Any):
        data = {"file_id": file_id, "workspace_id": "w1", "channel_id": "c1", "message_id": message_id}
        return self.event(name, **(data | {"message_created_at": None, "file_comment": None} | more))

    def activity(self, user_id: str | None = "ana", **more: Any):
        data = {"workspace_id": "w1", "user_id": user_id, "event_type": "opened", "metadata": {}}
        return self.event("activity.recorded", **(data | more))

    def started(self, session_id: str = "s1", user_id: str = "ana", **more: Any):
        data = {"session_id": session_id, "user_id": user_id, "workspace_id": "w1", "device_type": "web"}
        return self.event("session.started", **(data | {"ip_address": "", "user_agent": "", "permissions": []} | more))

    def ended(self, session_id: str = "s1", user_id: str = "ana", **more: Any):
        return self.event("session.ended", session_id=session_id, user_id=user_id, **more)


@dataclass(frozen=True)
class Tables:
    """What a log leads to, with a short way to the rows that tests ask for."""

    all: dict[str, dict[tuple, dict]]

    def __getitem__(self, table: str) -> dict[tuple, dict]:
        return self.all[table]

    def row(self, table: str, *key: Any) -> dict:
        return self.all[table][key]

    def message(self, message_id: str = "m1") -> dict:
        (row,) = (row for (found, _), row in self.all["messages"].items() if found == message_id)
        return row

    def messages(self) -> set[str]:
        return {message_id for message_id, _ in self.all["messages"]}

    def file(self, file_id: str = "f1") -> dict:
        return self.all["files"]["w1", file_id]


def in_log_order(events: Iterable[Event]) -> list[Event]:
    return [replace(event, topic="log", partition=0, offset=offset) for offset, event in enumerate(events)]


def fold_thrice(*events: Event) -> Tables:
    """Fold the log as it is; delivered twice at once, or replayed from the beginning, it must lead to the same."""
    tables = fold(in_log_order(events))
    assert fold(in_log_order(event for event in events for _ in range(2))) == tables
    assert fold(in_log_order([*events, *events])) == tables
    return Tables(tables)


def fold_in_every_order(*events: Event) -> Tables:
    """Fold every order of the log; all must lead to the same."""
    tables = fold_thrice(*events)
    orders = list(itertools.islice(itertools.permutations(events), ORDERS_MAX))
    if len(events) > 5:
        shuffler = random.Random(1)
        orders = [shuffler.sample(events, len(events)) for _ in range(ORDERS_MAX)]
    for order in orders:
        assert fold(in_log_order(order)) == tables.all
    return tables


@pytest.fixture
def given() -> Given:
    return Given()


@pytest.fixture
def folded():
    return fold_thrice


@pytest.fixture
def folded_in_any_order():
    return fold_in_every_order


@pytest.fixture
def time():
    return at
