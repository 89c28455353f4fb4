"""Canonical emoji (rule E), from the contract's table of names (41); how it is applied is written anew here."""

import json
import re
import unicodedata
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final

VARIATION_SELECTOR: Final = "\ufe0f"
TONES: Final = tuple(chr(0x1F3FB + number) for number in range(5))
"""Light to dark; Slack calls them skin-tone-2 to skin-tone-6, others _tone1 to _tone5, CLDR by words."""
TONE_WORDS: Final = ("light", "medium-light", "medium", "medium-dark", "dark")
HANDSHAKE: Final = "\U0001f91d"
"""Between two people it is nobody's hand and takes no tone."""

REMEMBERED_MAX: Final = 65_536

_COLONS: Final = re.compile(r":[^:\s]+(?:::[^:\s]+)?:")
_BARE: Final = re.compile(r"[\w+\-]+(?:::[\w+\-]+)?")
_TONED: Final = re.compile(
    r"(.+?)(?:::skin-tone-([2-6])|_tone([1-5])|_(light|medium[-_]light|medium[-_]dark|medium|dark)_skin_tone)"
)


@lru_cache(maxsize=REMEMBERED_MAX)
def canonical(text: str) -> str:
    """Turn what a client sent as a reaction into the form in which it is stored (41, 42, 44).

    Names become the emoji they stand for, with or without colons and in any case; unknown names become `:name:` in
    lower case; emoji themselves lose every U+FE0F and are NFC.
    """
    plain = _bare_characters(text)
    if plain in _characters():
        return plain  # asked first: some emoji, such as U+2139, are letters to a regular expression
    in_colons = _COLONS.fullmatch(plain.lower())
    name = plain.lower().removeprefix(":").removesuffix(":") if in_colons else plain.lower()
    found = _named(name) or _toned(name)
    if found is not None:
        return found
    return f":{name}:" if in_colons or _BARE.fullmatch(name) else plain


def _bare_characters(text: str) -> str:
    # In this order: what the selector kept apart may compose once it is gone.
    return unicodedata.normalize("NFC", text.replace(VARIATION_SELECTOR, ""))


@cache
def _table() -> dict[str, Any]:
    """The contract's table: `names` (emoji → its names, lower case, by spaces) and `takes_tone`."""
    table: dict[str, Any] = json.loads((files("tailrace.schemas") / "emoji_aliases.json").read_text(encoding="utf-8"))
    return table


@cache
def _characters() -> frozenset[str]:
    return frozenset(_table()["names"])


@cache
def _names() -> dict[str, str]:
    return {name: characters for characters, names in _table()["names"].items() for name in names.split(" ")}


def _named(name: str) -> str | None:
    """Emoji that a name in lower case stands for; None for an unknown one."""
    return _names().get(name)


def _toned(name: str) -> str | None:
    """Emoji of a name with a skin tone: after every person it colours, or at the end of what takes no tone."""
    match = _TONED.fullmatch(name)
    found = _named(match[1]) if match else None
    if match is None or found is None:
        return None
    if match[2]:
        tone = TONES[int(match[2]) - 2]
    elif match[3]:
        tone = TONES[int(match[3]) - 1]
    else:
        tone = TONES[TONE_WORDS.index(match[4].replace("_", "-"))]
    coloured = set(_table()["takes_tone"])
    if len(found) > 1:
        coloured.discard(HANDSHAKE)
    if not coloured & set(found):
        return found + tone
    return "".join(character + tone if character in coloured else character for character in found)
