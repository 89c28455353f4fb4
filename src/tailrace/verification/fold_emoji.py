"""Canonical emoji (rule E), straight from the `emoji` package; the projections carry a table of their own."""

import re
import unicodedata
from functools import cache, lru_cache
from typing import Final

import emoji

VARIATION_SELECTOR: Final = "\ufe0f"
TONES: Final = tuple(chr(0x1F3FB + number) for number in range(5))
"""Light to dark; Slack calls them skin-tone-2 to skin-tone-6, others _tone1 to _tone5."""

REMEMBERED_MAX: Final = 65_536

CLIENT_NAMES: Final = {
    "beetle": "\U0001fab2",
    "bride_with_veil": "\U0001f470",
    "egg": "\U0001f95a",
    "email": "\u2709",
    "guardsman": "\U0001f482",
    "man_with_turban": "\U0001f473",
    "ok_woman": "\U0001f646",
    "satellite": "\U0001f6f0",
    "simple_smile": "\U0001f642",
    "snowman": "\u2603",
    "sun_behind_cloud": "\U0001f325",
    "umbrella": "\u2602",
}
"""Names that the package gives to another emoji than the chat clients that send them do."""

_COLONS: Final = re.compile(r":[^:\s]+(?:::[^:\s]+)?:")
_BARE: Final = re.compile(r"[\w+\-]+(?:::[\w+\-]+)?")
_TONED: Final = re.compile(r"(.+?)(?:::skin-tone-([2-6])|_tone([1-5]))")
_FLAG: Final = re.compile(r"flag-([a-z])([a-z])")


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
def _characters() -> frozenset[str]:
    return frozenset(map(_bare_characters, emoji.EMOJI_DATA))


def _named(name: str) -> str | None:
    """Emoji that a name in lower case stands for; None for an unknown one."""
    if name in CLIENT_NAMES:
        return CLIENT_NAMES[name]
    if ":" in name:
        return None  # the package would replace a name inside of it
    if country := _FLAG.fullmatch(name):
        flag = "".join(chr(0x1F1E6 + ord(letter) - ord("a")) for letter in country.groups())
        return flag if flag in _characters() else None
    characters = emoji.emojize(f":{name}:", language="alias")
    # The package minds the case and writes some names with capitals ("any case", 41).
    return _bare_characters(characters) if characters != f":{name}:" else _capitalised().get(name)


def _toned(name: str) -> str | None:
    """Emoji of a name with a skin tone; the modifier follows the character it colours, in a sequence the first."""
    match = _TONED.fullmatch(name)
    found = _named(match[1]) if match else None
    if match is None or found is None:
        return None
    tone = TONES[int(match[2]) - 2 if match[2] else int(match[3]) - 1]
    return f"{found[0]}{tone}{found[1:]}"


@cache
def _capitalised() -> dict[str, str]:
    names = (
        (name.strip(":"), characters)
        for characters, about in emoji.EMOJI_DATA.items()
        for name in (about["en"], *about.get("alias", ()))
    )
    return {name.lower(): _bare_characters(characters) for name, characters in names if name != name.lower()}
