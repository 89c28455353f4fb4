"""Loads SQL text from this package: numbered migrations and named queries.

Files are read as package resources, so it works from the source tree and from the wheel alike.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import NamedTuple

from tailrace.errors import InvalidInputError, NotFoundError
from tailrace.sql.rendering import quoted, render, schema_names

__all__ = ["Migration", "migrations", "queries", "quoted", "render", "schema_names"]

_MIGRATION_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.(up|down)\.sql")
_QUERY_NAME = re.compile(r"^--[ \t]*name:[ \t]*(\S+).*$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Migration(NamedTuple):
    """One step of the schema, as written (schemas not yet renamed).

    `checksum` is the SHA-256 of the up text, in hex. The down text is outside of it: it may be corrected after the
    step was applied, whereas another up text would mean that two databases of one number differ.
    """

    number: int
    name: str
    up: str
    down: str
    checksum: str

    @property
    def label(self) -> str:
        """How the step is called wherever a person reads it, e.g. `0002_partition_keeper`."""
        return f"{self.number:04d}_{self.name}"


def migrations(folder: Traversable | None = None) -> tuple[Migration, ...]:
    """The migrations of a folder (default: the packaged ones) in the order of their numbers.

    A migration is the pair `NNNN_name.up.sql` and `NNNN_name.down.sql`, UTF-8. Numbers begin at 1 and have no gaps.
    Raises `InvalidInputError` for a file of another name, half a pair, a number used twice, or a gap.
    """
    texts: dict[tuple[int, str], dict[str, str]] = {}
    for file in (folder or files("tailrace.sql") / "migrations").iterdir():
        if not file.name.endswith(".sql"):
            continue
        named = _MIGRATION_FILE.fullmatch(file.name)
        if named is None:
            raise InvalidInputError(f"{file.name}: a migration is called NNNN_name.up.sql or NNNN_name.down.sql")
        texts.setdefault((int(named[1]), named[2]), {})[named[3]] = file.read_text(encoding="utf-8")
    return tuple(
        _migration(position, number, name, texts[number, name])
        for position, (number, name) in enumerate(sorted(texts), start=1)
    )


def _migration(position: int, number: int, name: str, directions: Mapping[str, str]) -> Migration:
    label = f"{number:04d}_{name}"
    if number != position:
        raise InvalidInputError(f"{label}: expected the number {position:04d}; numbers are used once and have no gaps")
    for direction in ("up", "down"):
        if direction not in directions:
            raise InvalidInputError(f"{label}.{direction}.sql is missing")
    checksum = hashlib.sha256(directions["up"].encode()).hexdigest()
    return Migration(number, name, directions["up"], directions["down"], checksum)


def queries(file: str, folder: Traversable | None = None) -> Mapping[str, str]:
    """The queries of `sql/queries/FILE.sql` by name, as written (schemas not yet renamed).

    A query is the text behind a line `-- name: advance_progress`, up to the next such line; more may follow the name
    on that line. Only comments may stand before the first. Raises `NotFoundError` if there is no such file and
    `InvalidInputError` for a name used twice or no text.
    """
    return _packaged_queries(file) if folder is None else _read_queries(file, folder)


@cache
def _packaged_queries(file: str) -> Mapping[str, str]:
    return _read_queries(file, files("tailrace.sql") / "queries")


def _read_queries(file: str, folder: Traversable) -> Mapping[str, str]:
    path = folder / f"{file}.sql"
    if not path.is_file():
        raise NotFoundError(f"no SQL file sql/queries/{file}.sql")
    before, *rest = _QUERY_NAME.split(path.read_text(encoding="utf-8"))
    if any(line.strip() and not line.startswith("--") for line in before.splitlines()):
        raise InvalidInputError(f"{file}.sql: there is text before the first `-- name:` line")
    found: dict[str, str] = {}
    for name, text in zip(rest[::2], rest[1::2], strict=True):
        if not _NAME.fullmatch(name) or name in found:
            raise InvalidInputError(f"{file}.sql: {name!r} is no name for a query, or used twice")
        if not text.strip():
            raise InvalidInputError(f"{file}.sql: the query {name} has no text")
        found[name] = text.strip()
    return MappingProxyType(found)
