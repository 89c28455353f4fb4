"""`tailrace query`: saved queries, their results as tables, files and charts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table
from tailrace.errors import UsageError

if TYPE_CHECKING:
    from tailrace.analysis.running import Result
    from tailrace.analysis.saved import SavedQuery

TABLE_ROWS = 200
EXPORT_ROWS = 100_000
"""Default caps: what a person scrolls through, and what fits into memory many times over."""

query = typer.Typer(no_args_is_help=True, help="Saved queries of analysts: list, read, run, draw, export.")


def register(app: typer.Typer) -> None:
    """Add the noun and its verbs."""
    app.add_typer(query, name="query")


@query.command("ls")
def list_command(output: OutputOption = Output.TABLE) -> None:
    """List the saved queries.

    Example: `tailrace query ls`
    """
    from tailrace.analysis.saved import saved_queries

    found = saved_queries()
    if output is Output.JSON:
        print_json({"queries": [_document(one) for one in found]})
        return
    rows = [[one.name, one.title, _parameters(one), one.plot.kind if one.plot else ""] for one in found]
    print_table(["NAME", "TITLE", "PARAMETERS", "PLOT"], rows)


@query.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="Name of a saved query, or a path that ends in .sql.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what a query answers, what it takes, and its SQL.

    Example: `tailrace query show dau_trend`
    """
    from tailrace.analysis.parameters import TYPES
    from tailrace.analysis.saved import find_query

    found = find_query(name)
    if output is Output.JSON:
        print_json(_document(found) | {"sql": found.text})
        return
    note(f"{found.name}: {found.title}\n{found.description}\n")
    for one in found.parameters:
        default = f" = {one.default}" if one.default else ""
        note(f"  -p {one.name}={TYPES[one.type].example}{default}   {one.meaning}")
    typer.echo(found.text.rstrip())


@query.command("run")
def run_command(  # noqa: PLR0913, PLR0917 - every option is an argument
    name: Annotated[str, typer.Argument(help="Name of a saved query, or a path that ends in .sql.")],
    parameter: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter; again for more.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", "-f", help="table, csv, jsonl or parquet; else by the name of --to.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write the rows there, not to stdout.")
    ] = None,
    plot: Annotated[
        str | None, typer.Option(metavar="term|FILE", help="Draw it: in the terminal, or FILE.png, FILE.svg.")
    ] = None,
    rows_max: Annotated[
        int | None, typer.Option("--max-rows", min=1, help=f"Row cap; default {TABLE_ROWS}, {EXPORT_ROWS:,} for files.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for the query.")] = 30.0,
    after: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC/PARTITION@OFFSET", help="Only when this record is applied; or an event's id."),
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for --after; exit code 7 if not.")] = 30.0,
    allow_stale: Annotated[
        bool, typer.Option(help="Read a replica that is more than 60 s behind; it says so.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Run a query as the analysts' role, on DATABASE_URL_RO if that is set.

    Rows go to stdout or --to; how many, whether any were cut and how far the data goes to stderr. An export that was
    cut ends with exit code 7.

    Example: `tailrace query run dau_trend -p workspace=acme --plot term`
    """
    from tailrace.analysis import exporting
    from tailrace.analysis.access import snapshot
    from tailrace.analysis.parameters import split_assignments
    from tailrace.analysis.running import run
    from tailrace.analysis.saved import find_query
    from tailrace.analysis.waiting import wait_for
    from tailrace.settings import load_settings

    found = find_query(name)
    chosen = exporting.choose_format(form, to)
    _check_plot(found, plot)
    settings = load_settings()
    wait_for(settings, after or [], timeout_s=wait)
    whole = chosen is not exporting.Format.TABLE or output is Output.JSON
    with snapshot(settings, timeout_s=timeout, allow_stale=allow_stale) as opened:
        limit = rows_max or (EXPORT_ROWS if whole or plot else TABLE_ROWS)
        result = run(opened, found, split_assignments(parameter or []), rows_max=limit)
    if plot:
        _draw(result, plot)
    if output is Output.JSON:
        print_json(exporting.document(result))
    elif chosen is not exporting.Format.TABLE:
        exporting.write(result, chosen, to)
    elif not plot:
        _print(result)
    note(f"{result.summary()} · {result.took_ms} ms{f' · {to}' if to else ''}")
    if result.as_of.stale:
        note("the replica is too far behind: newer data exists")
    if result.truncated and whole and output is not Output.JSON:
        raise typer.Exit(7)


def _check_plot(found: "SavedQuery", plot: str | None) -> None:
    if plot and found.plot is None:
        raise UsageError(f"{found.name} declares no plot", fix="-- plot: line x=… y=…")
    if plot and plot != "term" and Path(plot).suffix not in {".png", ".svg"}:
        raise UsageError(f"--plot {plot}: `term`, FILE.png or FILE.svg")


def _draw(result: "Result", plot: str) -> None:
    import shutil

    from tailrace.analysis.terminal import draw
    from tailrace.cli.output import stdout

    if plot == "term":
        size = shutil.get_terminal_size((100, 30))
        typer.echo(
            draw(result, width=min(size.columns, 120), height=14, colour=not stdout.no_color and stdout.is_terminal)
        )
        return
    from tailrace.analysis.charts import save_chart

    save_chart(result, Path(plot))
    note(f"wrote {plot}")


def _print(result: "Result") -> None:
    from rich.markup import escape

    def cell(value: Any) -> Any:
        return escape(value) if isinstance(value, str) else value

    from tailrace.analysis.exporting import for_people

    rows = [[cell(for_people(value)) for value in row] for row in result.rows]
    print_table([column.name for column in result.columns], rows)


def _parameters(found: "SavedQuery") -> str:
    return ", ".join(f"{one.name}={one.default}" if one.default else one.name for one in found.parameters)


def _document(found: "SavedQuery") -> dict[str, Any]:
    from dataclasses import asdict

    return {key: value for key, value in asdict(found).items() if key != "text"}
