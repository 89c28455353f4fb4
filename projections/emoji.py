"""The one form under which a reaction's emoji is stored (rule E, rulings 41, 42, 44).

`schemas/emoji_aliases.json` was made once from the two packages that its first line names: every name in lower case
without colons, by emoji without U+FE0F; names with a skin tone are left out where the tone's suffix says the same.
"""

import json
import re
import unicodedata
from functools import lru_cache
from importlib.resources import files
from typing import Final

CACHED_LENGTH_MAX: Final = 64
"""Only texts of at most so many characters are remembered, so that the cache holds kilobytes and not messages."""
CACHED_TEXTS_MAX: Final = 8_192

_TABLE: Final = json.loads((files("tailrace.schemas") / "emoji_aliases.json").read_text(encoding="utf-8"))
_TAKES_TONE: Final = frozenset(_TABLE["takes_tone"])
_BY_NAME: Final[dict[str, str]] = {
    name: symbol for symbol, names in _TABLE["names"].items() for name in names.split(" ")
}
_SYMBOLS: Final = frozenset(_TABLE["names"])

_TONES: Final = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
_TONE_BY_SUFFIX: Final = {
    **{f"::skin-tone-{number}": tone for number, tone in enumerate(_TONES, start=2)},
    **{f"_tone{number}": tone for number, tone in enumerate(_TONES, start=1)},
    **{
        f"_{shade}_skin_tone": tone
        for shade, tone in zip(("light", "medium-light", "medium", "medium-dark", "dark"), _TONES, strict=True)
    },
    "_medium_light_skin_tone": _TONES[1],
    "_medium_dark_skin_tone": _TONES[3],
}
_TONED: Final = re.compile(
    "(?P<name>.+?)(?P<suffix>{})".format("|".join(re.escape(suffix) for suffix in _TONE_BY_SUFFIX)), re.DOTALL
)
_IN_COLONS: Final = re.compile(r":(?P<name>[^\s:]+(?:::[^\s:]+)*):")
_BARE_WORD: Final = re.compile(r"[\w+\-]+(?:::[\w+\-]+)*")
_HANDSHAKE: Final = "\U0001f91d"


def canonical_emoji(text: str) -> str:
    """The stored form of any text that a reaction may carry; the stored form of a stored form is itself.

    An emoji stays, as NFC and without U+FE0F, its skin tone kept. A known name, with or without colons and in any case,
    becomes its emoji; `::skin-tone-2` to `-6`, `_tone1` to `5` and `_light_skin_tone` … add the tone. An unknown name,
    with or without colons, becomes `:name:` in lower case. Any other text stays as NFC.
    """
    return _remembered(text) if len(text) <= CACHED_LENGTH_MAX else _canonical(text)


def _canonical(text: str) -> str:
    plain = unicodedata.normalize("NFC", text.replace("\ufe0f", "").replace("\0", "\ufffd"))
    if plain in _SYMBOLS:
        return plain
    in_colons = _IN_COLONS.fullmatch(plain)
    given = in_colons["name"] if in_colons else plain
    name = unicodedata.normalize("NFC", given.lower())
    known = _named(name)
    if known is not None:
        return known
    return f":{name}:" if in_colons or _BARE_WORD.fullmatch(plain) else plain


_remembered = lru_cache(maxsize=CACHED_TEXTS_MAX)(_canonical)


def _named(name: str) -> str | None:
    if symbol := _BY_NAME.get(name):
        return symbol
    toned = _TONED.fullmatch(name)
    symbol = _BY_NAME.get(toned["name"]) if toned else None
    return _with_tone(symbol, _TONE_BY_SUFFIX[toned["suffix"]]) if toned and symbol else None


def _with_tone(symbol: str, tone: str) -> str:
    """The tone on every person of the emoji; after an emoji that takes none, as an emoji of its own."""
    people = (
        _TAKES_TONE - {_HANDSHAKE} if len(symbol) > 1 else _TAKES_TONE
    )  # between two people it is no hand of theirs
    if people.isdisjoint(symbol):
        return symbol + tone
    return "".join(part + tone if part in people else part for part in symbol)
