"""Which of millions of names may occur twice, found in one pass and in a memory that does not grow."""

from hashlib import blake2b
from typing import Final

BITS: Final = 2**27
"""16 MiB; of five million names one in two hundred is suspected for nothing, which costs an entry in a dict."""


class Repeats:
    """A Bloom filter of two bits a name, and the names that were in it when they came."""

    def __init__(self) -> None:
        self._seen = bytearray(BITS // 8)
        self._suspects: set[bytes] = set()
        self._contents: dict[bytes, list[bytes]] = {}

    def note(self, name: str) -> None:
        """Take a name in."""
        digest = _digest(name)
        places = (int.from_bytes(digest[:4]) % BITS, int.from_bytes(digest[4:8]) % BITS)
        if all(self._seen[place >> 3] >> (place & 7) & 1 for place in places):
            self._suspects.add(digest)
        for place in places:
            self._seen[place >> 3] |= 1 << (place & 7)

    def told_apart(self, name: str, content: str) -> tuple[str, bool]:
        """Return a name that is its own for every content, and whether it came with that content before.

        It is the name itself for the first content that it comes with.
        """
        digest = _digest(name)
        if digest not in self._suspects:
            return name, False
        mark, contents = _digest(content), self._contents.setdefault(digest, [])
        again = mark in contents
        if not again:
            contents.append(mark)
        return (name if mark == contents[0] else f"{name}:{mark.hex()}"), again


def _digest(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
