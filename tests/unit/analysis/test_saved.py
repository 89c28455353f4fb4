from pathlib import Path

import pytest

from tailrace.analysis.report import CHARTS, report_query
from tailrace.analysis.saved import Parameter, Plot, bind, find_query, parse, saved_queries
from tailrace.errors import InvalidInputError, NotFoundError

QUERIES = saved_queries()


def test_there_are_more_than_a_dozen():
    assert len(QUERIES) >= 20
    assert {"dau_trend", "reply_speed", "reconcile"} <= {query.name for query in QUERIES}


@pytest.mark.parametrize("query", [*QUERIES, *map(report_query, (*CHARTS, "totals"))], ids=lambda query: query.name)
def test_every_query_says_what_it_is_and_uses_what_it_takes(query):
    text, order = bind(query)

    assert query.title
    assert query.description or query.name == "totals"
    assert sorted(order) == sorted(parameter.name for parameter in query.parameters)
    assert "$" in text or not query.parameters


def test_the_first_lines_are_read():
    query = parse(
        "days",
        "-- title: Days\n-- description: By day,\n-- description: all of them.\n-- A comment.\n"
        "-- param: since date = today-90 -- first day\n-- param: top int\n"
        "-- plot: line x=day y=a,b unit=active_users\n\nSELECT :since, :top",
    )

    assert (query.title, query.description) == ("Days", "By day, all of them.")
    assert query.parameters == (
        Parameter("since", "date", "today-90", "first day"),
        Parameter("top", "int", None, ""),
    )
    assert query.plot == Plot("line", "day", ("a", "b"), None, "active users")


@pytest.mark.parametrize(
    "line",
    [
        "-- tilte: Days", "-- param: since", "-- param: since datum", "-- param: Since date", "-- plot: pie x=a y=b",
        "-- plot: line x=a", "-- plot: line y=a", "-- plot: heatmap x=a y=b", "-- plot: line x=a y=b colour=red",
        "-- param: a int\n-- param: a text",
    ],
)  # fmt: skip
def test_a_first_line_that_does_not_fit_is_refused_with_the_files_name(line: str):
    with pytest.raises(InvalidInputError, match=r"days\.sql"):
        parse("days", f"{line}\nSELECT 1")


def test_parameters_are_bound_by_number_and_cast():
    query = parse("q", "-- param: a date\n-- param: b int\nSELECT :a, :b, :a - 1, now()::date, 'x :b', \":a\" -- :a\n;")

    text, order = bind(query)

    assert text.splitlines()[2] == "SELECT $1::date, $2::int, $1::date - 1, now()::date, 'x :b', \":a\" -- :a"
    assert ";" not in text
    assert order == ["a", "b"]


def test_a_name_that_was_not_declared_is_refused():
    with pytest.raises(InvalidInputError, match=":since"):
        bind(parse("q", "SELECT :since"))


def test_more_than_one_statement_is_refused():
    with pytest.raises(InvalidInputError, match="one statement"):
        bind(parse("q", "SELECT 1; DROP TABLE x"))


def test_a_file_of_ones_own_is_a_query(tmp_path: Path):
    path = tmp_path / "mine.sql"
    path.write_text("SELECT 1")

    assert find_query(str(path)).name == "mine"


@pytest.mark.parametrize("name", ["nobody", "../queries/progress", "report/days", "/etc/hostname.sql"])
def test_a_name_that_is_none_is_not_found(name: str):
    with pytest.raises(NotFoundError):
        find_query(name)


def test_a_part_of_a_name_brings_the_names_it_could_be():
    with pytest.raises(NotFoundError) as caught:
        find_query("dau")

    assert caught.value.fix == "perhaps dau_trend"
