"""Draws results as pictures for slides and for the report: one look, safe for colour-blind readers.

Colours are those of Okabe and Ito (Color Universal Design, 2008), lines also differ by their dashes; the heat map rises
in lightness alone. Every picture says its unit, whose days it shows and how far its data goes.
"""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from tailrace.analysis.running import Result
from tailrace.analysis.saved import Plot
from tailrace.errors import PreconditionError, TailraceError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES: Final = ("-", (0, (5, 2)), (0, (1, 1.5)), "-.", "-", (0, (5, 2)))
INK, MUTED, GRID = "#1f2933", "#667380", "#e4e8ec"
SIZE_INCHES: Final = (10.0, 5.6)
DPI: Final = 200
LABEL_MAX: Final = 34
SUBTITLE_MAX: Final = 115
"""Characters of its size beside each other in a picture."""
BARS_MAX: Final = 400
RANKING_ROWS_MAX: Final = 40
_STYLE: Final[Any] = {
    "font.family": ["DejaVu Sans", "Noto Sans CJK SC", "Noto Sans"],
    "font.size": 10.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#b8c1ca",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "svg.fonttype": "path",
    "svg.hashsalt": "tailrace",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around a chart; the report has its own headings and leaves these out."""

    title: str
    subtitle: str
    footer: str
    size: tuple[float, float] = SIZE_INCHES


def save_chart(result: Result, path: Path) -> None:
    """Write the query's chart as `.png` (2000 × 1120 pixels) or `.svg`.

    Raises `PreconditionError` where matplotlib is not installed, `UsageError` for another ending, a query that declares
    no plot or names columns it has not, and for an empty result.
    """
    if path.suffix not in {".png", ".svg"}:
        raise UsageError(f"{path}: charts are .png or .svg")
    picture = render_chart(result, frame_of(result), path.suffix.removeprefix("."))
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise TailraceError(f"cannot write {path}: {error.strerror}") from error


def frame_of(result: Result) -> Frame:
    """The usual frame: title, what the parameters were, rows and how far the data goes."""
    usual = {name: value for name, value in result.parameters.items() if not isinstance(value, UUID)}
    shown = {**usual, **result.given}
    given = ", ".join(f"{name} {value}" for name, value in shown.items())
    cut = " · cut: there are more rows" if result.truncated else ""
    footer = f"tailrace · {result.query.name} · {len(result.rows):,} rows{cut} · {result.as_of.sentence()}"
    return Frame(result.query.title, " · ".join(filter(None, (result.query.description, given))), footer)


def render_chart(result: Result, frame: Frame | None, form: str) -> bytes:
    """The picture's bytes, `png` or `svg`; the same result gives the same bytes."""
    if result.query.plot is None:
        raise UsageError(f"{result.query.name} declares no plot", fix="-- plot: line x=… y=…")
    if not result.rows:
        raise UsageError(f"{result.query.name}: no rows to draw", fix="other parameters")
    with _styled():
        figure = _figure(result, result.query.plot, frame)
        buffer = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {"Software": "tailrace"}
        figure.savefig(buffer, format=form, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


@contextmanager
def _styled() -> Iterator[None]:
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise PreconditionError("charts need matplotlib", fix="pip install 'tailrace[plots]'") from error
    import logging

    # Fonts of our list that are not installed are no news, nor are names in scripts that none of them has.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _figure(result: Result, plot: Plot, frame: Frame | None) -> "Figure":
    from matplotlib.figure import Figure

    size = frame.size if frame else SIZE_INCHES
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    if frame and frame.title:
        # Room above and below the axes, in shares of the height.
        figure.get_layout_engine().set(rect=(0.012, 0.06, 0.976, 0.80))  # type: ignore[union-attr,call-arg]  # constrained takes it
        figure.text(0.025, 0.945, frame.title, fontsize=17, fontweight="bold", va="center")
        figure.text(0.025, 0.885, _clipped(frame.subtitle, SUBTITLE_MAX), fontsize=9.5, color=MUTED, va="center")
        figure.text(0.025, 0.03, frame.footer, fontsize=8, color=MUTED, va="center")
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    _DRAWERS[plot.kind](axes, result, plot)
    return figure


def _clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _numbers(values: Sequence[Any]) -> list[float]:
    return [float("nan") if value is None else float(value) for value in values]


def _readable(name: str) -> str:
    return name.replace("_", " ")


def _axis_name(name: str) -> str:
    """`day_utc` and `day_local` say whose days they are."""
    if name.endswith("_local"):
        return f"{_readable(name.removesuffix('_local'))} (local time)"
    is_time = name.endswith("_utc") or name in {"week", "month", "hour"}
    return f"{_readable(name.removesuffix('_utc'))} (UTC)" if is_time else _readable(name)


def _label(value: Any) -> str:
    """A category's name; emoji by their words, as few fonts have their pictures."""
    import emoji

    if isinstance(value, datetime | date):
        return f"{value:%Y-%m-%d}"
    words = emoji.demojize(str(value), delimiters=("", "")).replace("_", " ")
    return _clipped(words.strip(":") or "–", LABEL_MAX)


def _value_axis(axes: "Axes", plot: Plot) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.grid(visible=True, axis="y", color=GRID, linewidth=0.9)
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.0f}" if value == int(value) else f"{value:,.1f}")
    )
    axes.set_ylabel(plot.unit or (_readable(plot.y[0]) if len(plot.y) == 1 else ""))
    axes.set_ylim(bottom=0)


