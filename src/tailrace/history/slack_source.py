"""The files of a Slack export, the same whether it is a folder or a zip. Nothing is ever unpacked to disk."""

import os
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from tailrace.errors import InvalidInputError, NotFoundError
from tailrace.history.reading import ExportLimits, UnreadableFileError

DEPTH_MAX: Final = 3
"""An enclosing folder, a channel's folder, a day's file."""
_UTF8_NAME: Final = 0x800
_ENCRYPTED: Final = 0x1


class ExportFiles(Protocol):
    """The JSON files of an export. Names are relative, with `/`, in Unicode NFC, sorted."""

    names: tuple[str, ...]

    def read(self, name: str) -> bytes:
        """Return a file's bytes; `UnreadableFileError` when it is damaged or over the limit."""

    def close(self) -> None:
        """Give the file handle back."""


class FolderFiles:
    """A folder that somebody unpacked; symbolic links in it are not followed."""

    def __init__(self, path: Path, limits: ExportLimits) -> None:
        self._limits = limits
        self._paths = {_nfc(entry.relative_to(path).as_posix()): entry for entry in _json_files(path, DEPTH_MAX)}
        self.names = tuple(sorted(self._paths))
        _check_count(path, len(self.names), limits)

    def read(self, name: str) -> bytes:
        try:
            size = self._paths[name].stat().st_size
            _check_size(name, size, self._limits)
            return self._paths[name].read_bytes()
        except OSError as error:
            raise UnreadableFileError(name, error.strerror or "cannot be read") from error

    def close(self) -> None:
        """Nothing is open."""


class ZipFiles:
    """The zip that Slack sends."""

    def __init__(self, path: Path, limits: ExportLimits) -> None:
        self._limits = limits
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise InvalidInputError(f"{path} is no zip file that can be opened: {error}") from error
        infos = self._zip.infolist()
        _check_count(path, len(infos), limits)
        self._infos = {_nfc(_name(info)): info for info in infos if info.filename.endswith(".json")}
        self.names = tuple(sorted(self._infos))

    def read(self, name: str) -> bytes:
        info = self._infos[name]
        # The size that the directory states bounds what zipfile unpacks, whatever the data would grow to.
        _check_size(name, info.file_size, self._limits)
        if info.flag_bits & _ENCRYPTED:
            raise UnreadableFileError(name, "is encrypted")
        try:
            return self._zip.read(info)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise UnreadableFileError(name, "is damaged in the zip") from error

    def close(self) -> None:
        self._zip.close()


def open_files(path: Path, limits: ExportLimits) -> ExportFiles:
    """Open a folder or a zip. Raises `NotFoundError`, and `InvalidInputError` for what is neither."""
    if not path.exists():
        raise NotFoundError(f"{path} does not exist")
    return FolderFiles(path, limits) if path.is_dir() else ZipFiles(path, limits)


def _nfc(name: str) -> str:
    # macOS unpacks names decomposed, while the lists inside the export have them composed.
    return unicodedata.normalize("NFC", name)


def _name(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & _UTF8_NAME:
        return info.filename
    # Many tools write UTF-8 names without saying so, and zipfile then takes them for code page 437.
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _json_files(folder: Path, depth: int) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False) and entry.name.endswith(".json"):
                yield Path(entry.path)
            elif depth > 1 and entry.is_dir(follow_symlinks=False):
                yield from _json_files(Path(entry.path), depth - 1)


def _check_count(path: Path, count: int, limits: ExportLimits) -> None:
    if count > limits.files_max:
        raise InvalidInputError(f"{path} holds {count:,} files, more than the {limits.files_max:,} allowed")


def _check_size(name: str, size: int, limits: ExportLimits) -> None:
    if size > limits.file_max_bytes:
        raise UnreadableFileError(name, f"has {size:,} bytes, more than the {limits.file_max_bytes:,} allowed")
