"""Values of an export, read with suspicion: they may be missing or of another type."""

import re
from datetime import UTC, datetime
from typing import Any, Final

EARLIEST_US: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
"""The contract refuses earlier times (rule T)."""
LATEST_US: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_SECONDS = re.compile(r"(\d{1,12})(?:\.(\d*))?", re.ASCII)
_MILLISECONDS = re.compile(r"(\d{10})(\d{3})", re.ASCII)


def micros(value: Any) -> int | None:
    """Microseconds since 1970 (UTC) of a time in an export; None where it is missing, zero or outside 2000 to 2100.

    Takes `"1355517523.000005"`, seconds as text or number, and milliseconds (13 digits). Never by way of a float, which
    has no room for the last digits.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = f"{value:.6f}" if isinstance(value, float) else str(value)
    match = _SECONDS.fullmatch(text) or _MILLISECONDS.fullmatch(text)
    if match is None:
        return None
    us = int(match[1]) * 1_000_000 + int(f"{match[2] or '':0<6}"[:6])
    return us if EARLIEST_US <= us < LATEST_US else None


def text_of(value: Any) -> str | None:
    """Return the text, None where it is empty or none."""
    return value if isinstance(value, str) and value else None


def first_text(*values: Any) -> str | None:
    """Return the first of the values that is a text and not empty."""
    return next((value for value in values if isinstance(value, str) and value), None)


def object_of(value: Any) -> dict[str, Any]:
    """Return the object, an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def objects_of(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts_of(value: Any) -> list[str]:
    """Return the texts of a list that are not empty, each once, in order of first appearance."""
    items = value if isinstance(value, list) else []
    return list(dict.fromkeys(item for item in items if isinstance(item, str) and item))