def _time_axis(axes: "Axes", values: Sequence[Any], name: str) -> None:
    if not isinstance(values[0], date):
        axes.set_xlabel(_axis_name(name))
        return
    from matplotlib.dates import AutoDateLocator, num2date
    from matplotlib.ticker import FuncFormatter

    def label(value: float, place: int | None) -> str:
        day: datetime = num2date(value)  # type: ignore[no-untyped-call]  # matplotlib's
        return f"{day.day} {day:%b}" + (f"\n{day:%Y}" if not place or day.month == day.day == 1 else "")

    axes.xaxis.set_major_locator(AutoDateLocator(minticks=4, maxticks=9))  # type: ignore[no-untyped-call]  # matplotlib's
    axes.xaxis.set_major_formatter(FuncFormatter(label))
    axes.tick_params(axis="x", pad=5)
    axes.set_xlabel(_axis_name(name))


def _legend(axes: "Axes", plot: Plot) -> None:
    if len(plot.y) > 1:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.01, 1.0),
            ncols=len(plot.y),
            frameon=False,
            fontsize=9.5,
            handlelength=2.4,
        )


def _draw_lines(axes: "Axes", result: Result, plot: Plot) -> None:
    xs = result.values(plot.x)
    for number, name in enumerate(plot.y):
        ys = _numbers(result.values(name))
        colour, dashes = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        step = {"drawstyle": "steps-post"} if plot.kind == "step" else {}
        axes.plot(xs, ys, color=colour, linestyle=dashes, linewidth=2.1, label=_readable(name), **step)  # type: ignore[arg-type]  # the stubs want one type for all keywords
        if len(plot.y) == 1 and plot.kind == "line":
            axes.fill_between(xs, ys, color=colour, alpha=0.08, linewidth=0)
    _value_axis(axes, plot)
    _time_axis(axes, xs, plot.x)
    axes.margins(x=0.01)
    _legend(axes, plot)


def _draw_bars(axes: "Axes", result: Result, plot: Plot) -> None:
    from matplotlib.dates import date2num

    values = result.values(plot.x)[-BARS_MAX:]
    is_time = isinstance(values[0], date)
    xs = [float(date2num(value)) for value in values] if is_time else [float(n) for n in range(len(values))]  # type: ignore[no-untyped-call]  # matplotlib's
    gap = min((after - before for before, after in pairwise(xs)), default=1.0)
    width = gap * 0.78 / len(plot.y)
    for number, name in enumerate(plot.y):
        shift = (number - (len(plot.y) - 1) / 2) * width
        heights = [0.0 if value is None else float(value) for value in result.values(name)[-BARS_MAX:]]
        axes.bar([x + shift for x in xs], heights, width * 0.94, color=COLOURS[number], label=_readable(name))
    _value_axis(axes, plot)
    if is_time:
        axes.xaxis_date()
        _time_axis(axes, values, plot.x)
    else:
        axes.set_xticks(xs, [_label(value) for value in values])
        axes.set_xlabel(_readable(plot.x))
    axes.margins(x=0.01)
    _legend(axes, plot)


def _draw_ranking(axes: "Axes", result: Result, plot: Plot) -> None:
    labels = [_label(value) for value in result.values(plot.y[0])[:RANKING_ROWS_MAX]]
    values = [0.0 if value is None else float(value) for value in result.values(plot.x)[:RANKING_ROWS_MAX]]
    rows = list(range(len(values)))
    axes.barh(rows, values, height=0.7, color=COLOURS[0])
    axes.set_yticks(rows, labels, color=INK)
    axes.invert_yaxis()
    most = max([*values, 0.0]) or 1.0
    for row, value in zip(rows, values, strict=True):
        text = f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
        axes.text(value + most * 0.008, row, text, va="center", fontsize=9, color=MUTED)
    axes.set_xlim(0, most * 1.08)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_xticks([])
    axes.set_xlabel(plot.unit or _readable(plot.x))


def _draw_heatmap(axes: "Axes", result: Result, plot: Plot) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    xs = list(dict.fromkeys(result.values(plot.x)))
    ys = list(dict.fromkeys(result.values(plot.y[0])))
    places = {x: n for n, x in enumerate(xs)}, {y: n for n, y in enumerate(ys)}
    cells = [[float("nan")] * len(xs) for _ in ys]
    for x, y, value in zip(
        result.values(plot.x), result.values(plot.y[0]), result.values(plot.value or ""), strict=True
    ):
        cells[places[1][y]][places[0][x]] = float("nan") if value is None else float(value)
    scale = LinearSegmentedColormap.from_list("tailrace", ["#f3f8fc", "#9ecae1", "#2b7bba", "#08306b"])
    is_share = plot.unit == "share"
    picture = axes.pcolormesh(
        cells, cmap=scale, vmin=0, vmax=1 if is_share else None, edgecolors="white", linewidth=1.6
    )
    axes.invert_yaxis()
    axes.set_yticks([n + 0.5 for n in range(len(ys))], [_label(y) for y in ys], color=INK)
    every = max(1, len(xs) // 24)
    axes.set_xticks([n + 0.5 for n in range(0, len(xs), every)], [_label(x) for x in xs[::every]])
    axes.set_xlabel(_axis_name(plot.x))
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = axes.figure.colorbar(picture, ax=axes, shrink=0.85, aspect=28, pad=0.015)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8.5)
    if is_share:
        from matplotlib.ticker import PercentFormatter

        bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    bar.set_label(plot.unit or _readable(plot.value or ""), color=MUTED)


_DRAWERS: Final[dict[str, Callable[["Axes", Result, Plot], None]]] = {
    "line": _draw_lines,
    "step": _draw_lines,
    "bar": _draw_bars,
    "hbar": _draw_ranking,
    "heatmap": _draw_heatmap,
}
