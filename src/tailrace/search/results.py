"""What a search gives back."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from tailrace.errors import InvalidInputError

OPEN: Final = "\ue000"
CLOSE: Final = "\ue001"
"""Marks around what was found, between Elasticsearch and here: characters of private use that no text should hold."""


class Kind(StrEnum):
    """What is searched."""

    MESSAGES = "messages"
    FILES = "files"
    PEOPLE = "people"


class Sort(StrEnum):
    """How hits are ordered. Without words nothing is more relevant: then the newest come first."""

    RELEVANCE = "relevance"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text around what was found; `matches` are (start, end) in characters of `text`."""

    text: str
    matches: tuple[tuple[int, int], ...]

    @classmethod
    def read(cls, marked: str) -> "Span":
        """From text with marks."""
        text, matches, opened = [], [], 0
        length = 0
        for character in marked:
            if character == OPEN:
                opened = length
            elif character == CLOSE:
                matches.append((opened, length))
            else:
                text.append(character)
                length += 1
        return cls("".join(text), tuple(matches))


@dataclass(frozen=True, slots=True)
class Hit:
    """One document that was found; `source` has the fields of CONTRACT section 4."""

    id: str
    score: float | None
    source: dict[str, Any]
    highlights: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """One page of hits.

    `total` counts up to 10,000 and may count what was deleted seconds ago; `next` is the cursor of the page behind it,
    None at the end. `reason` says why nothing may be searched.
    """

    kind: Kind
    total: int
    hits: tuple[Hit, ...] = field(default=())
    next: str | None = None
    reason: str | None = None

    def document(self) -> dict[str, Any]:
        """As `tailrace search -o json` prints it."""
        return {
            "kind": str(self.kind),
            "total": self.total,
            "hits": [
                {
                    "id": hit.id,
                    "score": hit.score,
                    **hit.source,
                    "highlights": [{"text": span.text, "matches": list(span.matches)} for span in hit.highlights],
                }
                for hit in self.hits
            ],
            "next": self.next,
            "reason": self.reason,
        }


def cursor(values: list[Any], identity: str) -> str:
    """Text that stands for where a page ends; `identity` is what was searched, and only that can go on there."""
    payload = json.dumps([_mark(identity), values], separators=(",", ":"))
    return base64.urlsafe_b64encode(payload.encode()).decode().rstrip("=")


def read_cursor(text: str, identity: str) -> list[Any]:
    """Where a page ended. Raises `InvalidInputError` for a cursor of another search, or none at all."""
    try:
        mark, values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, TypeError):
        mark, values = None, None
    if mark != _mark(identity) or not isinstance(values, list):
        raise InvalidInputError("this cursor is not of this search", fix="give the same query, or no cursor")
    return values


def _mark(identity: str) -> str:
    return hashlib.blake2b(identity.encode(), digest_size=6).hexdigest()
