"""A first look through a bulk export: who and what there is, so that all of it can be made before the first message."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tailrace.history.mattermost_export import Line, MattermostExport
from tailrace.history.reading import UnreadableFileError
from tailrace.history.repeats import Repeats
from tailrace.history.report import Report
from tailrace.history.values import micros, objects_of, text_of, texts_of

Raw = Mapping[str, Any]
Name = tuple[str, ...]
"""What names a conversation: team and name; of a direct channel "", which no team is called, and its sorted members."""
UNKNOWN: Final = "unknown"
"""Stands for the author of what nobody is named as the author of."""
POSTS: Final = frozenset({"post", "direct_post"})
_PLAIN: Final = frozenset({"version", "role", "scheme", "emoji"})
"""Not imported: roles are taken from each user's own."""


@dataclass(slots=True)
class Survey:
    """What an export holds. `earliest` gives the time of the first post of each conversation, `lines` counts lines."""

    teams: dict[str, Raw] = field(default_factory=dict)
    channels: dict[Name, Raw] = field(default_factory=dict)
    directs: dict[Name, Raw] = field(default_factory=dict)
    users: dict[str, Raw] = field(default_factory=dict)
    bots: dict[str, Raw] = field(default_factory=dict)
    strangers: dict[str, str] = field(default_factory=dict)
    earliest: dict[Name, int] = field(default_factory=dict)
    repeats: Repeats = field(default_factory=Repeats)
    lines: int = 0

    @property
    def founded(self) -> int | None:
        """Time of the very first post."""
        return min(self.earliest.values(), default=None)


def survey(export: MattermostExport, report: Report) -> Survey:
    """Look through all lines; reports those that cannot be read and kinds that are not known."""
    found = Survey()
    for line in export.lines():
        found.lines += 1
        if isinstance(line, UnreadableFileError):
            report.cannot_read(line.file, line.reason)
        elif line.kind in POSTS:
            _count(line.value, report)
            _note_post(found, line)
        else:
            _note(found, line, report)
    for name in found.users.keys() | found.bots.keys():
        found.strangers.pop(name, None)
    return found


def place_of(line: Line) -> Name | None:
    """Return the conversation that a post is in; None where it names none."""
    if line.kind == "direct_post":
        return _direct(texts_of(line.value.get("channel_members")))
    team, channel = text_of(line.value.get("team")), text_of(line.value.get("channel"))
    return (team, channel) if team and channel else None


def post_name(place: Name, post: Raw) -> str:
    """Return what names a post: the export has no ids, so conversation, author and time."""
    return "\0".join([*place, text_of(post.get("user")) or "", str(post.get("create_at"))])


def replies_of(post: Raw) -> Iterator[Raw]:
    """Give a post's replies."""
    yield from objects_of(post.get("replies"))


def paths_of(post: Raw) -> list[str]:
    """Return the paths of a post's attachments, each once."""
    paths = (text_of(it.get("path")) for it in objects_of(post.get("attachments")))
    return list(dict.fromkeys(path for path in paths if path))


def _count(root: Raw, report: Report) -> None:
    # What is there, not what is made of it: a post that is left out has to show as a difference.
    replies = list(replies_of(root))
    report.saw("messages", 1 + len(replies))
    if replies:
        report.saw("replies", len(replies))
        report.saw("threads")
    for post in (root, *replies):
        for kind, things in (("reactions", objects_of(post.get("reactions"))), ("file_shares", paths_of(post))):
            if things:
                report.saw(kind, len(things))


def _note(found: Survey, line: Line, report: Report) -> None:
    value, name = line.value, text_of(line.value.get("name"))
    if line.kind == "team" and name:
        found.teams[name] = value
    elif line.kind == "channel" and name and (team := text_of(value.get("team"))):
        found.channels[team, name] = value
    elif line.kind in {"user", "bot"} and (username := text_of(value.get("username"))):
        (found.users if line.kind == "user" else found.bots)[username] = value
    elif line.kind == "direct_channel" and (direct := _direct(_members(value))):
        found.directs[direct] = value
        for member in direct[1:]:
            found.strangers.setdefault(member, line.where)
    elif line.kind not in _PLAIN:
        report.odd(f"line {line.kind}", line.where)
    elif line.kind == "emoji":
        report.saw("custom_emoji")


def _members(value: Raw) -> list[str]:
    participants = [text_of(it.get("username")) for it in objects_of(value.get("participants"))]
    return texts_of(value.get("members")) or [name for name in participants if name]


def _direct(members: list[str]) -> Name | None:
    return ("", *sorted(set(members))) if members else None


def _note_post(found: Survey, line: Line) -> None:
    place = place_of(line)
    if place is None:
        return
    for post in (line.value, *replies_of(line.value)):
        us = micros(post.get("create_at"))
        if us is None:
            continue
        found.earliest[place] = min(us, found.earliest.get(place, us))
        found.repeats.note(post_name(place, post))
        found.strangers.setdefault(text_of(post.get("user")) or UNKNOWN, line.where)
        for reaction in objects_of(post.get("reactions")):
            if name := text_of(reaction.get("user")):
                found.strangers.setdefault(name, line.where)
    if line.kind == "direct_post":
        found.directs.setdefault(place, {})
        for name in place[1:]:
            found.strangers.setdefault(name, line.where)
