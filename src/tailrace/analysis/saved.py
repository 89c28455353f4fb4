"""Saved queries: SQL files whose first lines say what they are called, what they take and how they are drawn.

    -- title: Busiest channels
    -- description: Channels by messages since a day.
    -- param: workspace workspace -- id, slug or name
    -- param: since date = today-30 -- first day
    -- plot: hbar x=messages y=channel unit=messages
    SELECT … WHERE workspace_id = :workspace AND hour >= :since

The name is the file's. A parameter is `NAME TYPE [= DEFAULT] [-- MEANING]`; its types are in `parameters`.
"""

import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, Literal, get_args

from tailrace.analysis.parameters import TYPES
from tailrace.errors import InvalidInputError, NotFoundError
from tailrace.sql.tokens import Kind, Token, tokens

PlotKind = Literal["line", "step", "bar", "hbar", "heatmap"]

_HEADER = re.compile(r"--[ \t]*(\w+):[ \t]*(.*)")
_PARAMETER = re.compile(r"([a-z][a-z0-9_]*)\s+([a-z]+)(?:\s*=\s*(.*?))?(?:\s+--\s+(.*))?")
_HEADERS: Final = {"title", "description", "param", "plot"}
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; without a `default` it must be given (a workspace need not be where there is only one)."""

    name: str
    type: str
    default: str | None
    meaning: str


@dataclass(frozen=True, slots=True)
class Plot:
    """How a result is drawn: names of its columns. A heatmap has one `y` and a `value`."""

    kind: PlotKind
    x: str
    y: tuple[str, ...]
    value: str | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """A query as written: schemas not yet renamed, parameters as `:name`."""

    name: str
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    plot: Plot | None
    text: str


def saved_queries() -> tuple[SavedQuery, ...]:
    """Every packaged query, by name."""
    folder = files("tailrace.sql") / "analyst"
    found = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return tuple(_read(file) for file in sorted(found, key=lambda file: file.name))


def find_query(name: str) -> SavedQuery:
    """A packaged query by name, or the query in a file where `name` is a path that ends in `.sql`.

    Raises `NotFoundError`, and `InvalidInputError` for a file whose first lines do not fit.
    """
    if name.endswith(".sql"):
        path = Path(name)
        if not path.is_file():
            raise NotFoundError(f"no file {name}")
        return _read(path)
    file = files("tailrace.sql") / "analyst" / f"{name}.sql"
    if not _NAME.fullmatch(name) or not file.is_file():
        near = [query.name for query in saved_queries() if name.lower() in query.name]
        raise NotFoundError(
            f"no saved query {name!r}", fix=f"perhaps {', '.join(near)}" if near else "tailrace query ls"
        )
    return _read(file)


def _read(file: Traversable | Path) -> SavedQuery:
    return parse(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))


def parse(name: str, text: str) -> SavedQuery:
    """Read a query's first lines. Raises `InvalidInputError` that names the line which does not fit."""
    found: dict[str, list[str]] = {header: [] for header in _HEADERS}
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        if header := _HEADER.fullmatch(line.strip()):
            if header[1] not in _HEADERS:
                raise InvalidInputError(f"{name}.sql: {header[1]!r} is none of {', '.join(sorted(_HEADERS))}")
            found[header[1]].append(header[2].strip())
    parameters = tuple(_parameter(name, line) for line in found["param"])
    if len({one.name for one in parameters}) < len(parameters):
        raise InvalidInputError(f"{name}.sql: a parameter is declared twice")
    return SavedQuery(
        name=name,
        title=" ".join(found["title"]) or name,
        description=" ".join(found["description"]),
        parameters=parameters,
        plot=_plot(name, found["plot"][0]) if found["plot"] else None,
        text=text,
    )


def _parameter(name: str, line: str) -> Parameter:
    fits = _PARAMETER.fullmatch(line)
    if fits is None or fits[2] not in TYPES:
        raise InvalidInputError(
            f"{name}.sql: `param: {line}` is no NAME TYPE [= DEFAULT] [-- MEANING]", fix=f"types: {', '.join(TYPES)}"
        )
    return Parameter(fits[1], fits[2], fits[3] or None, fits[4] or "")


def _plot(name: str, line: str) -> Plot:
    kind, _, rest = line.partition(" ")
    given = dict(part.split("=", 1) for part in rest.split() if "=" in part)
    y = tuple(column for column in given.get("y", "").split(",") if column)
    unknown = given.keys() - {"x", "y", "value", "unit"}
    if (
        kind not in get_args(PlotKind)
        or unknown
        or "x" not in given
        or not y
        or (kind == "heatmap" and not given.get("value"))
    ):
        raise InvalidInputError(
            f"{name}.sql: `plot: {line}` cannot be drawn",
            fix="e.g. `line x=day_utc y=dau,wau unit=users`, or `heatmap x=hour y=weekday value=messages`",
        )
    return Plot(kind, given["x"], y, given.get("value"), given.get("unit", "").replace("_", " "))  # type: ignore[arg-type]  # one of the kinds, checked above


def bind(query: SavedQuery) -> tuple[str, list[str]]:
    """The text with `$1`, `$2` … for its parameters, and their names in this order.

    Each is cast to its type, so that the server need not guess. Raises `InvalidInputError` for a name that is used but
    not declared, and for more than one statement.
    """
    types = {parameter.name: TYPES[parameter.type].sql for parameter in query.parameters}
    order: list[str] = []
    pieces: list[str] = []
    spoken = list(tokens(query.text))
    skip = False
    for index, token in enumerate(spoken):
        if skip:
            skip = False
            continue
        after = spoken[index + 1] if index + 1 < len(spoken) else None
        if token.text == ";" and token.kind is Kind.SIGN and any(not later.silent for later in spoken[index + 1 :]):
            raise InvalidInputError(f"{query.name}.sql: one statement only")
        if _opens_parameter(spoken, index) and after is not None:
            if after.text not in types:
                raise InvalidInputError(f"{query.name}.sql: `:{after.text}` is not declared", fix="-- param: NAME TYPE")
            if after.text not in order:
                order.append(after.text)
            pieces.append(f"${order.index(after.text) + 1}::{types[after.text]}")
            skip = True
        elif not (token.text == ";" and token.kind is Kind.SIGN):
            pieces.append(token.text)
    return "".join(pieces), order


def _opens_parameter(spoken: list[Token], index: int) -> bool:
    """Whether a colon stands before a name; `::uuid` is a cast."""
    if spoken[index].text != ":" or index + 1 >= len(spoken) or spoken[index + 1].kind is not Kind.WORD:
        return False
    return index == 0 or spoken[index - 1].text != ":"
