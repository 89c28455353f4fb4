"""`tailrace trends`: the hottest channels of a workspace."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.output import Output, OutputOption, print_json, print_table, stdout

if TYPE_CHECKING:
    from tailrace.operations.trends import NamedHot

COLUMNS = ["CHANNEL", "WINDOW", "MESSAGES", "REACTIONS", "PEOPLE", "SCORE"]
WINDOWS_MINUTES = (1, 5, 60)


def register(app: typer.Typer) -> None:
    """Add the `trends` command."""
    app.command("trends")(trends_command)


def trends_command(
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="Id of the workspace.")],
    watch: Annotated[bool, typer.Option("--watch", help="Show them live until Ctrl-C.")] = False,
    minutes: Annotated[int, typer.Option(help="Length of the window: 1, 5 or 60.")] = 5,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many channels.")] = 15,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the hottest channels of a workspace: messages, reactions and people in the newest window that ended.

    Needs the stream `trends` (`tailrace streams run trends`). The score is what happened per minute, reactions at half,
    times 1 + ln(people).

    Example: `tailrace trends --workspace 0199c1d2-0000-7000-8000-000000000003 --watch`
    """
    import asyncio
    from contextlib import suppress
    from datetime import UTC, datetime

    from tailrace.errors import UsageError
    from tailrace.operations.trends import hottest_channels, hottest_now
    from tailrace.settings import load_settings

    if minutes not in WINDOWS_MINUTES:
        raise UsageError(f"no windows of {minutes} minutes", fix="--minutes 1, 5 or 60")
    if watch and output is Output.JSON:
        raise UsageError("--watch does not end, and JSON is one document", fix="leave out one of the two")
    settings = load_settings()
    wanted: dict[str, Any] = {"window_seconds": minutes * 60, "limit": limit, "now": datetime.now(UTC)}
    if not watch:
        found = asyncio.run(hottest_now(settings, workspace, **wanted))
        if output is Output.JSON:
            print_json([{"name": it.name, **asdict(it.hot)} for it in found])
        else:
            print_table(COLUMNS, _rows(found))
        return

    async def show() -> None:
        from rich.live import Live

        with Live(console=stdout, auto_refresh=False, screen=stdout.is_terminal) as live:
            async for found in hottest_channels(settings, workspace, **wanted):
                live.update(_table(found), refresh=True)

    with suppress(KeyboardInterrupt):
        asyncio.run(show())


def _rows(found: "list[NamedHot]") -> list[list[Any]]:
    return [
        [
            it.name or it.hot.channel_id,
            f"{it.hot.window_start:%H:%M} +{it.hot.window_seconds // 60} min",
            it.hot.messages,
            it.hot.reactions,
            it.hot.active_users,
            f"{it.hot.hot_score:.2f}",
        ]
        for it in found
    ]


def _table(found: "list[NamedHot]") -> Any:
    from rich.table import Table
    from rich.text import Text

    if not found:
        return Text("No window of this workspace has ended yet.")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in {"CHANNEL", "WINDOW"} else "right")
    for row in _rows(found):
        table.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row))
    return table
