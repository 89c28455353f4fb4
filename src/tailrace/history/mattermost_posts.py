"""Posts of a bulk export, with their replies and all that hangs on them."""

import mimetypes
import re
from collections.abc import Iterator
from typing import Any, Final

from tailrace.history.generated import Generated, Moment
from tailrace.history.making import FileFacts, Ids, Maker, Place, Post
from tailrace.history.mattermost_export import Line, MattermostExport
from tailrace.history.mattermost_people import People
from tailrace.history.mattermost_survey import UNKNOWN, Name, Raw, paths_of, post_name, replies_of
from tailrace.history.repeats import Repeats
from tailrace.history.values import first_text, micros, object_of, objects_of, text_of

_MENTION: Final = re.compile(r"(?<![\w@.])@([a-z0-9][a-z0-9._-]*)", re.IGNORECASE)
_WRITTEN: Final = frozenset({"", "slack_attachment", "me", "reminder", "custom_post"})
"""Types of posts that somebody wrote; plug-ins have types of their own, which begin with `custom_`."""


class Posts:
    """Makes the events of posts. Remembers the names of files it has met."""

    def __init__(self, export: MattermostExport, repeats: Repeats, ids: Ids, maker: Maker, people: People) -> None:
        self._export = export
        self._repeats = repeats
        self._ids = ids
        self._maker = maker
        self._people = people
        self._files: set[str] = set()

    def events(self, name: Name, place: Place, line: Line) -> Iterator[Generated]:
        """Make everything of one post: itself, then each reply. A root that comes twice keeps the replies of both."""
        root, again = self._post(name, line.value, None, line.where)
        if root is None:
            return
        if not again:
            yield from self._one(place, root, line.value, line.where)
        for reply in replies_of(line.value):
            post, again = self._post(name, reply, root.message_id, line.where)
            if post is not None and not again:
                yield from self._one(place, post, reply, line.where)

    def _post(self, name: Name, raw: Raw, thread_id: str | None, where: str) -> tuple[Post | None, bool]:
        """Return a post, None where it has no time, and whether it came before."""
        us = micros(raw.get("create_at"))
        if us is None:
            # Its replies have nothing to hang on either.
            self._maker.report.odd("post_without_time", where, 1 + len(list(replies_of(raw))))
            return None, False
        author, content = text_of(raw.get("user")), _content(raw)
        if author is None:
            self._maker.report.odd("post_without_author", where)
        key, again = self._repeats.told_apart(post_name(name, raw), content)
        if again:
            self._maker.report.odd("post_twice", where)
        kind = self._kind(raw, author or UNKNOWN, where)
        post = Post(
            self._ids.make("message", key),
            self._people.user(author or UNKNOWN),
            content,
            kind,
            Moment(us),
            thread_id,
            _formatted(raw),
            [] if kind == "system" else self._mentions(content),
            [self._ids.make("file", path) for path in paths_of(raw)],
        )
        return post, again

    def _one(self, place: Place, post: Post, raw: Raw, where: str) -> Iterator[Generated]:
        for path in paths_of(raw):
            yield from self._uploaded(place, post, path, where)
        yield self._maker.posted(place, post, where)
        last = post.at
        edited = micros(raw.get("edit_at"))
        if edited is not None:
            last = post.at.then(edited)
            yield self._maker.edited(place, post, post.user_id, post.content, last)
        for step, file_id in enumerate(post.file_ids, start=1):
            yield self._maker.shared(place, post, file_id, step)
        yield from self._reactions(place, post, raw, where)
        if raw.get("is_pinned") is True:
            self._maker.report.odd("pin_without_time", where)
            yield self._maker.pinned(place, post, post.user_id, last.then(last.us))

    def _reactions(self, place: Place, post: Post, raw: Raw, where: str) -> Iterator[Generated]:
        step, given = post.at.step, set[tuple[str, str]]()
        for reaction in objects_of(raw.get("reactions")):
            user, emoji = text_of(reaction.get("user")), text_of(reaction.get("emoji_name"))
            if user is None or emoji is None:
                self._maker.report.odd("reaction_without_user_or_name", where)
                continue
            if (user, emoji) in given:
                self._maker.report.odd("reaction_twice", where)
                continue
            given.add((user, emoji))
            step += 1
            us = micros(reaction.get("create_at"))
            at = Moment(post.at.us, step) if us is None else Moment(us, step)
            yield self._maker.reaction(place, post, self._people.user(user), f":{emoji}:", at)

    def _uploaded(self, place: Place, post: Post, path: str, where: str) -> Iterator[Generated]:
        if path in self._files:
            return
        self._files.add(path)
        size, name = self._export.size_of(path), path.rpartition("/")[2] or path
        if size is None:
            self._maker.report.odd("file_without_size", where)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        facts = FileFacts(self._ids.make("file", path), path, name, size or 0, kind, post.user_id)
        yield self._maker.file(place.workspace_id, facts, post.at)

    def _kind(self, raw: Raw, author: str, where: str) -> str:
        type_ = text_of(raw.get("type")) or ""
        props = object_of(raw.get("props"))
        if type_.startswith("system_"):
            return "system"
        if type_ not in _WRITTEN and not type_.startswith("custom_"):
            self._maker.report.odd(f"type {type_}", where)
        if self._people.is_bot(author) or "true" in {props.get("from_webhook"), props.get("from_bot")}:
            return "bot"
        return "file" if paths_of(raw) else "text"

    def _mentions(self, content: str) -> list[str]:
        found: dict[str, None] = {}
        for match in _MENTION.finditer(content):
            # A full stop behind a name may be the sentence's, or the name's.
            for name in (match[1].lower(), match[1].lower().rstrip("._-")):
                if self._people.is_known(name):
                    found[self._people.user(name)] = None
                    break
        return list(found)


def _content(raw: Raw) -> str:
    """The message or, where it is empty, what its attachments say."""
    if text := text_of(raw.get("message")):
        return text
    parts = []
    for attachment in objects_of(object_of(raw.get("props")).get("attachments")):
        said = [text_of(attachment.get(name)) for name in ("pretext", "title", "text")]
        parts += [text for text in said if text] or [first_text(attachment.get("fallback")) or ""]
    return "\n".join(filter(None, parts))


def _formatted(raw: Raw) -> dict[str, Any] | None:
    formatted: dict[str, Any] = {}
    if props := object_of(raw.get("props")):
        formatted["mattermost_props"] = props
    if type_ := text_of(raw.get("type")):
        formatted["mattermost_type"] = type_
    return formatted or None
