"""The words, sentences, names and emoji of the generated company, from `vocabulary.toml`."""

import re
import tomllib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from tailrace.workload.dice import Dice, Weighted

_SLOT: Final = re.compile(r"\{(\w+)\}")
_ENGLISH_LINES: Final = 3_000
_OTHER_LINES: Final = 120


@cache
def vocabulary() -> dict[str, dict[str, Any]]:
    """Tables of `vocabulary.toml`; read once, never changed."""
    return tomllib.loads(files(__package__).joinpath("vocabulary.toml").read_text(encoding="utf-8"))


class Pool(NamedTuple):
    """What can be said in one language: very short answers, and whole lines."""

    short: list[str]
    lines: list[str]


class Texts:
    """Makes message texts: about 60 characters in the median, some thousands at the end of the tail."""

    __slots__ = ("_dice", "_extra", "_pools", "_shapes", "_slots")

    def __init__(self, dice: Dice) -> None:
        words = vocabulary()
        self._dice = dice
        self._slots = words["slots"]
        self._extra: list[str] = words["blocks"]["extra"]
        self._shapes: Weighted[Callable[[str], str]] = Weighted(
            [
                (self._answer, 0.14),
                (self.line, 0.56),
                (self._two_lines, 0.2),
                (self._paragraph, 0.07),
                (self._with_block, 0.018),
                (self._page, 0.01),
                (self._minutes, 0.002),
            ]
        )
        self._pools = {language: self._pool(language, entry) for language, entry in words["languages"].items()}

    def _pool(self, language: str, entry: dict[str, list[str]]) -> Pool:
        size = _ENGLISH_LINES if language == "en" else _OTHER_LINES
        lines = [self.fill(self._dice.pick(entry["sentences"])) for _ in range(size)]
        return Pool(entry["short"], [line[0].upper() + line[1:] for line in lines])

    def fill(self, template: str, **given: str) -> str:
        """Put something into every slot of a template; `given` wins over the vocabulary."""
        return _SLOT.sub(lambda found: given.get(found[1]) or self._dice.pick(self._slots[found[1]]), template)

    def line(self, language: str) -> str:
        """One sentence."""
        lines = self._pools[language].lines
        return lines[int(self._dice.random() * len(lines))]

    def message(self, language: str) -> str:
        """One message's content, never empty."""
        return self._shapes.draw(self._dice)(language)

    def _answer(self, language: str) -> str:
        return self._dice.pick(self._pools[language].short)

    def _two_lines(self, language: str) -> str:
        return f"{self.line(language)} {self.line(language)}"

    def _paragraph(self, language: str) -> str:
        return " ".join([self.line(language) for _ in range(3 + self._dice.below(5))])

    def _with_block(self, language: str) -> str:
        return f"{self.line(language)}\n{self._dice.pick(self._extra)}"

    def _page(self, language: str) -> str:
        return "\n\n".join([self._paragraph(language) for _ in range(2 + self._dice.below(4))])

    def _minutes(self, language: str) -> str:
        return "\n\n".join([self._paragraph(language) for _ in range(6 + self._dice.below(12))])
