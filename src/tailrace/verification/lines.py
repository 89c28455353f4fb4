r"""Rows as the lines that COPY gives: where a line is the one that was expected, nobody has to read what is in it.

Values are written as PostgreSQL writes their types, in which no two values look alike, so rows of one line are one row.
The other way round it says nothing: in JSON, 1 and 1.0 are the same number. Rows whose lines differ are to be compared
value by value. The session's times must be in UTC and in ISO style.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby, islice, repeat
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Any, Final

import orjson
import psycopg
from psycopg.adapt import Transformer
from psycopg.pq import Format

from tailrace.verification.fold_log import Chunk, ColumnTable, Key, OneOf, Row, Table

CHUNK_ROWS: Final = 1_000
"""Rows that are written at once, column by column: a function call for each value would cost more than all the rest."""

NULL: Final = r"\N"
OPEN: Final = "\0"
"""What may be one of several values, or is of another type than the column; PostgreSQL has no such character."""

# The backslash first, for it is in all the others.
_ESCAPED: Final = {"\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
_JSON_WORDS: Final = {None: "null", True: "true", False: "false"}
_UNESCAPED: Final = {written[1:].encode(): character.encode() for character, written in _ESCAPED.items()}
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_PLAIN_ELEMENT: Final = re.compile(r"(?!null$)[\w.:/-]+", re.IGNORECASE | re.ASCII)
"""Within an array nothing has to be quoted in these."""


def lines(types: Sequence[str], columns: Sequence[str], table: Table) -> dict[bytes, Key]:
    """The line of each row, and its key; `types` are those of the key's parts and of `columns`.

    A row that is left open in any column has a line that no row of PostgreSQL has.
    """
    writers = [_WRITERS.get(name, _unknown) for name in types]
    found: dict[bytes, Key] = {}
    if isinstance(table, ColumnTable):
        for some in table.columns(CHUNK_ROWS):
            found.update(zip(_lines_of(writers, columns, some), zip(*some.keys, strict=True), strict=True))
    rows = iter(table.rows() if isinstance(table, ColumnTable) else table.items())
    while chunk := list(islice(rows, CHUNK_ROWS)):
        keys, values = zip(*chunk, strict=True)
        columns_of = [*zip(*keys, strict=True), *_columns(values, columns)]
        texts = [_written(writer, column) for writer, column in zip(writers, columns_of, strict=True)]
        found.update(zip(map(str.encode, map("\t".join, zip(*texts, strict=True))), keys, strict=True))
    return found


def _lines_of(writers: Sequence["_Writer"], columns: Sequence[str], some: Chunk) -> Iterator[bytes]:
    """The lines of rows that come as columns.

    What is the same in all of them is written once, neighbours as one, and so is a column that there is twice.
    """
    written: dict[tuple[int, _Writer], Sequence[str]] = {}

    def column(write: _Writer, values: _Column) -> Sequence[str]:
        place = id(values), write
        if place not in written:
            written[place] = _written(write, values)
        return written[place]

    texts: list[Iterable[str]] = [column(write, values) for write, values in zip(writers, some.keys, strict=False)]
    of_others = zip(columns, writers[len(some.keys) :], strict=True)
    for is_same, group in groupby(of_others, lambda other: other[0] in some.same):
        if is_same:
            texts.append(repeat("\t".join([_alone(write, some.same[name]) for name, write in group])))
        else:
            texts += [column(write, some.columns[name]) for name, write in group]
    return map(str.encode, map("\t".join, zip(*texts, strict=False)))


def _columns(rows: Sequence[Row], names: Sequence[str]) -> Iterable[Sequence[Any]]:
    if len(names) > 1:
        try:
            return list(zip(*map(itemgetter(*names), rows), strict=True))
        except KeyError:  # a row that leaves a column open
            pass
    return [[row.get(name, _LEFT_OPEN) for row in rows] for name in names]


_LEFT_OPEN: Final = OneOf(())


class LineReader:
    """What a driver would have given for a line; `oids` are the types of its columns."""

    def __init__(self, conn: psycopg.Connection[Any], oids: Sequence[int]) -> None:
        transformer = Transformer(conn)
        self._loads = [transformer.get_loader(oid, Format.TEXT).load for oid in oids]

    def values(self, line: bytes) -> tuple[Any, ...]:
        """The row's values, in order."""
        fields = line.split(b"\t")
        return tuple(
            None if field == rb"\N" else load(_ESCAPE.sub(_unescaped, field) if b"\\" in field else field)
            for load, field in zip(self._loads, fields, strict=True)
        )


