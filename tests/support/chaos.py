"""Small worlds in which everything collides: random events about few subjects, with random sequences and times.

A believable company hardly ever edits a message before it is posted, ties sequences or erases an author in between;
here that is the usual case. `chaos(seed, count)` gives the events, `as_log` cuts them into a log.
"""

import json
import random
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from tailrace.consumers.batch import Record
from tailrace.schemas.catalogue import key_of, topic_of

START = datetime(2026, 10, 28, tzinfo=UTC)
EMOJI = ("👍", "+1", ":thumbsup:", "❤", "❤️", "👍🏽", ":Party:")
TEXTS = ("", "a", "b", "hello", "hello again", "nul \x00 here", "long " * 50)


def _id(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


class World:
    """The few subjects of one run."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.workspaces = [_id(rng) for _ in range(2)]
        self.users = [_id(rng) for _ in range(6)]
        self.channels = {_id(rng): rng.choice(self.workspaces) for _ in range(5)}
        self.messages = {_id(rng): rng.choice(list(self.channels)) for _ in range(22)}
        self.created = {message: START + timedelta(hours=rng.randrange(200)) for message in self.messages}
        self.files = {_id(rng): rng.choice(self.workspaces) for _ in range(4)}
        self.sessions = {_id(rng): (rng.choice(self.users), rng.choice(self.workspaces)) for _ in range(5)}
        self.integrations = {_id(rng): rng.choice(self.workspaces) for _ in range(2)}
        self.invitations = {_id(rng): rng.choice(self.workspaces) for _ in range(2)}

    def time(self) -> datetime:
        return START + timedelta(seconds=self.rng.randrange(20 * 86_400), microseconds=self.rng.randrange(3))

    def maybe(self, value: Any) -> Any:
        return value if self.rng.random() < 0.5 else None


def chaos(seed: int, count: int) -> list[dict[str, Any]]:
    """CloudEvents in no particular order; each type of the contract that a table depends on appears."""
    world = World(random.Random(seed))
    makers = [maker for maker, weight in _MAKERS for _ in range(weight)]
    events = [_event(world, *world.rng.choice(makers)(world)) for _ in range(count)]
    posted: set[str] = set()
    return [event for event in events if _first_posting(event, posted) or world.rng.random() < 0.2]


def _first_posting(event: dict[str, Any], posted: set[str]) -> bool:
    """Keep most repeats of a posting out; a few show that the first in the log wins."""
    if event["type"] != "collab.message.posted":
        return True
    message_id = event["data"]["message_id"]
    first = message_id not in posted
    posted.add(message_id)
    return first


def _event(world: World, name: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": _id(world.rng),
        "type": f"collab.{name}",
        "source": "/chaos",
        "subject": "s",
        "time": _text(world.time()),
        "sequence": str(world.rng.randrange(1, 30)),
        "data": data,
    }


def as_log(events: Iterable[dict[str, Any]], *, topic_prefix: str, partitions: int, appended: datetime) -> list[Record]:
    """Records in publication order, with offsets per partition as a broker would give them."""
    offsets: dict[tuple[str, int], int] = {}
    records = []
    for number, event in enumerate(events):
        short = topic_of(event["type"])
        key = key_of(event["type"], event["data"])
        partition = uuid.UUID(key).int % partitions
        offset = offsets.get((short, partition), 0)
        offsets[short, partition] = offset + 1
        at = int(appended.timestamp() * 1000) + number
        value = json.dumps(event, ensure_ascii=number % 2 == 0).encode()
        records.append(Record(f"{topic_prefix}{short}", partition, offset, at, key.encode(), value))
    return records


# ── makers: (type without prefix, data) ──────────────────────────────────────────────────────────────────────────────


def _user(w: World) -> tuple[str, dict[str, Any]]:
    user = w.rng.choice(w.users)
    kind = w.rng.choice(["registered", "updated", "status_changed", "preferences_changed", "logged_in"])
    if kind == "status_changed":
        return "user.status_changed", {"user_id": user, "status": w.rng.choice(["active", "suspended"])}
    if kind == "preferences_changed":
        return f"user.{kind}", {"user_id": user, "notification_settings": {"n": 1}, "theme_preferences": {}}
    if kind == "logged_in":
        return f"user.{kind}", {"user_id": user}
    name = w.rng.choice(["ana", "bo", "cy"])
    return f"user.{kind}", {
        "user_id": user, "email": f"{name}@x", "username": name, "display_name": name.title(), "avatar_url": None,
        "timezone": "UTC", "title": w.maybe("t"), "bio": w.maybe("b"), "language": "en",
    }  # fmt: skip


def _erased(w: World) -> tuple[str, dict[str, Any]]:
    return "user.erased", {"user_id": w.users[0]}


def _workspace(w: World) -> tuple[str, dict[str, Any]]:
    kind = w.rng.choice(["created", "updated"])
    return f"workspace.{kind}", {
        "workspace_id": w.rng.choice(w.workspaces), "name": w.rng.choice("ab"), "slug": "s", "owner_id": w.users[1],
        "settings": {"timezone": "Europe/Lisbon"}, "plan_type": "free", "max_members": 10,
        "subscription_status": "ok", "sso_enabled": False, "require_2fa": True,
    }  # fmt: skip


def _workspace_deleted(w: World) -> tuple[str, dict[str, Any]]:
    return "workspace.deleted", {"workspace_id": w.workspaces[0]}


def _workspace_member(w: World) -> tuple[str, dict[str, Any]]:
    data = {"workspace_id": w.rng.choice(w.workspaces), "user_id": w.rng.choice(w.users)}
    kind = w.rng.choice(["joined", "updated", "left"])
    if kind != "left":
        data |= {"role": w.rng.choice(["admin", "member", "guest"]), "title": w.maybe("x"), "permissions": {"a": 1}}
    return f"workspace_member.{kind}", data


def _invitation(w: World) -> tuple[str, dict[str, Any]]:
    invitation, workspace = w.rng.choice(list(w.invitations.items()))
    kind = w.rng.choice(["created", "accepted", "revoked"])
    data: dict[str, Any] = {"invitation_id": invitation, "workspace_id": workspace}
    if kind == "created":
        data |= {"email": "x@y", "role": "member", "expires_at": _text(w.time()), "created_by": w.users[1]}
    return f"invitation.{kind}", data


def _integration(w: World) -> tuple[str, dict[str, Any]]:
    integration, workspace = w.rng.choice(list(w.integrations.items()))
    kind = w.rng.choice(["installed", "updated", "removed"])
    data: dict[str, Any] = {"integration_id": integration, "workspace_id": workspace}
    if kind != "removed":
        data |= {
            "app_name": "app", "app_id": "1", "integration_type": "bot", "config": {"k": [1, 2.5]}, "scopes": ["a"],
            "status": w.rng.choice(["active", "error"]), "installed_by": w.users[2],
        }  # fmt: skip
    return f"integration.{kind}", data


def _channel(w: World) -> tuple[str, dict[str, Any]]:
    channel, workspace = w.rng.choice(list(w.channels.items()))
    kind = w.rng.choice(["created", "updated", "archived", "unarchived"])
    data: dict[str, Any] = {"channel_id": channel, "workspace_id": workspace}
    if kind in {"created", "updated"}:
        data |= {
            "name": w.rng.choice(["general", "random"]), "channel_type": w.rng.choice(["public", "private"]),
            "is_general": w.rng.random() < 0.5, "topic": w.maybe("t"), "allow_threads": True,
            "allow_file_upload": True, "allow_external_sharing": False, "created_by": w.users[3],
        }  # fmt: skip
    return f"channel.{kind}", data


def _channel_deleted(w: World) -> tuple[str, dict[str, Any]]:
    channel = next(iter(w.channels))
    return "channel.deleted", {"channel_id": channel, "workspace_id": w.channels[channel]}


def _channel_member(w: World) -> tuple[str, dict[str, Any]]:
    channel, workspace = w.rng.choice(list(w.channels.items()))
    kind = w.rng.choice(["joined", "updated", "left"])
    data: dict[str, Any] = {"channel_id": channel, "workspace_id": workspace, "user_id": w.rng.choice(w.users)}
    if kind != "left":
        data |= {"role": "member", "notification_level": w.rng.choice(["all", "none"]), "muted": w.rng.random() < 0.5}
    return f"channel_member.{kind}", data


def _read(w: World) -> tuple[str, dict[str, Any]]:
    channel, workspace = w.rng.choice(list(w.channels.items()))
    data = {
        "channel_id": channel, "workspace_id": workspace, "user_id": w.rng.choice(w.users),
        "last_read_message_id": w.rng.choice(list(w.messages)), "last_read_at": _text(w.time()),
    }  # fmt: skip
    return "channel.read", data


def _posted(w: World) -> tuple[str, dict[str, Any]]:
    message, channel = w.rng.choice(list(w.messages.items()))
    same = [other for other, of in w.messages.items() if of == channel]
    parent = w.rng.choice([None, None, w.rng.choice(same), w.rng.choice(list(w.messages)), message])
    return "message.posted", {
        "message_id": message, "channel_id": channel, "workspace_id": w.channels[channel],
        "user_id": w.rng.choice(w.users), "content": w.rng.choice(TEXTS), "formatted_content": w.maybe({"b": [1]}),
        "message_type": w.rng.choice(["text", "file", "system", "bot"]), "thread_id": parent,
        "client_msg_id": w.rng.choice([None, "", "c1", "c2", "c3"]),
        "mentions": [w.users[1], w.users[2], w.users[1]], "file_ids": [], "created_at": _text(w.created[message]),
    }  # fmt: skip


def _about(w: World) -> dict[str, Any]:
    message, channel = w.rng.choice(list(w.messages.items()))
    return {
        "message_id": message, "channel_id": channel, "workspace_id": w.channels[channel],
        "message_created_at": w.maybe(_text(w.rng.choice([w.created[message], w.time()]))),
    }  # fmt: skip


def _message(w: World) -> tuple[str, dict[str, Any]]:
    data = _about(w)
    kind = w.rng.choice(["edited", "edited", "edited", "deleted", "restored", "pinned", "unpinned"])
    if kind == "edited":
        data |= {
            "editor_id": w.rng.choice(w.users), "content": w.rng.choice(TEXTS), "mentions": [w.users[4]],
            "edited_at": _text(w.time()), "formatted_content": w.maybe({"e": 1}),
        }  # fmt: skip
    elif kind in {"deleted", "restored"}:
        data |= {"actor_id": w.rng.choice(w.users)}
    else:
        data |= {"user_id": w.rng.choice(w.users)}
    return f"message.{kind}", data


def _reaction(w: World) -> tuple[str, dict[str, Any]]:
    data = _about(w) | {"user_id": w.rng.choice(w.users), "emoji": w.rng.choice(EMOJI)}
    return f"reaction.{w.rng.choice(['added', 'added', 'removed'])}", data


def _file(w: World) -> tuple[str, dict[str, Any]]:
    file, workspace = w.rng.choice(list(w.files.items()))
    data: dict[str, Any] = {"file_id": file, "workspace_id": workspace}
    kind = w.rng.choice(["uploaded", "processed", "scanned", "shared", "shared", "unshared", "accessed", "deleted"])
    match kind:
        case "uploaded":
            data |= {
                "uploader_id": w.rng.choice(w.users), "filename": "f.txt", "original_filename": "F.txt",
                "file_size": w.rng.choice([0, 2**53 + 1]), "mime_type": "text/plain", "file_hash": "h",
                "storage_provider": "s3", "storage_bucket": "b", "storage_key": "k", "is_public": False,
                "tags": ["x", "y"], "expires_at": None,
            }  # fmt: skip
        case "processed":
            data |= {"processing_status": "completed", "thumbnails": {"s": "u"}, "extracted_text": w.maybe("words")}
        case "scanned":
            data |= {"virus_scan_status": w.rng.choice(["clean", "infected"])}
        case "shared" | "unshared":
            message, channel = w.rng.choice(list(w.messages.items())[:6])
            data |= {"channel_id": channel, "message_id": message, "file_comment": w.maybe("c")}
        case _:
            data |= {"user_id": w.rng.choice(w.users)}
            if kind == "deleted" and w.rng.random() < 0.7:
                return "file.accessed", data
    return f"file.{kind}", data


def _session(w: World) -> tuple[str, dict[str, Any]]:
    session, (user, workspace) = w.rng.choice(list(w.sessions.items()))
    if w.rng.random() < 0.5:
        return "session.ended", {"session_id": session, "user_id": user}
    return "session.started", {
        "session_id": session, "user_id": user, "workspace_id": workspace, "device_type": "web",
        "ip_address": "127.0.0.1", "user_agent": "x", "permissions": [],
    }  # fmt: skip


def _activity(w: World) -> tuple[str, dict[str, Any]]:
    data = {"workspace_id": w.rng.choice(w.workspaces), "user_id": w.maybe(w.rng.choice(w.users))}
    return "activity.recorded", data | {"event_type": "click", "metadata": {"n": 1.5, "big": 2**53 + 1}}


_MAKERS = (
    (_user, 6), (_workspace, 3), (_workspace_member, 8), (_invitation, 2), (_integration, 3), (_channel, 8),
    (_channel_member, 12), (_read, 6), (_posted, 30), (_message, 25), (_reaction, 20), (_file, 16), (_session, 5),
    (_activity, 3), (_erased, 1), (_workspace_deleted, 1), (_channel_deleted, 1),
)  # fmt: skip
