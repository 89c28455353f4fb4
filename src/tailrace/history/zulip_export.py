"""A Zulip export: the tarball that Zulip makes, or the folder it unpacks to.

`realm.json` holds the realm's tables, `messages-000001.json` and on a thousand messages each, `attachment.json` the
files. Times are seconds since 1970, UTC, as numbers.
"""

import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

from tailrace.errors import InvalidInputError, NotFoundError
from tailrace.history.reading import ExportLimits, UnreadableFileError, parse_json
from tailrace.history.values import object_of, objects_of

Raw = dict[str, Any]
_WANTED: Final = re.compile(r"(?:[^/]+/)?(realm\.json|attachment\.json|messages-\d{1,12}\.json)")
_MESSAGES: Final = re.compile(r"messages-(\d{1,12})\.json")
_CHUNK_BYTES: Final = 2**20
_BROKEN: Final = (tarfile.TarError, zlib.error, EOFError, OSError)


class ZulipExport:
    """Holds the realm's tables, and reads a file of messages when asked. Use it as a context manager.

    Of a tarball the JSON files, and no others, are unpacked into a temporary folder: reading one out of the middle of
    it would mean to decompress all before it. `names` are the files of messages, in their order.
    """

    def __init__(self, path: Path, limits: ExportLimits | None = None) -> None:
        self.path = path
        self._limits = limits or ExportLimits()
        self._unpacked: tempfile.TemporaryDirectory[str] | None = None
        try:
            self._folder = self._find(path)
            self.names = sorted(
                (file.name for file in self._folder.iterdir() if _MESSAGES.fullmatch(file.name)), key=_number
            )
            self._realm = self.read("realm.json")
        except UnreadableFileError as error:
            self.close()
            raise InvalidInputError(f"{path}: {error}", fix="export the realm again") from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what was unpacked."""
        if self._unpacked:
            self._unpacked.cleanup()

    @property
    def tables(self) -> list[str]:
        """Names of the tables that the realm has, as far as they hold anything.

        Beside them stand plain values, such as the product that the realm came from.
        """
        return sorted(name for name in self._realm if self.table(name))

    def table(self, name: str) -> list[Raw]:
        """Return a table of the realm; an empty one where it is not there."""
        return objects_of(self._realm.get(name))

    def attachments(self) -> list[Raw]:
        """Return the table of files. Raises `UnreadableFileError`."""
        if (self._folder / "attachment.json").exists():
            return objects_of(self.read("attachment.json").get("zerver_attachment"))
        return self.table("zerver_attachment")

    def read(self, name: str) -> Raw:
        """Return one file. Raises `UnreadableFileError`."""
        try:
            size = (self._folder / name).stat().st_size
            if size > self._limits.file_max_bytes:
                raise UnreadableFileError(name, f"has {size:,} bytes, more than {self._limits.file_max_bytes:,}")
            return object_of(parse_json(name, (self._folder / name).read_bytes()))
        except OSError as error:
            raise UnreadableFileError(name, error.strerror or "cannot be read") from error

    def _find(self, path: Path) -> Path:
        if not path.exists():
            raise NotFoundError(f"{path} does not exist")
        folder = path if path.is_dir() else self._unpack(path)
        found = [folder, *sorted(it for it in folder.iterdir() if it.is_dir())]
        for each in found:
            if (each / "realm.json").is_file():
                return each
        raise InvalidInputError(
            f"{path} is no Zulip export: it holds no realm.json",
            fix="give the tarball that Zulip made, or the folder it unpacks to",
        )

    def _unpack(self, path: Path) -> Path:
        self._unpacked = tempfile.TemporaryDirectory(prefix="tailrace-zulip-")
        folder = Path(self._unpacked.name)
        try:
            with tarfile.open(path, "r|*") as archive:
                for name, member in _members(archive):
                    self._copy(archive, member, folder / name)
        except _BROKEN as error:
            raise InvalidInputError(
                f"{path} is no tarball that can be read ({type(error).__name__})", fix="export the realm again"
            ) from error
        return folder

    def _copy(self, archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
        source = archive.extractfile(member)
        if source is None or member.size > self._limits.file_max_bytes:
            raise UnreadableFileError(target.name, f"has {member.size:,} bytes")
        with target.open("wb") as file:
            while chunk := source.read(_CHUNK_BYTES):
                file.write(chunk)


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    # Only plain files of these names, and only the last part of the name is used: a tarball can name any path.
    for member in archive:
        match = _WANTED.fullmatch(member.name.removeprefix("./"))
        if match and member.isfile():
            yield match[1], member


def _number(name: str) -> int:
    match = _MESSAGES.fullmatch(name)
    return int(match[1]) if match else 0
