"""The monthly report: one workspace, one month, one HTML page that needs nothing else.

All numbers come from one snapshot. Days are the workspace's own (its time zone, DST included) except where a heading
says UTC: distinct active users and reactions are kept by UTC day.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Final

from tailrace.analysis.access import AsOf, Snapshot, snapshot
from tailrace.analysis.charts import Frame, render_chart
from tailrace.analysis.parameters import resolve_workspace
from tailrace.analysis.report_page import Figure, Page, Tile, page_html
from tailrace.analysis.running import Result, run
from tailrace.analysis.saved import SavedQuery, parse
from tailrace.errors import InvalidInputError, TailraceError
from tailrace.settings import Settings

CHARTS: Final = ("days", "hours", "people", "channels", "answers", "speed", "reactions")
_HALF: Final = frozenset({"answers", "speed", "channels", "reactions"})
"""Drawn two to a row."""
ROWS_MAX: Final = 1_000
_MONTH: Final = re.compile(r"(\d{4})-(\d{2})")
_SVG_GROUP_ID: Final = re.compile(r'<g id="[^"]*"')
_SVG_METADATA: Final = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_DICTIONARY: Final = """
    SELECT meaning, deletes, bots, late, view, "column" FROM analytics.data_dictionary
    WHERE (view, "column") IN (('daily_activity_local', 'messages'), ('daily_activity_local', 'posters'),
                               ('active_users', 'mau'), ('thread_stats', 'first_response_seconds'),
                               ('top_reactions', 'count'), ('daily_activity', 'files'))
    ORDER BY view, "column"
"""


@dataclass(frozen=True, slots=True)
class Written:
    """A report that was written; `size` in bytes."""

    path: Path
    workspace: str
    size: int
    as_of: AsOf


def write_report(
    settings: Settings,
    workspace: str | None,
    month: str,
    path: Path | None,
    *,
    timeout_s: float = 60.0,
    allow_stale: bool = False,
) -> Written:
    """Write the report of `month` (`YYYY-MM`) and say where; `path` None: `SLUG-YYYY-MM.html` in the current folder.

    Raises `InvalidInputError` for another month, what `resolve_workspace` and `access.snapshot` raise, and
    `PreconditionError` where matplotlib is not installed.
    """
    first, after = month_bounds(month)
    with snapshot(settings, timeout_s=timeout_s, allow_stale=allow_stale) as opened:
        page = build_page(opened, workspace, first, after)
    target = path or Path(f"{re.sub(r'[^A-Za-z0-9._-]+', '-', page.slug)}-{month}.html")
    text = page_html(page).encode()
    try:
        target.write_bytes(text)
    except OSError as error:
        raise TailraceError(f"cannot write {target}: {error.strerror}") from error
    return Written(target, page.workspace, len(text), page.as_of)


def month_bounds(month: str) -> tuple[date, date]:
    """First day of the month and of the next one. Raises `InvalidInputError`."""
    fits = _MONTH.fullmatch(month)
    if fits is None or not 1 <= int(fits[2]) <= 12 or int(fits[1]) < 2000:  # noqa: PLR2004 - months of a year, rule T
        raise InvalidInputError(f"{month!r} is no month", fix="--month 2026-11")
    first = date(int(fits[1]), int(fits[2]), 1)
    return first, _shifted(first, 1)


def _shifted(first: date, months: int) -> date:
    number = first.year * 12 + first.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


def build_page(opened: Snapshot, workspace: str | None, first: date, after: date) -> Page:
    """Everything on the page; see `write_report`."""
    workspace_id = str(resolve_workspace(opened.conn, opened.analytics, workspace))
    name, slug, zone = _workspace(opened, workspace_id)

    def results(names: tuple[str, ...], start: date, end: date) -> Iterator[Result]:
        given = {"workspace": workspace_id, "first": start.isoformat(), "next": end.isoformat()}
        return (run(opened, report_query(query), given, rows_max=ROWS_MAX) for query in names)

    (now,) = results(("totals",), first, after)
    (before,) = results(("totals",), _shifted(first, -1), first)
    today = opened.as_of.read_at.date()
    return Page(
        workspace=name,
        slug=slug,
        zone=zone,
        month=first,
        is_running=first <= today < after,
        as_of=opened.as_of,
        tiles=_tiles(_named(now), _named(before)),
        figures=tuple(_figure(result) for result in results(CHARTS, first, after)),
        rules=tuple(_rules(opened)),
    )


def _workspace(opened: Snapshot, workspace_id: str) -> tuple[str, str, str]:
    statement = f"SELECT name, slug, zone FROM {opened.analytics}.workspaces WHERE workspace_id = %s"  # noqa: S608 - quoted name
    row = opened.conn.execute(statement.encode(), [workspace_id]).fetchone() or (None, None, None)
    return row[0] or row[1] or workspace_id, row[1] or workspace_id, row[2] or "UTC"


def report_query(name: str) -> SavedQuery:
    """A query of the report; these are not listed, as their parameters are the report's own."""
    folder = files("tailrace.sql") / "analyst" / "report"
    return parse(name, (folder / f"{name}.sql").read_text(encoding="utf-8"))


def _named(result: Result) -> Mapping[str, float | None]:
    (row,) = result.rows
    return {
        column.name: None if value is None else float(value) for column, value in zip(result.columns, row, strict=True)
    }


def _tiles(now: Mapping[str, float | None], before: Mapping[str, float | None]) -> tuple[Tile, ...]:
    wanted = (
        ("messages", "messages", ""), ("posters", "people who wrote", ""),
        ("mau", "active users in 30 days", ""), ("median_minutes", "median answer time", "min"),
        ("reactions", "reactions", ""), ("files", "files", ""),
    )  # fmt: skip
    return tuple(Tile(label, now[name], before[name], unit) for name, label, unit in wanted)


def _figure(result: Result) -> Figure:
    name = result.query.name
    has_numbers = result.query.plot is not None and any(
        value for column in _value_columns(result) for value in result.values(column)
    )
    svg = None
    if has_numbers:
        size = (6.4, 4.3) if name in _HALF else (11.0, 3.9)
        text = render_chart(result, replace(_NO_FRAME, size=size), "svg").decode()
        # Groups are numbered anew in each picture, and an id may stand on a page once.
        svg = _SVG_GROUP_ID.sub("<g", _SVG_METADATA.sub("", text[text.index("<svg") :]))
    return Figure(name, result.query.title, result.query.description, svg, result, is_half=name in _HALF)


_NO_FRAME: Final = Frame("", "", "")


def _value_columns(result: Result) -> tuple[str, ...]:
    plot = result.query.plot
    if plot is None:
        return ()
    if plot.kind == "heatmap":
        return (plot.value or "",)
    return (plot.x,) if plot.kind == "hbar" else plot.y


def _rules(opened: Snapshot) -> Iterator[tuple[str, str]]:
    for meaning, deletes, bots, late, view, column in opened.conn.execute(opened.render(_DICTIONARY).encode()):
        yield f"{view}.{column}", f"{meaning} Deletes: {deletes}. Bots: {bots}. Late events: {late}."
