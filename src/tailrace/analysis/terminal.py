"""Draws a result with characters: lines, bars and heat maps for a terminal of any width.

Series differ by how they are drawn, not by colour alone, so a picture without colours says the same.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from tailrace.analysis.running import Result
from tailrace.analysis.saved import Plot
from tailrace.errors import UsageError

BLOCKS: Final = " ▁▂▃▄▅▆▇█"
SHADES: Final = " ░▒▓█"
_COLOURS: Final = ("34", "33", "32", "35")
_RESET: Final = "\x1b[0m"
LABEL_MAX: Final = 28
_POINTS: Final = ("", "•", "×", "+")


def draw(result: Result, *, width: int, height: int, colour: bool = False) -> str:
    """The picture that the query declares, at most `width` characters wide; empty results say so.

    Raises `UsageError` where the query declares none or a column is not there.
    """
    plot = result.query.plot
    if plot is None:
        raise UsageError(f"{result.query.name} declares no plot")
    title = result.query.title + (f" ({plot.unit})" if plot.unit else "")
    if not result.rows:
        return f"{title}\n(no rows)"
    match plot.kind:
        case "hbar":
            body = _ranking(result, plot, width)
        case "heatmap":
            body = _heatmap(result, plot)
        case "bar":
            body = _columns(result, plot, width, height)
        case _:
            body = _lines(result, plot, width, height, colour=colour)
    return "\n".join([title, *body])


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _label(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%b %d %H:%M}"
    text = f"{value:%b %d}" if isinstance(value, date) else str(value)
    return text if len(text) <= LABEL_MAX else f"{text[: LABEL_MAX - 1]}…"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.1f}"  # noqa: PLR2004 - digits


def _ranking(result: Result, plot: Plot, width: int) -> list[str]:
    values = [_number(value) or 0.0 for value in result.values(plot.x)]
    labels = [_label(value) for value in result.values(plot.y[0])]
    indent = max(map(len, labels))
    room = max(10, width - indent - 12)
    most = max([*values, 0.0]) or 1.0
    return [
        f"{label:>{indent}} │{_bar(value / most * room)} {_short(value)}"
        for label, value in zip(labels, values, strict=True)
    ]


def _bar(length: float) -> str:
    whole, part = divmod(round(length * 8), 8)
    return "█" * whole + " ▏▎▍▌▋▊▉"[part].strip()


def _heatmap(result: Result, plot: Plot) -> list[str]:
    xs = list(dict.fromkeys(result.values(plot.x)))
    ys = list(dict.fromkeys(result.values(plot.y[0])))
    values = result.values(plot.value or "")
    cells = {
        (x, y): _number(v) for x, y, v in zip(result.values(plot.x), result.values(plot.y[0]), values, strict=True)
    }
    known = [value for value in cells.values() if value is not None]
    most = max([*known, 0.0]) or 1.0
    labels = [_label(y) for y in ys]
    indent = max(map(len, labels))
    lines = [
        f"{label:>{indent}} │" + "".join(_shade(cells.get((x, y)), most) for x in xs)
        for label, y in zip(labels, ys, strict=True)
    ]
    axis = "".join(f"{_label(x):<6}"[:6] for x in xs[::3])
    scale = " ".join(f"{shade * 2}≤{_short(most * (n + 1) / len(SHADES))}" for n, shade in enumerate(SHADES) if n)
    return [*lines, f"{' ' * indent} └{axis}", f"{' ' * indent}  {scale}"]


def _shade(value: float | None, most: float) -> str:
    if value is None:
        return " ·"
    return SHADES[min(len(SHADES) - 1, int(value / most * len(SHADES)))] * 2


def _resampled(values: Sequence[float | None], columns: int) -> list[float | None]:
    """As many values as columns: means where there are more values, repeated where there are fewer."""
    count = len(values)
    found: list[float | None] = []
    for column in range(columns):
        start, end = column * count // columns, max(column * count // columns + 1, (column + 1) * count // columns)
        part = [value for value in values[start:end] if value is not None]
        found.append(sum(part) / len(part) if part else None)
    return found


def _columns(result: Result, plot: Plot, width: int, height: int) -> list[str]:
    """One block of columns for each series, so that none hides another."""
    found: list[str] = []
    each = max(3, height // (2 * len(plot.y))) if len(plot.y) > 1 else height // 2
    for name in plot.y:
        values = [_number(value) or 0.0 for value in result.values(name)]
        most = max([*values, 0.0]) or 1.0
        indent = len(_short(most))
        gap = max(1, min(6, (width - indent - 2) // len(values)))
        shown = (
            values
            if len(values) * gap <= width - indent - 2
            else [v or 0.0 for v in _resampled(values, width - indent - 2)]
        )
        found.append(f"{name}")
        for row in range(each, 0, -1):
            scale = _short(most) if row == each else "0" if row == 1 else ""
            cells = "".join(
                _cell(value / most * each - (row - 1)) * max(1, gap - 1) + " " * (gap > 1) for value in shown
            )
            found.append(f"{scale:>{indent}} ┤{cells}")
        found.append(f"{' ' * indent} └{_axis(result.values(plot.x), len(shown) * gap)}")
    return found


def _cell(filled: float) -> str:
    return BLOCKS[max(0, min(8, round(filled * 8)))]


def _axis(values: Sequence[Any], width: int) -> str:
    """First and last label, and as many between as there is room for."""
    labels = [_label(value) for value in values]
    widest = max(map(len, labels)) + 2
    count = max(2, min(len(labels), width // max(widest, 12)))
    line = [" "] * max(width, widest * 2)
    for n in range(count):
        label = labels[round(n * (len(labels) - 1) / (count - 1))] if count > 1 else labels[0]
        start = round(n * (width - len(label)) / (count - 1))
        line[max(0, start) : max(0, start) + len(label)] = list(label)
    return "".join(line).rstrip()


def _lines(result: Result, plot: Plot, width: int, height: int, *, colour: bool) -> list[str]:
    series = [[_number(value) for value in result.values(name)] for name in plot.y]
    known = [value for values in series for value in values if value is not None]
    if not known:
        return ["(no numbers)"]
    low, high = min([*known, 0.0]), max(known)
    span = (high - low) or 1.0
    middle = low + span * ((height - 1) // 2) / (height - 1)
    indent = max(len(_short(level)) for level in (low, middle, high))
    columns = min(width - indent - 3, max(len(series[0]) * 2, 30))
    canvas = [[" "] * columns for _ in range(height)]
    for number, values in reversed(list(enumerate(series))):
        shown = _resampled(values, columns)
        heights = [None if v is None else round((v - low) / span * (height - 1)) for v in shown]
        _trace(canvas, heights, number, colour=colour)
    scale = {height - 1: high, (height - 1) // 2: middle, 0: low}
    body = [
        f"{_short(scale[level]) if level in scale else '':>{indent}} ┤{''.join(canvas[height - 1 - level])}"
        for level in range(height - 1, -1, -1)
    ]
    legend = "   ".join(_painted(f"{_POINTS[n % 4] or '──'} {name}", n, colour=colour) for n, name in enumerate(plot.y))
    return [*body, f"{' ' * indent} └{_axis(result.values(plot.x), columns)}", f"{' ' * indent}  {legend}"]


def _trace(canvas: list[list[str]], heights: Sequence[int | None], number: int, *, colour: bool) -> None:
    """The first series is a line, the others are points."""
    top = len(canvas) - 1
    for column, level in enumerate(heights):
        if level is None:
            continue
        after = heights[column + 1] if column + 1 < len(heights) else level
        if number or after is None or after == level:
            canvas[top - level][column] = _painted(_POINTS[number % 4] or "─", number, colour=colour)
            continue
        step = 1 if after > level else -1
        canvas[top - level][column] = _painted("╯" if step > 0 else "╮", number, colour=colour)
        for between in range(level + step, after, step):
            canvas[top - between][column] = _painted("│", number, colour=colour)
        canvas[top - after][column] = _painted("╭" if step > 0 else "╰", number, colour=colour)


def _painted(text: str, number: int, *, colour: bool) -> str:
    return f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{text}{_RESET}" if colour else text
