"""The events that imports of every product make: one method for each, from plain values.

Times are `Moment`s, ids are texts of UUIDs. What a product's own names become is decided by its importer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid5

import orjson

from tailrace.history.generated import EventWriter, Generated, Moment

CONTENT_CHARS_MAX: Final = 100_000
FORMATTED_BYTES_MAX: Final = 256 * 2**10
"""Together they keep an event under the contract's 1 MiB."""
SIZE_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Ids:
    """UUIDv5s in the namespace of what was exported: the same export, or a later one, makes the same ids."""

    namespace: UUID

    def make(self, kind: str, name: str) -> str:
        """Return the id of something by its kind and its name in the export."""
        return str(uuid5(self.namespace, f"{kind}:{name}"))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, as the read models show them."""

    user_id: str
    email: str
    username: str
    display_name: str
    timezone: str = "UTC"
    language: str = "en"
    title: str | None = None
    bio: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A conversation's ids."""

    channel_id: str
    workspace_id: str


@dataclass(frozen=True, slots=True)
class Profile:
    """What is said of a conversation. `kind` is one of public, private, dm, group_dm."""

    name: str
    kind: str
    created_by: str
    display_name: str | None = None
    topic: str | None = None
    purpose: str | None = None
    is_general: bool = False


@dataclass(frozen=True, slots=True)
class Post:
    """A message as it was posted. `kind` is one of text, file, system, bot."""

    message_id: str
    user_id: str
    content: str
    kind: str
    at: Moment
    thread_id: str | None = None
    formatted: Mapping[str, Any] | None = None
    mentions: list[str] = field(default_factory=list)
    file_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of a file; its bytes are not imported. `key` is its name in the export."""

    file_id: str
    key: str
    name: str
    size: int
    mime_type: str
    uploader_id: str


class Maker:
    """Makes events. `provider` stands in the events of files for where they are stored."""

    def __init__(self, writer: EventWriter, provider: str) -> None:
        self.report = writer.report
        self._writer = writer
        self._provider = provider

    def workspace(self, workspace_id: str, name: str, slug: str, owner_id: str, at: Moment) -> Generated:
        data = {
            "workspace_id": workspace_id,
            "name": name,
            "slug": slug,
            "owner_id": owner_id,
            "settings": {},
            "plan_type": "imported",
            "max_members": 0,
            "subscription_status": "active",
            "sso_enabled": False,
            "require_2fa": False,
        }
        return self._writer.write("workspace.created", workspace_id, at, data)

    def person(self, person: Person, at: Moment) -> Generated:
        data = {
            "user_id": person.user_id,
            "email": person.email,
            "username": person.username,
            "display_name": person.display_name,
            "timezone": person.timezone,
            "language": person.language,
            "title": person.title,
            "bio": person.bio,
        }
        return self._writer.write("user.registered", person.user_id, at, data)

    def member(self, workspace_id: str, user_id: str, role: str, at: Moment) -> Generated:
        data = {"workspace_id": workspace_id, "user_id": user_id, "role": role}
        return self._writer.write("workspace_member.joined", f"{workspace_id}/{user_id}", at, data)

    def deactivated(self, user_id: str, workspace_ids: list[str], at: Moment) -> Iterator[Generated]:
        """An account that was switched off: it keeps its history and is a member of nothing."""
        self.report.saw("deactivated")
        yield self._writer.write("user.status_changed", user_id, at, {"user_id": user_id, "status": "suspended"})
        for workspace_id in workspace_ids:
            left = {"workspace_id": workspace_id, "user_id": user_id}
            yield self._writer.write("workspace_member.left", f"{workspace_id}/{user_id}", at, left)

    def channel(self, place: Place, profile: Profile, at: Moment) -> Generated:
        data = {
            "channel_id": place.channel_id,
            "workspace_id": place.workspace_id,
            "name": profile.name,
            "display_name": profile.display_name,
            "channel_type": profile.kind,
            "is_general": profile.is_general,
            "topic": profile.topic,
            "purpose": profile.purpose,
            "allow_threads": True,
            "allow_file_upload": True,
            "allow_external_sharing": False,
            "created_by": profile.created_by,
        }
        return self._writer.write("channel.created", place.channel_id, at, data)

    def archived(self, place: Place, at: Moment) -> Generated:
        data = {"channel_id": place.channel_id, "workspace_id": place.workspace_id}
        return self._writer.write("channel.archived", place.channel_id, at, data)

    def joined(self, place: Place, user_id: str, at: Moment, **more: Any) -> Generated:
        """A channel member; `more` are fields of the event beside the defaults."""
        data = {
            "channel_id": place.channel_id,
            "workspace_id": place.workspace_id,
            "user_id": user_id,
            "role": "member",
            "notification_level": "all",
            "muted": False,
            **more,
        }
        return self._writer.write("channel_member.joined", f"{place.channel_id}/{user_id}", at, data)

    def posted(self, place: Place, post: Post, where: str) -> Generated:
        """A message; `where` is its place in the export, for the report."""
        data = {
            "message_id": post.message_id,
            "channel_id": place.channel_id,
            "workspace_id": place.workspace_id,
            "user_id": post.user_id,
            "content": self._content(post.content, where),
            "message_type": post.kind,
            "formatted_content": self._formatted(post.formatted, where),
            "thread_id": post.thread_id,
            "mentions": post.mentions,
            "file_ids": post.file_ids,
            "created_at": post.at.time,
        }
        return self._writer.write("message.posted", post.message_id, post.at, data)

    def edited(self, place: Place, post: Post, editor_id: str, content: str, at: Moment) -> Generated:
        """A later text of a message; with the same text it only shows as edited (ruling 17)."""
        self.report.saw("edits")
        data = {
            **_reference(place, post),
            "editor_id": editor_id,
            "content": self._content(content, None),
            "formatted_content": self._formatted(post.formatted, None),
            "mentions": post.mentions,
            "edited_at": at.time,
        }
        return self._writer.write("message.edited", post.message_id, at, data)

    def reaction(self, place: Place, post: Post, user_id: str, emoji: str, at: Moment) -> Generated:
        data = {**_reference(place, post), "user_id": user_id, "emoji": emoji}
        return self._writer.write("reaction.added", post.message_id, at, data, tag=f"{user_id}:{emoji}")

    def pinned(self, place: Place, post: Post, user_id: str, at: Moment) -> Generated:
        self.report.saw("pins")
        return self._writer.write(
            "message.pinned", post.message_id, at, {**_reference(place, post), "user_id": user_id}
        )

    def file(self, workspace_id: str, file: FileFacts, at: Moment) -> Generated:
        self.report.saw("files")
        data = {
            "file_id": file.file_id,
            "workspace_id": workspace_id,
            "uploader_id": file.uploader_id,
            "filename": file.name,
            "original_filename": file.name,
            "file_size": min(max(file.size, 0), SIZE_MAX),
            "mime_type": file.mime_type,
            # Not a hash of the content, which is not read; it is equal for the same file.
            "file_hash": f"{self._provider}:{file.key}",
            "storage_provider": self._provider,
            "storage_bucket": "export",
            "storage_key": file.key,
            "is_public": False,
            "tags": [],
        }
        return self._writer.write("file.uploaded", file.file_id, at, data)

    def shared(self, place: Place, post: Post, file_id: str, step: int) -> Generated:
        """A share of a file; it happened with the message, `step` is its place among the message's."""
        data = {"file_id": file_id, **_reference(place, post)}
        at = Moment(post.at.us, post.at.step + step)
        return self._writer.write("file.shared", f"{post.message_id}/{file_id}", at, data, tag="")

    def _content(self, content: str, where: str | None) -> str:
        if len(content) > CONTENT_CHARS_MAX and where:
            self.report.odd("text_cut", where)
        return content[:CONTENT_CHARS_MAX]

    def _formatted(self, formatted: Mapping[str, Any] | None, where: str | None) -> Mapping[str, Any] | None:
        if not formatted:
            return None
        try:
            fits = len(orjson.dumps(formatted)) <= FORMATTED_BYTES_MAX
        except TypeError:
            # Nested deeper than orjson writes, or a number beyond 64 bits.
            fits = False
        if not fits and where:
            self.report.odd("formatting_too_large", where)
        return formatted if fits else None


def _reference(place: Place, post: Post) -> dict[str, Any]:
    return {
        "message_id": post.message_id,
        "channel_id": place.channel_id,
        "workspace_id": place.workspace_id,
        "message_created_at": post.at.time,
    }
