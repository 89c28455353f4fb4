"""Values of an export, read with suspicion: they may be missing or of another type."""

from typing import Any


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
