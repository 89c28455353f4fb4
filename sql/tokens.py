"""Cuts SQL text into the pieces that renaming schemas and splitting statements need.

This is no parser: it knows where literals, comments and quoted bodies begin and end (PostgreSQL documentation,
section "Lexical Structure"), which is exactly what a regular expression over the whole text gets wrong.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from tailrace.errors import InvalidInputError


class Kind(StrEnum):
    """What a token is; `BODY` is the text between two equal dollar quotes, which holds code."""

    SPACE = "space"
    COMMENT = "comment"
    LITERAL = "literal"
    QUOTED = "quoted"
    WORD = "word"
    NUMBER = "number"
    DOLLAR = "dollar"
    BODY = "body"
    SIGN = "sign"


class Token(NamedTuple):
    """A piece of the text; `start` counts characters from the beginning of the text."""

    kind: Kind
    text: str
    start: int

    @property
    def silent(self) -> bool:
        """Whether the server would not notice if it were missing."""
        return self.kind in {Kind.SPACE, Kind.COMMENT}


class Statement(NamedTuple):
    """One statement without its semicolon; `line` is where its first word stands, from 1."""

    text: str
    line: int


# `escaped` stands before `word`: in E'it\'s' the backslash hides the quote, in 'it\' it does not.
_TOKEN = re.compile(
    r"""
      (?P<comment>--[^\n]*)
    | (?P<block>/\*)
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<literal>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<number>\d[\w.]*)
    | (?P<space>\s+)
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def line_of(text: str, position: int) -> int:
    """Line of a position (characters from 0), counted from 1."""
    return text.count("\n", 0, position) + 1


def _unfinished(text: str, start: int, what: str) -> InvalidInputError:
    return InvalidInputError(f"SQL text: the {what} that begins in line {line_of(text, start)} does not end")


def _block_comment_end(text: str, start: int) -> int:
    """End of a block comment; these nest in PostgreSQL, unlike in the SQL standard."""
    depth, position = 1, start + 2
    while depth:
        edge = _COMMENT_EDGE.search(text, position)
        if edge is None:
            raise _unfinished(text, start, "comment")
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position


def tokens(text: str) -> Iterator[Token]:
    """All of the text in order: joined together, the tokens are the text.

    Raises `InvalidInputError` for a literal, comment or body that does not end.
    """
    position = 0
    while match := _TOKEN.match(text, position):
        kind, piece, start = str(match.lastgroup), match[0], position
        position = match.end()
        if kind == "block":
            position = _block_comment_end(text, start)
            yield Token(Kind.COMMENT, text[start:position], start)
        elif kind == "dollar":
            end = text.find(piece, position)
            if end < 0:
                raise _unfinished(text, start, f"{piece} body")
            yield Token(Kind.DOLLAR, piece, start)
            yield Token(Kind.BODY, text[position:end], position)
            yield Token(Kind.DOLLAR, piece, end)
            position = end + len(piece)
        elif piece in {"'", '"'}:
            raise _unfinished(text, start, "literal" if piece == "'" else "quoted name")
        else:
            yield Token(Kind.LITERAL if kind == "escaped" else Kind(kind), piece, start)


class _Depth:
    """How deep inside parentheses or a standard SQL body (BEGIN ATOMIC … END) the reader is.

    A semicolon in there belongs to the statement around it.
    """

    def __init__(self) -> None:
        self._parentheses = 0
        self._blocks = 0
        self._previous = ""

    def read(self, token: Token) -> None:
        word = token.text.lower()
        if token.kind is Kind.SIGN and word in "()":
            self._parentheses += 1 if word == "(" else -1
        elif token.kind is Kind.WORD:
            opens = word == "atomic" and self._previous == "begin"
            if opens or (self._blocks and word == "case"):
                self._blocks += 1
            elif self._blocks and word == "end":
                self._blocks -= 1
        self._previous = word

    @property
    def outermost(self) -> bool:
        return not self._parentheses and not self._blocks


def statements(text: str) -> list[Statement]:
    """The statements of a file, without their semicolons and without the comments before them."""
    found: list[Statement] = []
    start: int | None = None
    depth = _Depth()
    for token in tokens(text):
        if token.silent:
            continue
        if token.text == ";" and token.kind is Kind.SIGN and depth.outermost:
            if start is not None:
                found.append(Statement(text[start : token.start].rstrip(), line_of(text, start)))
            start, depth = None, _Depth()
            continue
        if start is None:
            start = token.start
        depth.read(token)
    if start is not None:
        found.append(Statement(text[start:].rstrip(), line_of(text, start)))
    return found
