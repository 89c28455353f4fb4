"""What every command prints with: data on stdout, everything else on stderr."""

import json
import sys
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

PIPED_COLUMNS = 200
"""Width of a table that no terminal shows: wide enough not to fold addresses and paths."""

stderr = Console(stderr=True)
stdout = Console(width=None if sys.stdout.isatty() else PIPED_COLUMNS)


class Output(StrEnum):
    """How a reading command prints."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="`table` for people, `json`: one document on stdout.")
]


ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; it is recorded (`tailrace audit ls`).")]


def plain(value: Any) -> Any:
    """Turn what JSON does not know into what it does: times as RFC 3339 UTC, the rest as text."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(document, default=plain, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_table(columns: list[str], rows: list[list[Any]], *, title: str | None = None) -> None:
    """Print a table on stdout; numbers are right-aligned, None is `–` (unknown is never 0)."""
    stdout.print(table_of(columns, rows, title=title))


def table_of(columns: list[str], rows: list[list[Any]], *, title: str | None = None) -> Table:
    """The table that `print_table` prints."""
    table = Table(title=title, box=None, pad_edge=False, header_style="bold", title_justify="left")
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float | None) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*("–" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    return table


def note(message: str) -> None:
    """One line for a person, on stderr."""
    stderr.print(message, highlight=False, markup=False, soft_wrap=True)
