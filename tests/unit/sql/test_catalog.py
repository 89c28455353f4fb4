import os
import subprocess
import sys
from pathlib import Path

import pytest

from tailrace.errors import InvalidInputError, NotFoundError
from tailrace.sql.catalog import migrations, queries

ROOT = Path(__file__).parents[3]


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name.replace('__', '.')}.sql").write_text(text, encoding="utf-8")
    return folder


def write_migrations(folder: Path, *labels: str) -> Path:
    return write(folder, **{f"{label}__{way}": f"SELECT '{label}'" for label in labels for way in ("up", "down")})


def test_migrations_come_in_the_order_of_their_numbers(tmp_path: Path):
    found = migrations(
        write_migrations(tmp_path, *(f"{number:04d}_step" for number in (2, 10, 1, 9, 3, 4, 5, 6, 7, 8)))
    )

    assert [migration.number for migration in found] == list(range(1, 11))
    assert found[0].label == "0001_step"
    assert found[0].down == "SELECT '0001_step'"


def test_the_checksum_follows_the_up_text_and_not_the_line_ends(tmp_path: Path):
    first = migrations(write(tmp_path, **{"0001_a__up": "a\nb", "0001_a__down": "x"}))[0]
    (tmp_path / "0001_a.up.sql").write_bytes(b"a\r\nb")
    (tmp_path / "0001_a.down.sql").write_text("y")
    windows = migrations(tmp_path)[0]
    (tmp_path / "0001_a.up.sql").write_text("a\nc")

    assert windows.checksum == first.checksum
    assert migrations(tmp_path)[0].checksum != first.checksum


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (["0001_a", "0003_c"], "0003_c: expected the number 0002"),
        (["0001_a", "0001_b"], "0001_b: expected the number 0002"),
        (["0002_b"], "0002_b: expected the number 0001"),
    ],
)
def test_gaps_and_doubles_in_the_numbers_are_refused(tmp_path: Path, labels: list[str], complaint: str):
    with pytest.raises(InvalidInputError, match=complaint):
        migrations(write_migrations(tmp_path, *labels))


def test_half_a_pair_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInputError, match=r"0001_a\.down\.sql is missing"):
        migrations(write(tmp_path, **{"0001_a__up": "SELECT 1"}))


@pytest.mark.parametrize("name", ["1_a.up.sql", "0001_A.up.sql", "0001_a.sql", "0001-a.down.sql"])
def test_a_misnamed_file_is_refused(tmp_path: Path, name: str):
    (tmp_path / name).write_text("SELECT 1")

    with pytest.raises(InvalidInputError, match=name):
        migrations(tmp_path)


def test_other_files_may_stand_beside(tmp_path: Path):
    (tmp_path / "README.md").write_text("why")

    assert migrations(tmp_path) == ()


def test_queries_are_found_by_name(tmp_path: Path):
    write(
        tmp_path,
        q="-- What these do.\n\n-- name: one  title: First\n-- why\nSELECT 1\n\n-- name: two\nSELECT '-- name:'\n",
    )

    assert dict(queries("q", tmp_path)) == {"one": "-- why\nSELECT 1", "two": "SELECT '-- name:'"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("-- name: a\nSELECT 1\n-- name: a\nSELECT 2", "'a' is no name for a query, or used twice"),
        ("-- name: A-1\nSELECT 1", "'A-1' is no name"),
        ("-- name: a\n-- name: b\nSELECT 1", "the query a has no text"),
        ("SELECT 0;\n-- name: a\nSELECT 1", "text before the first"),
    ],
)
def test_a_muddled_query_file_is_refused(tmp_path: Path, text: str, complaint: str):
    with pytest.raises(InvalidInputError, match=complaint):
        queries("q", write(tmp_path, q=text))


def test_a_query_file_that_is_not_there_is_not_found(tmp_path: Path):
    with pytest.raises(NotFoundError, match=r"nothing\.sql"):
        queries("nothing", tmp_path)


def test_the_packaged_files_are_in_order():
    assert [migration.number for migration in migrations()] == list(range(1, len(migrations()) + 1))
    for file in (ROOT / "sql" / "queries").glob("*.sql"):
        assert queries(file.stem)


def test_the_wheel_brings_its_sql_along(tmp_path: Path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    ask = "from tailrace.sql import catalog as c; print(c.__file__, len(c.migrations()), len(c.queries('migrations')))"
    answer = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(wheel)}, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip

    assert answer[0].startswith(str(wheel))
    assert [int(number) for number in answer[1:]] == [len(migrations()), len(queries("migrations"))]
