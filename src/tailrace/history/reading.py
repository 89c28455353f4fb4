"""What all exports are read with: bounds, an error for one file, and JSON that may be damaged."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tailrace.errors import InvalidInputError

_BOM: Final = b"\xef\xbb\xbf"
# Slack puts a token for downloading into every file's address; a credential has no place in an event.
_TOKEN = re.compile(rb"(?:\?|&amp;|&|\\u0026)t=xox[a-z]-[\w%.-]+")
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ExportLimits:
    """What a sensible export stays under. A day's file is held in memory whole, so its size bounds the importer's.

    `file_max_bytes` is the unpacked size of one file, which also stops zip bombs, `files_max` the number of files.
    """

    file_max_bytes: int = 512 * 2**20
    files_max: int = 2_000_000


class UnreadableFileError(InvalidInputError):
    """One file of an export cannot be read; the others can."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


def parse_json(name: str, raw: bytes) -> Any:
    """Parse one file of an export. Download tokens in addresses are removed; lone surrogates become U+FFFD.

    Raises `UnreadableFileError`, which says where the JSON is broken and quotes nothing of it.
    """
    if b"t=xox" in raw:
        raw = _TOKEN.sub(b"", raw)
    raw = raw.removeprefix(_BOM)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if rb"\ud" not in raw.lower():
            raise _broken(name, error) from None
    # orjson refuses lone surrogates, which Slack writes where it cut an emoji in two.
    try:
        return _scrub(json.loads(raw, parse_constant=_no_constant))
    except json.JSONDecodeError as error:
        raise _broken(name, error) from None
    except (ValueError, RecursionError):
        raise UnreadableFileError(name, "is not JSON") from None


def _broken(name: str, error: json.JSONDecodeError) -> UnreadableFileError:
    return UnreadableFileError(name, f"is not JSON (line {error.lineno}, column {error.colno})")


def _no_constant(_: str) -> Any:
    raise ValueError("not JSON")


def _scrub(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, list):
        return [_scrub(item) for item in value]
    if isinstance(value, dict):
        return {_scrub(key): _scrub(item) for key, item in value.items()}
    return value
