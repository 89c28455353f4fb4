"""Pictures in the terminal and in files, from results made by hand."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from tailrace.analysis.charts import frame_of, render_chart, save_chart
from tailrace.analysis.running import Result
from tailrace.analysis.terminal import draw
from tailrace.errors import PreconditionError, UsageError

MakeResult = Callable[..., Result]
DAYS = [date(2026, 11, 1) + timedelta(days=n) for n in range(20)]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def drawn(result: MakeResult) -> dict[str, Result]:
    """One result of each kind, with holes where data has holes."""
    channels = [("#town", 30), ("👍", 12), (None, 0), ("#" + "long" * 30, None)]
    cells = [(day, hour, None if hour == 3 else day * hour) for day in range(3) for hour in range(5)]
    return {
        "line": result("day_utc:date dau:int4 mau:int4",
                       [(d, n, None if n == 4 else 2 * n) for n, d in enumerate(DAYS)],
                       plot="line x=day_utc y=dau,mau unit=users"),
        "step": result("day_utc:date members:int4", [(DAYS[0], 1)], plot="step x=day_utc y=members"),
        "bar": result("day_local:date a:int4 b:int4", [(d, n, n // 2) for n, d in enumerate(DAYS)],
                      plot="bar x=day_local y=a,b"),
        "classes": result("class:text a:numeric", [("few", 1), ("many", 2)], plot="bar x=class y=a"),
        "hbar": result("channel:text messages:int4", channels, plot="hbar x=messages y=channel"),
        "heatmap": result("day:int4 hour:int4 n:int4", cells, plot="heatmap x=hour y=day value=n unit=share"),
        "nothing": result("day_utc:date dau:int4", [(d, 0) for d in DAYS], plot="line x=day_utc y=dau"),
        "unknown": result("day_utc:date dau:int4", [(d, None) for d in DAYS], plot="line x=day_utc y=dau"),
    }  # fmt: skip


KINDS = ("line", "step", "bar", "classes", "hbar", "heatmap", "nothing", "unknown")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [40, 100])
def test_a_picture_fits_the_terminal(kind: str, width: int, drawn: dict[str, Result]):
    lines = draw(drawn[kind], width=width, height=14).splitlines()

    assert lines[0].startswith("A title")
    assert max(map(len, lines[1:])) <= max(width, 45)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["png", "svg"])
def test_a_picture_is_a_file(kind: str, form: str, drawn: dict[str, Result], tmp_path: Path):
    path = tmp_path / f"x.{form}"

    save_chart(drawn[kind], path)

    if form == "png":
        assert path.read_bytes().startswith(PNG)
    else:
        assert ET.fromstring(path.read_text()).tag.endswith("svg")  # noqa: S314 - our own file


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_same_result_is_the_same_picture(form: str, drawn: dict[str, Result]):
    first, second = (render_chart(drawn["line"], frame_of(drawn["line"]), form) for _ in range(2))

    assert first == second


def test_a_ranking_shows_its_numbers_and_its_longest_bar_first(drawn: dict[str, Result]):
    _, first, second, *_ = draw(drawn["hbar"], width=60, height=10).splitlines()

    assert first.strip().startswith("#town │█")
    assert first.endswith(" 30")
    assert first.count("█") > second.count("█") > 0


def test_series_differ_without_colour(drawn: dict[str, Result]):
    plain = draw(drawn["line"], width=80, height=10)

    assert "\x1b" not in plain
    assert "── dau   • mau" in plain
    assert "\x1b[" in draw(drawn["line"], width=80, height=10, colour=True)


def test_no_rows_are_said_in_the_terminal_and_refused_as_a_picture(result: MakeResult, tmp_path: Path):
    empty = result("day:date n:int4", [], plot="line x=day y=n")

    assert "(no rows)" in draw(empty, width=80, height=10)
    with pytest.raises(UsageError, match="no rows"):
        save_chart(empty, tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_a_column_that_is_not_there_is_named(result: MakeResult):
    with pytest.raises(UsageError, match="'dau'") as caught:
        draw(result("n:int4", [(1,)], plot="line x=n y=dau"), width=80, height=10)

    assert caught.value.fix == "its columns: n"


def test_a_cut_result_says_so_under_the_picture(result: MakeResult):
    cut = result("n:int4", [(1,)], plot="line x=n y=n", truncated=True)

    assert "cut: there are more rows" in frame_of(cut).footer
    assert "data to 2026-11-21 12:04:30 UTC" in frame_of(cut).footer


def test_without_matplotlib_it_says_what_to_install(drawn: dict[str, Result], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)

    with pytest.raises(PreconditionError) as caught:
        render_chart(drawn["line"], None, "png")

    assert caught.value.fix == "pip install 'tailrace[plots]'"
