"""The report's HTML: one file with its styles and pictures inside; no script, nothing fetched."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date
from html import escape
from typing import Final

from tailrace.analysis.access import AsOf
from tailrace.analysis.exporting import for_people
from tailrace.analysis.running import Result

_CSS: Final = """
:root { --ink: #1f2933; --muted: #5b6874; --line: #e4e8ec; --accent: #0072B2; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f7f9; color: var(--ink);
       font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 56px; }
header h1 { margin: 0; font-size: 32px; line-height: 1.2; letter-spacing: -0.01em; }
header p { margin: 6px 0 0; color: var(--muted); }
.tiles { display: grid; grid-template-columns: repeat(6, 1fr); gap: 12px; margin: 28px 0 12px; }
.tile, figure { background: #fff; border: 1px solid var(--line); border-radius: 10px; }
.tile { padding: 14px 16px; }
.tile b { display: block; font-size: 26px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { display: block; color: var(--muted); font-size: 13px; line-height: 1.35; }
.tile .was { margin-top: 6px; font-size: 12px; }
.charts { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; }
figure { margin: 0; padding: 20px 22px 14px; grid-column: 1 / -1; min-width: 0; }
figure.half { grid-column: auto; display: flex; flex-direction: column; }
figure h2 { margin: 0; font-size: 18px; }
figure p { margin: 2px 0 10px; color: var(--muted); font-size: 13.5px; }
figure svg { display: block; width: 100%; height: auto; }
.nothing { padding: 36px 0; text-align: center; }
details { margin-top: auto; padding-top: 8px; font-size: 13px; }
summary { color: var(--accent); cursor: pointer; }
summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.scroll { max-height: 340px; overflow: auto; margin-top: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 10px 3px 0; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { position: sticky; top: 0; background: #fff; font-weight: 600; }
td.number, th.number { text-align: right; }
footer { margin-top: 32px; color: var(--muted); font-size: 13px; }
footer h2 { font-size: 15px; color: var(--ink); margin: 0 0 6px; }
footer dt { color: var(--ink); font-weight: 600; margin-top: 8px; }
footer dd { margin: 0; }
.stale { padding: 10px 14px; margin: 18px 0 0; border-left: 4px solid #D55E00; background: #fff; }
@media (max-width: 900px) { .tiles { grid-template-columns: repeat(3, 1fr); }
                            .charts { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 520px) { .tiles { grid-template-columns: repeat(2, 1fr); } main { padding: 24px 14px; } }
@media print { body { background: #fff; } figure, .tile { break-inside: avoid; } details { display: none; } }
"""


@dataclass(frozen=True, slots=True)
class Tile:
    """A number of the month beside that of the month before; None is unknown."""

    label: str
    value: float | None
    before: float | None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with the numbers behind it; `svg` None where there is nothing to draw."""

    name: str
    title: str
    description: str
    svg: str | None
    result: Result
    is_half: bool


@dataclass(frozen=True, slots=True)
class Page:
    """All that the page shows. `month` is its first day; `is_running`: it was not over when the data was read."""

    workspace: str
    slug: str
    zone: str
    month: date
    is_running: bool
    as_of: AsOf
    tiles: tuple[Tile, ...]
    figures: tuple[Figure, ...]
    rules: tuple[tuple[str, str], ...]


def page_html(page: Page) -> str:
    """The page as one text."""
    title = escape(f"{page.workspace} · {page.month:%B %Y}")
    running = " · the month is not over" if page.is_running else ""
    read_at = f"{page.as_of.read_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    stale = (
        '<p class="stale">Read from a replica that was too far behind: newer data exists.</p>'
        if page.as_of.stale
        else ""
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="tailrace report">
<title>{title}</title>
<style>{_CSS}</style>
</head>
<body>
<main>
<header>
<h1>{title}</h1>
<p>Days of {escape(page.zone)} unless a heading says UTC{running} · {escape(page.as_of.sentence())}</p>
{stale}
</header>
<section class="tiles" aria-label="The month in numbers">
{"".join(_tile(tile) for tile in page.tiles)}
</section>
<section class="charts">
{"".join(_figure(figure) for figure in page.figures)}
</section>
<footer>
<h2>What is counted</h2>
<dl>{"".join(f"<dt>{escape(name)}</dt><dd>{escape(rule)}</dd>" for name, rule in page.rules)}</dl>
<p>Read at {read_at}; {escape(page.as_of.sentence())}. People appear as counts only.</p>
</footer>
</main>
</body>
</html>
"""


HOURS_FROM_MIN: Final = 120
DAYS_FROM_MIN: Final = 2 * 24 * 60


def _amount(value: float | None, unit: str) -> str:
    """A number for people; minutes become hours and days where these are easier to grasp."""
    if value is None:
        return "–"
    if unit == "min" and value >= DAYS_FROM_MIN:
        return f"{value / 1440:,.1f} d"
    if unit == "min" and value >= HOURS_FROM_MIN:
        return f"{value / 60:,.1f} h"
    text = f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
    return f"{text} {unit}".strip()


def _tile(tile: Tile) -> str:
    before = _amount(tile.before, tile.unit)
    if tile.value is None or not tile.before:
        change = f"month before: {before}"
    else:
        share = (tile.value - tile.before) / tile.before
        change = f"{'+' if share > 0 else '−' if share < 0 else '±'}{abs(share):.0%} on {before}"
    value = _amount(tile.value, tile.unit)
    return f'<div class="tile"><b>{value}</b><span>{escape(tile.label)}</span><span class="was">{change}</span></div>\n'


def _figure(figure: Figure) -> str:
    picture = (
        figure.svg.replace("<svg", f'<svg role="img" aria-label="{escape(figure.title, quote=True)}"', 1)
        if figure.svg
        else '<p class="nothing">Nothing in this month.</p>'
    )
    return (
        f'<figure class="{"half" if figure.is_half else "whole"}">\n<h2>{escape(figure.title)}</h2>\n'
        f"<p>{escape(figure.description)}</p>\n{picture}\n"
        f'<details><summary>Numbers</summary><div class="scroll">{"".join(_table(figure.result))}</div></details>\n'
        "</figure>\n"
    )


_NUMBERS: Final = {"int2", "int4", "int8", "float4", "float8", "numeric"}


def _table(result: Result) -> Iterator[str]:
    classes = [' class="number"' if column.type in _NUMBERS else "" for column in result.columns]
    yield "<table><thead><tr>"
    for column, kind in zip(result.columns, classes, strict=True):
        yield f"<th{kind}>{escape(column.name.replace('_', ' '))}</th>"
    yield "</tr></thead><tbody>"
    for row in result.rows:
        cells = (
            f"<td{kind}>{'–' if value is None else escape(str(for_people(value)))}</td>"
            for value, kind in zip(row, classes, strict=True)
        )
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table>"
