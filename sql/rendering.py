"""Renames the schemas in SQL text, so that many instances can share one database."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from tailrace.errors import InvalidInputError
from tailrace.sql.tokens import Kind, Token, tokens

if TYPE_CHECKING:
    from tailrace.settings import PostgresSettings

SCHEMAS: Final = ("collab", "analytics", "runtime")
"""The names that SQL files are written with."""

_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_LIST_OPENERS = {"schema", "search_path"}
_LIST_FILLERS = {"if", "not", "exists", "to", "=", ","}
_NAME_TYPES = {"regclass", "regnamespace", "regproc", "regprocedure", "regtype"}
_OLD_NAME = re.compile(r"'\"?(collab|analytics|runtime)\"?(?=[.'])")


def schema_names(postgres: "PostgresSettings") -> dict[str, str]:
    """The instance's name for each schema that SQL files are written with: what `render` takes."""
    return {
        "collab": postgres.schema_collab,
        "analytics": postgres.schema_analytics,
        "runtime": postgres.schema_runtime,
    }


def quoted(name: str) -> str:
    """A name as PostgreSQL reads it back, whatever it is (documentation, "Identifiers and Key Words")."""
    return '"' + name.replace('"', '""') + '"'


def render(text: str, schemas: Mapping[str, str]) -> str:
    """SQL text with `collab`, `analytics` and `runtime` replaced by an instance's own names for them.

    `schemas` maps the written name to the instance's; names that it leaves out, or maps to themselves, stay. Replaced
    are names before a dot (`collab.messages`, also inside dollar quotes, which hold code), names in lists after SCHEMA
    and `search_path`, and names in the literals that the server itself reads as a name or as code:
    `'collab.messages'::regclass`, `to_regclass('collab.messages')`, and those right after EXECUTE or EXECUTE format(.
    Every other literal stays, such as the event type 'collab.message.posted'; so do comments, and columns or aliases
    that no dot follows.

    Raises `InvalidInputError` for names that no schema can have and for text that ends inside a literal.
    """
    for old, new in schemas.items():
        if old not in SCHEMAS:
            raise InvalidInputError(f"no SQL text uses the schema {old!r}; known are {', '.join(SCHEMAS)}")
        if not _PLAIN_NAME.fullmatch(new):
            raise InvalidInputError(f"{new!r} cannot be the name of a schema")
    renamed = {old: quoted(new) for old, new in schemas.items() if old != new}
    return _rewrite(text, renamed) if renamed else text


def _rewrite(text: str, renamed: Mapping[str, str]) -> str:
    everything = list(tokens(text))
    spoken = [token for token in everything if not token.silent]
    replaced = dict(_schemas(spoken, renamed)) | dict(_inner_texts(spoken, renamed))
    return "".join(replaced.get(token.start, token.text) for token in everything)


def _schemas(spoken: list[Token], renamed: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Start and new text of the names outside of literals and bodies."""
    in_list = False
    for index, token in enumerate(spoken):
        before, after = _text(spoken, index - 1), _text(spoken, index + 1)
        is_name = token.kind in {Kind.WORD, Kind.QUOTED}
        word = token.text.lower() if token.kind is not Kind.QUOTED else token.text[1:-1]
        if token.kind is Kind.WORD and word in _LIST_OPENERS and before != "." and after not in {",", ".", ")"}:
            in_list = True
        elif in_list and word in _LIST_FILLERS:
            continue
        else:
            if is_name and before != "." and (after == "." or in_list):
                yield token.start, renamed.get(word, token.text)
            in_list = in_list and is_name and after == ","


def _inner_texts(spoken: list[Token], renamed: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Start and new text of the bodies, and of the literals that are read as names or code."""
    is_code = False
    for index, token in enumerate(spoken):
        if token.kind is Kind.BODY:
            yield token.start, _rewrite(token.text, renamed)
        # Adjacent literals are one literal: EXECUTE 'CREATE TABLE …' ' PARTITION OF collab.files'.
        is_code = token.kind is Kind.LITERAL and (is_code or _after_execute(spoken, index))
        if is_code and token.text.startswith("'"):
            inner = _rewrite(token.text[1:-1].replace("''", "'"), renamed)
            yield token.start, "'" + inner.replace("'", "''") + "'"
        elif token.kind is Kind.LITERAL and _is_name(spoken, index):
            yield token.start, _OLD_NAME.sub(lambda found: "'" + renamed.get(found[1], found[1]), token.text, count=1)


def _text(spoken: list[Token], index: int) -> str:
    return spoken[index].text.lower() if 0 <= index < len(spoken) else ""


def _after_execute(spoken: list[Token], index: int) -> bool:
    if _text(spoken, index - 1) == "(" and _text(spoken, index - 2) == "format":
        index -= 2
    return _text(spoken, index - 1) == "execute"


def _is_name(spoken: list[Token], index: int) -> bool:
    if _text(spoken, index + 1) == _text(spoken, index + 2) == ":":
        return _text(spoken, index + 3) in _NAME_TYPES
    return _text(spoken, index - 1) == "(" and _text(spoken, index - 2).removeprefix("to_") in _NAME_TYPES