def _unescaped(match: re.Match[bytes]) -> bytes:
    return _UNESCAPED.get(match[1], match[1])


# ── types: a column's values as texts ──

_Column = Sequence[Any]
_Writer = Callable[[_Column], Sequence[str]]


def _written(write: _Writer, values: _Column) -> Sequence[str]:
    if values[0] is None and values.count(None) == len(values):
        return (NULL,) * len(values)
    try:
        return write(values)
    except (AttributeError, LookupError, TypeError, ValueError):
        return [_alone(write, value) for value in values]


def _alone(write: _Writer, value: Any) -> str:
    try:
        return write((value,))[0]
    except (AttributeError, LookupError, TypeError, ValueError):
        return OPEN


def _unknown(values: _Column) -> list[str]:
    return [OPEN] * len(values)


def _ids(values: _Column) -> _Column:
    try:
        "".join(values)  # sooner done than looking for what is none, and refuses what is no text
    except TypeError:
        values = [NULL if value is None else value for value in values]
        "".join(values)
    return values


def _texts(values: _Column) -> list[str]:
    return [
        NULL
        if value is None
        else value
        if value.isprintable() and "\\" not in value
        else _escaped(value)
        for value in values
    ]  # fmt: skip


def _escaped(text: str) -> str:
    for character, written in _ESCAPED.items():
        text = text.replace(character, written)
    return text


def _booleans(values: _Column) -> list[str]:
    return ["t" if value is True else "f" if value is False else _no_boolean(value) for value in values]


def _no_boolean(value: object) -> str:
    if value is None:
        return NULL
    raise TypeError


def _integers(values: _Column) -> list[str]:
    try:
        return list(map(int.__repr__, values))
    except TypeError:
        return [NULL if value is None else int.__repr__(value) for value in values]


def _floats(values: _Column) -> list[str]:
    return [NULL if value is None else float.__repr__(value).removesuffix(".0") for value in values]


def _times(values: _Column) -> list[str]:
    if None in values:
        there = [value for value in values if value is not None]
        written = iter(_times(there) if there else ())
        return [NULL if value is None else next(written) for value in values]
    # All of them by one call: written one by one they are dearer than the rest of the row.
    text = orjson.dumps(values, option=orjson.OPT_PASSTHROUGH_DATACLASS).decode()
    texts = text[2:-2].replace("T", " ").replace("+00:00", "+00").split('","')
    if len(texts) != len(values):
        raise ValueError
    return [_short(text) if text[-4] == "0" and "." in text else text for text in texts]


def _short(time: str) -> str:
    return time[:-3].rstrip("0") + time[-3:]


def _dates(values: _Column) -> list[str]:
    return [NULL if value is None else value.isoformat() for value in values]


def _json(values: _Column) -> list[str]:
    return [
        NULL if value is None else _object(value) if value else "[]" if isinstance(value, list) else "{}"
        for value in values
    ]


def _object(value: Any) -> str:
    text = _jsonb(value)
    return text if text.isprintable() and "\\" not in text else _escaped(text)


def _jsonb(value: Any) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_jsonb, value))}]"
    if isinstance(value, dict):
        keys = value if len(value) < 2 else sorted(value, key=_by_length)  # noqa: PLR2004 - one needs no order
        return f"{{{', '.join([f'{encode_basestring(key)}: {_jsonb(value[key])}' for key in keys])}}}"
    return _scalar(value)


def _by_length(key: str) -> tuple[int, bytes]:
    """The order of keys in jsonb: shorter ones first, equally long ones by their bytes."""
    encoded = key.encode()
    return len(encoded), encoded


def _scalar(value: Any) -> str:
    if isinstance(value, datetime):
        return f'"{value.isoformat(timespec="microseconds")}"'
    if value is None or isinstance(value, bool):
        return _JSON_WORDS[value]
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError


def _arrays(values: _Column) -> list[str]:
    return [NULL if value is None else _array(value) if value else "{}" for value in values]


def _array(value: list[str]) -> str:
    if not all(map(_PLAIN_ELEMENT.fullmatch, value)):
        raise ValueError
    return "{" + ",".join(value) + "}"


_WRITERS: Final[Mapping[str, _Writer]] = {
    "uuid": _ids,
    "text": _texts,
    "bool": _booleans,
    "int4": _integers,
    "int8": _integers,
    "float8": _floats,
    "timestamptz": _times,
    "date": _dates,
    "jsonb": _json,
    "uuid[]": _arrays,
    "text[]": _arrays,
}
"""By PostgreSQL's name of the type; of all others every value is `OPEN`."""
