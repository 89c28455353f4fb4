"""Writes results: CSV, JSON Lines, Parquet, one JSON document. Times are RFC 3339 UTC, unknown is never 0."""

import csv
import io
import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID

from tailrace.analysis.running import Column, Result
from tailrace.errors import PreconditionError, TailraceError, UsageError


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def choose_format(name: str | None, path: Path | None) -> Format:
    """The format by its name, else by the file's. Raises `UsageError` where neither says."""
    text = name or (path.suffix.removeprefix(".") if path else "table")
    try:
        chosen = Format(text)
    except ValueError as error:
        raise UsageError(f"no format {text!r}", fix=f"--format {'|'.join(Format)}") from error
    if chosen is Format.PARQUET and path is None:
        raise UsageError("Parquet is binary", fix="--to FILE.parquet")
    if chosen is Format.TABLE and path is not None:
        raise UsageError("a table is for the terminal", fix="--format csv, jsonl or parquet")
    return chosen


def for_json(value: Any) -> Any:
    """A value as JSON knows it: numbers stay numbers, times are RFC 3339 UTC, ids are text."""
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value.tzinfo else value.isoformat()
        case date():
            return value.isoformat()
        case UUID():
            return str(value)
        case list() | tuple():
            return [for_json(item) for item in value]
        case _:
            return value


def for_people(value: Any) -> Any:
    """A value in a table: times to the second, UTC."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z" if value.tzinfo else f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value) if isinstance(value, UUID | date | Decimal | bool | dict | list) else value


def document(result: Result) -> dict[str, Any]:
    """The result as one JSON document: `{query, parameters, columns, rows, row_count, truncated, as_of}`."""
    return {
        "query": result.query.name,
        "title": result.query.title,
        "parameters": {name: for_json(value) for name, value in result.parameters.items()},
        "columns": [{"name": column.name, "type": column.type} for column in result.columns],
        "rows": [[for_json(value) for value in row] for row in result.rows],
        "row_count": len(result.rows),
        "truncated": result.truncated,
        "took_ms": result.took_ms,
        "as_of": result.as_of.document(),
    }


def write(result: Result, form: Format, path: Path | None) -> None:
    """Write all rows to a file, or to stdout where `path` is None. An existing file is replaced once all is written.

    Raises `PreconditionError` where Parquet is asked for and pyarrow is not installed.
    """
    if form is Format.PARQUET:
        if path is None:
            raise UsageError("Parquet is binary", fix="--to FILE.parquet")
        _replace(path, lambda file: _write_parquet(result, file))
    elif path is None:
        _TEXT[form](result, sys.stdout)
        sys.stdout.flush()
    else:
        _replace(path, lambda file: _as_text(result, form, file))


def _replace(path: Path, fill: Callable[[IO[bytes]], None]) -> None:
    """Half an export under the right name would be taken for a whole one."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            fill(file)
        partial.replace(path)
    except OSError as error:
        raise TailraceError(f"cannot write {path}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def _as_text(result: Result, form: Format, file: IO[bytes]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    _TEXT[form](result, text)
    text.flush()
    text.detach()


def _write_csv(result: Result, file: IO[str]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([column.name for column in result.columns])
    for row in result.rows:
        writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    plain = for_json(value)
    if isinstance(plain, bool):
        return str(plain).lower()
    return json.dumps(plain, ensure_ascii=False) if isinstance(plain, dict | list) else plain


def _write_jsonl(result: Result, file: IO[str]) -> None:
    names = [column.name for column in result.columns]
    for row in result.rows:
        plain = dict(zip(names, map(for_json, row), strict=True))
        file.write(json.dumps(plain, ensure_ascii=False) + "\n")


_TEXT: Final[dict[Format, Callable[[Result, IO[str]], None]]] = {Format.CSV: _write_csv, Format.JSONL: _write_jsonl}


def _write_parquet(result: Result, file: IO[bytes]) -> None:
    """Numbers as numbers, days as date32, times as microseconds UTC; `tailrace` in the metadata says as of when."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise PreconditionError("Parquet needs pyarrow", fix="pip install 'tailrace[parquet]'") from error
    fields, arrays = [], []
    for index, column in enumerate(result.columns):
        kind, read = _arrow_type(pa, column)
        fields.append(pa.field(column.name, kind))
        arrays.append(pa.array([None if row[index] is None else read(row[index]) for row in result.rows], kind))
    about = {key: value for key, value in document(result).items() if key not in {"rows", "columns"}}
    metadata = {"tailrace": json.dumps(about, default=for_json, ensure_ascii=False)}
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=metadata))
    parquet.write_table(table, file, compression="zstd")


def _arrow_type(pa: Any, column: Column) -> tuple[Any, Callable[[Any], Any]]:
    def same(value: Any) -> Any:
        return value

    numbers = {"int2": pa.int32(), "int4": pa.int32(), "int8": pa.int64()}
    if column.type in numbers:
        return numbers[column.type], same
    match column.type:
        case "float4" | "float8" | "numeric":
            return pa.float64(), float
        case "bool":
            return pa.bool_(), same
        case "date":
            return pa.date32(), same
        case "timestamptz":
            return pa.timestamp("us", tz="UTC"), same
        case _:
            return pa.string(), lambda value: str(_cell(value))
