import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pytest
from pyarrow import parquet

from tailrace.analysis.exporting import Format, choose_format, document, for_json, write
from tailrace.analysis.running import Result
from tailrace.errors import PreconditionError, TailraceError, UsageError

MakeResult = Callable[..., Result]
COLUMNS = "day:date at:timestamptz n:int8 share:numeric who:uuid emoji:text is_new:bool about:jsonb"
WHO = UUID("0192f0c4-0000-7000-8000-000000000000")
ROWS = [
    (date(2026, 11, 20), datetime(2026, 11, 20, 23, 59, 59, 999999, tzinfo=UTC), 2**53 + 1, Decimal("0.25"), WHO,
     'a "quoted", 👍', True, {"b": [1]}),
    (None,) * 8,
]  # fmt: skip


def test_csv_keeps_every_value_and_nothing_where_nothing_is_known(result: MakeResult, tmp_path: Path):
    write(result(COLUMNS, ROWS), Format.CSV, tmp_path / "x.csv")

    header, first, second = csv.reader(io.StringIO((tmp_path / "x.csv").read_text(encoding="utf-8")))
    assert header == [column.split(":")[0] for column in COLUMNS.split()]
    assert first == [
        "2026-11-20", "2026-11-20T23:59:59.999999Z", str(2**53 + 1), "0.25", str(WHO), 'a "quoted", 👍', "true",
        '{"b": [1]}',
    ]  # fmt: skip
    assert second == [""] * 8


def test_json_lines_are_one_object_a_line(result: MakeResult, capsys: pytest.CaptureFixture[str]):
    write(result(COLUMNS, ROWS), Format.JSONL, None)

    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["n"] == 2**53 + 1
    assert first["at"] == "2026-11-20T23:59:59.999999Z"
    assert set(second.values()) == {None}


def test_parquet_has_types_and_says_as_of_when(result: MakeResult, tmp_path: Path):
    write(result(COLUMNS, ROWS, truncated=True), Format.PARQUET, tmp_path / "x.parquet")

    table = parquet.read_table(tmp_path / "x.parquet")
    about = json.loads(table.schema.metadata[b"tailrace"])
    assert table.schema.field("day").type == pa.date32()
    assert table.schema.field("at").type == pa.timestamp("us", tz="UTC")
    assert table.to_pylist()[0]["n"] == 2**53 + 1
    assert table.to_pylist()[1] == dict.fromkeys(table.column_names)
    assert (about["row_count"], about["truncated"]) == (2, True)
    assert about["as_of"]["projections"]["postgres"]["data_to"] == "2026-11-21T12:04:30Z"


def test_an_empty_result_is_a_file_with_columns(result: MakeResult, tmp_path: Path):
    write(result("n:int4", []), Format.PARQUET, tmp_path / "x.parquet")
    write(result("n:int4", []), Format.CSV, tmp_path / "x.csv")

    assert parquet.read_table(tmp_path / "x.parquet").column_names == ["n"]
    assert (tmp_path / "x.csv").read_text() == "n\n"


def test_the_document_says_how_many_rows_whether_cut_and_as_of_when(result: MakeResult):
    found = document(result("n:int4", [(1,)], truncated=True))

    assert json.loads(json.dumps(found, default=str))["rows"] == [[1]]
    assert (found["row_count"], found["truncated"]) == (1, True)
    assert found["as_of"]["stale"] is False


def test_half_an_export_is_never_left_under_its_name(result: MakeResult, tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text("the old one")
    broken = result("n:int4", [(1,), (object,)])
    object.__setattr__(broken, "rows", ((1,), 2))  # the second row cannot be written

    with pytest.raises(TypeError):
        write(broken, Format.CSV, path)

    assert path.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_an_error_in_words(result: MakeResult, tmp_path: Path):
    with pytest.raises(TailraceError, match="cannot write"):
        write(result("n:int4", []), Format.CSV, tmp_path / "no" / "x.csv")


def test_without_pyarrow_it_says_what_to_install(result: MakeResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)

    with pytest.raises(PreconditionError) as caught:
        write(result("n:int4", []), Format.PARQUET, tmp_path / "x.parquet")

    assert caught.value.fix == "pip install 'tailrace[parquet]'"


@pytest.mark.parametrize(
    ("name", "path", "chosen"),
    [
        (None, None, Format.TABLE),
        ("csv", None, Format.CSV),
        (None, "a.jsonl", Format.JSONL),
        ("csv", "a.txt", Format.CSV),
    ],
)
def test_the_format_is_said_or_seen(name: str | None, path: str | None, chosen: Format):
    assert choose_format(name, Path(path) if path else None) is chosen


@pytest.mark.parametrize(("name", "path"), [("xls", None), (None, "a.xls"), ("parquet", None), ("table", "a.csv")])
def test_a_format_that_cannot_be_written_is_refused(name: str | None, path: str | None):
    with pytest.raises(UsageError):
        choose_format(name, Path(path) if path else None)


@pytest.mark.parametrize(
    ("value", "plain"), [(Decimal(3), 3), (Decimal("3.0"), 3.0), (Decimal("1E2"), 100.0), ([WHO], [str(WHO)])]
)
def test_numbers_stay_numbers(value: object, plain: object):
    assert for_json(value) == plain
    assert type(for_json(value)) is type(plain)
