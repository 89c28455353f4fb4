"""A Slack export as Slack documents it: lists of people and conversations, and a file per conversation and day."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from tailrace.errors import InvalidInputError
from tailrace.history.reading import ExportLimits, UnreadableFileError, parse_json
from tailrace.history.slack_source import ExportFiles, open_files

Raw = Mapping[str, Any]
"""An object of the export, as it came."""

USER_LISTS: Final = ("users.json", "org_users.json")
"""The second is the name in exports of an Enterprise Grid organisation."""


class Kind(StrEnum):
    """Which of the export's lists a conversation stands in."""

    CHANNEL = "channels"
    GROUP = "groups"
    DM = "dms"
    MPIM = "mpims"


_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d\.json")
_LISTS: Final = {f"{kind}.json": kind for kind in Kind}
_MACOS: Final = "__MACOSX/"


@dataclass(frozen=True, slots=True)
class Conversation:
    """One channel, private channel, direct message or group of them.

    `folder` is where its days are (empty: it has none), `listed` False where only the folder exists, `days` the names
    of its day files in order of date.
    """

    kind: Kind
    raw: Raw
    folder: str
    listed: bool
    days: tuple[str, ...]

    @property
    def slack_id(self) -> str:
        """Slack's id; of an unlisted conversation, its folder's name."""
        return str(self.raw["id"])


class SlackExport:
    """A lazy reader: holds the lists of people and conversations, and reads a day's messages when asked.

    Use it as a context manager. `users` and `conversations` are in the order of the export; `unreadable` lists the
    files that could not be read on opening, `ignored` those that nothing is known to do with.
    """

    def __init__(self, path: Path, files: ExportFiles) -> None:
        self.path = path
        self._files = files
        self._root = _root(path, files.names)
        self.unreadable: list[UnreadableFileError] = []
        names = [name.removeprefix(self._root) for name in files.names if name.startswith(self._root)]
        top = [name for name in names if "/" not in name]
        self.users = self._users(top)
        self.ignored = [name for name in top if name not in _LISTS and name not in USER_LISTS]
        days = _days_by_folder(names, self.ignored)
        self.conversations = self._conversations(top, days)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    @property
    def team_id(self) -> str | None:
        """Slack's id of the workspace: the team most of its users belong to; None where no user names one.

        Users of other companies, in shared channels, name theirs, so the first one found would not do.
        """
        teams = Counter(team for user in self.users if isinstance(team := user.get("team_id"), str) and team)
        return min(teams, key=lambda team: (-teams[team], team)) if teams else None

    def read_raw(self, day: str) -> bytes:
        """Return the bytes of one day's file. Raises `UnreadableFileError`."""
        return self._files.read(self._root + day)

    def read_day(self, day: str) -> list[Any]:
        """Return the items of one day's file, as they stand in it. Raises `UnreadableFileError`."""
        return self._read_list(day)

    def _read_list(self, name: str) -> list[Any]:
        items = parse_json(name, self.read_raw(name))
        if not isinstance(items, list):
            raise UnreadableFileError(name, "holds no list")
        return items

    def _users(self, top: list[str]) -> list[Raw]:
        name = next(name for name in USER_LISTS if name in top)
        # Without its people an export can be understood only as a whole list of strangers: better to say so and stop.
        return [user for user in self._read_list(name) if isinstance(user, dict) and _text(user.get("id"))]

    def _conversations(self, top: list[str], days: dict[str, list[str]]) -> list[Conversation]:
        conversations = []
        for name, kind in _LISTS.items():
            for raw in self._list(name) if name in top else ():
                folder = next((place for place in _folders(raw) if place in days), "")
                found = tuple(sorted(days.pop(folder, ())))
                conversations.append(Conversation(_kind(kind, raw), raw, folder, listed=True, days=found))
        for folder in sorted(days):
            raw = {"id": folder, "name": folder}
            conversations.append(Conversation(Kind.GROUP, raw, folder, listed=False, days=tuple(sorted(days[folder]))))
        return conversations

    def _list(self, name: str) -> list[Raw]:
        try:
            return [raw for raw in self._read_list(name) if isinstance(raw, dict) and _text(raw.get("id"))]
        except UnreadableFileError as error:
            self.unreadable.append(error)
            return []


def read_slack_export(path: Path, limits: ExportLimits | None = None) -> SlackExport:
    """Open an export: the zip that Slack sends, or the folder it unpacks to, also one folder further in.

    Raises `NotFoundError` where there is nothing, `InvalidInputError` (exit 6) where it is no Slack export or its list
    of users cannot be read.
    """
    files = open_files(path, limits or ExportLimits())
    try:
        return SlackExport(path, files)
    except BaseException:
        files.close()
        raise


def _root(path: Path, names: tuple[str, ...]) -> str:
    """Return the folder, inside the given one, that has both lists; archives made by hand often have one around it."""
    found = {name for name in names if not name.startswith(_MACOS)}
    folders = {name[: name.rfind("/") + 1] for name in found}
    roots = {
        folder
        for folder in folders
        if any(folder + name in found for name in USER_LISTS) and any(folder + name in found for name in _LISTS)
    }
    if "" in roots or len(roots) == 1:
        return "" if "" in roots else roots.pop()
    if roots:
        raise InvalidInputError(f"{path} holds {len(roots)} Slack exports", fix="give the folder of one of them")
    raise InvalidInputError(
        f"{path} is no Slack export: looked for {' or '.join(USER_LISTS)}, and for one of {', '.join(_LISTS)}",
        fix="give the zip that Slack sent, or the folder it unpacks to",
    )


def _days_by_folder(names: list[str], ignored: list[str]) -> dict[str, list[str]]:
    days: dict[str, list[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        if not folder or "/" in folder:
            continue
        if _DAY.fullmatch(file):
            days.setdefault(folder, []).append(name)
        else:
            ignored.append(name)
    return days


def _folders(raw: Raw) -> list[str]:
    names = (raw.get("name"), raw.get("id"), raw.get("name_normalized"))
    return [name for name in names if isinstance(name, str) and name]


def _kind(listed: Kind, raw: Raw) -> Kind:
    # Tools that write exports of their own put every conversation into channels.json and say the rest in flags.
    if raw.get("is_im") is True:
        return Kind.DM
    if raw.get("is_mpim") is True:
        return Kind.MPIM
    return Kind.GROUP if listed is Kind.CHANNEL and raw.get("is_private") is True else listed


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
