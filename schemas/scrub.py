"""U+FFFD for what no store keeps: NUL characters and lone surrogates (rule X, rulings 63, 81).

Both can only come as escapes: a raw NUL is no JSON and a raw surrogate no UTF-8. So the bytes are mended before they
are parsed, keys and unknown fields included, and one parser serves clean and mended records. Escaped pairs, which is
how `ensure_ascii` writers send emoji, stay.
"""

import re
from typing import Final

_REPLACEMENT: Final = rb"\ufffd"

# Read escape by escape: `\\u0000` is a backslash and five letters, and must not be taken for a NUL.
_ESCAPE: Final = re.compile(
    rb"(?P<bad>\\u0000|\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})|[c-fC-F][0-9a-fA-F]{2}))"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4}"
    rb"|\\.",
    re.DOTALL,
)
_NUL: Final = rb"\u0000"


def may_hold_nul(value: bytes) -> bool:
    """Whether scrubbing could change a value that a parser takes; also true for an escaped backslash before u0000."""
    return _NUL in value


def scrub(value: bytes) -> bytes:
    """The same JSON text with every escaped NUL and lone surrogate as an escaped U+FFFD."""
    return _ESCAPE.sub(_mend, value)


def _mend(match: re.Match[bytes]) -> bytes:
    return _REPLACEMENT if match.lastgroup else match.group()
