"""A Mattermost bulk export: JSON Lines, each an object with its `type` and, under a key of that name, what it is.

`mmctl export create` makes a zip with the lines in one `.jsonl` and attachments under `data/`; older tools make the
lines alone. The order is teams, channels, users, posts, direct channels, direct posts, but is not relied on.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Self

from tailrace.errors import InvalidInputError, NotFoundError
from tailrace.history.reading import UnreadableFileError, parse_json
from tailrace.history.values import object_of

LINE_BYTES_MAX: Final = 64 * 2**20
"""A line holds a post with all its replies; a longer one is left out and reported."""
_ATTACHMENTS: Final = "data/"
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)


@dataclass(frozen=True, slots=True)
class Line:
    """One object: its type, what stands under that name, and where it stands in the export."""

    kind: str
    value: dict[str, Any]
    where: str


class MattermostExport:
    """Reads an export's lines, again and again, one at a time. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = _zip(path)
        self._name = _lines_name(self._zip, path) if self._zip else path.name
        with self._open() as file:
            try:
                first = parse_json(self._name, file.readline(LINE_BYTES_MAX))
            except UnreadableFileError:
                first = None
        if object_of(first).get("type") != "version":
            self.close()
            raise InvalidInputError(
                f"{path} is no Mattermost bulk export: its first line names no version",
                fix="give the zip or the .jsonl that `mmctl export download` wrote",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back."""
        if self._zip:
            self._zip.close()

    def lines(self) -> Iterator[Line | UnreadableFileError]:
        """Give every line; instead of one that cannot be read, what is wrong with it."""
        with self._open() as file:
            number = 0
            while True:
                number += 1
                where = f"{self._name} line {number}"
                try:
                    raw = file.readline(LINE_BYTES_MAX + 1)
                except _BROKEN:
                    yield UnreadableFileError(where, "is damaged in the zip, with all behind it")
                    return
                if not raw:
                    return
                yield from _line(raw, where)
                while len(raw) > LINE_BYTES_MAX and not raw.endswith(b"\n"):
                    raw = file.readline(LINE_BYTES_MAX + 1)

    def size_of(self, attachment: str) -> int | None:
        """Return an attachment's size in bytes, None where the export does not hold it."""
        # Zips made for Mattermost 5 have attachments beside the lines, not under data/.
        if self._zip is None:
            return None
        for name in (_ATTACHMENTS + attachment, attachment):
            with suppress(KeyError):
                return self._zip.getinfo(name).file_size
        return None

    def _open(self) -> IO[bytes]:
        try:
            if self._zip:
                return self._zip.open(self._name)
            return self.path.open("rb")
        except _BROKEN as error:
            self.close()
            raise InvalidInputError(f"{self.path} cannot be read: {type(error).__name__}") from error


def _line(raw: bytes, where: str) -> Iterator[Line | UnreadableFileError]:
    if len(raw) > LINE_BYTES_MAX:
        yield UnreadableFileError(where, f"has more than {LINE_BYTES_MAX:,} bytes")
    elif raw.strip():
        try:
            item = object_of(parse_json(where, raw))
        except UnreadableFileError as error:
            yield error
            return
        kind = item.get("type")
        if isinstance(kind, str):
            yield Line(kind, object_of(item.get(kind)), where)
        else:
            yield UnreadableFileError(where, "is no object with a type")


def _zip(path: Path) -> zipfile.ZipFile | None:
    if not path.is_file():
        raise NotFoundError(f"{path} is no file", fix="give the zip or the .jsonl of the export")
    if not zipfile.is_zipfile(path):
        return None
    try:
        return zipfile.ZipFile(path)
    except _BROKEN as error:
        raise InvalidInputError(f"{path} is no zip file that can be opened") from error


def _lines_name(archive: zipfile.ZipFile, path: Path) -> str:
    found = [name for name in archive.namelist() if name.endswith(".jsonl") and not name.startswith(_ATTACHMENTS)]
    # Deeper ones can be attachments; a zip packed by hand can have all of it in one folder.
    names = [name for name in found if "/" not in name] or found
    if len(names) != 1:
        archive.close()
        raise InvalidInputError(f"{path} is no Mattermost bulk export: it holds {len(names)} .jsonl files, not one")
    return names[0]
