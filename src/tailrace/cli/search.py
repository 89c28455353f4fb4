"""`tailrace search`: find messages, files and people, as somebody."""

from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, stdout

if TYPE_CHECKING:
    from tailrace.search.results import Hit, Page


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(search)


def search(  # noqa: PLR0913, PLR0917 - the options of a command
    query: Annotated[str, typer.Argument(help='Words, "phrases", begin*, -not and filters; see below.')],
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="Id or slug.")],
    user: Annotated[str, typer.Option("--as", help="Who searches: id, username or e-mail.")],
    kind: Annotated[str, typer.Option(help="messages, files or people.")] = "messages",
    sort: Annotated[str, typer.Option(help="relevance or time.")] = "relevance",
    limit: Annotated[int, typer.Option(min=1, max=100, help="Hits of one page.")] = 20,
    after: Annotated[str | None, typer.Option(help="Cursor that the page before ended with.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Find what somebody may see in a workspace, by what is true now: rights are asked of PostgreSQL at every search.

    Filters: from:@ana, from:me, in:#finance, mentions:@ana, before:2026-11-01, after:2026-10, on:yesterday, has:file,
    has:reaction, has:link, has:mention, is:thread, is:root, is:bot, is:system; for files type:pdf, type:image. A minus
    before any part turns it around. Days are those of the person who searches.

    Example: `tailrace search '"quarterly report" from:@ana in:#finance has:file' --workspace acme --as bo`
    """
    import asyncio

    from tailrace.errors import UsageError
    from tailrace.search import Kind, Options, SearchClient, Searcher, Sort
    from tailrace.settings import load_settings

    if kind not in set(Kind) or sort not in set(Sort):
        raise UsageError("--kind is messages, files or people; --sort is relevance or time")
    settings = load_settings()

    async def run() -> "Page":
        async with await SearchClient.connect(settings) as client:
            searcher = Searcher(await client.workspace(workspace), await client.user(user))
            return await client.search(query, searcher, Options(Kind(kind), Sort(sort), limit, after))

    page = asyncio.run(run())
    if output is Output.JSON:
        print_json({"query": query, **page.document()})
    else:
        _print(page)


def _print(page: "Page") -> None:
    for hit in page.hits:
        stdout.print(_line(hit), highlight=False)
    if page.reason is not None:
        note(f"nothing may be searched: {page.reason}")
    else:
        note(f"{len(page.hits)} of {page.total:,}{' and more' if page.total == 10_000 else ''}")  # noqa: PLR2004 - what is counted at most
    if page.next is not None:
        note(f"  more  --after {page.next}")


def _line(hit: "Hit") -> str:
    from rich.markup import escape

    source = hit.source
    where = f"#{source['channel_name']}" if source.get("channel_name") else ""
    who = source.get("display_name") or source.get("uploader_name") or source.get("username") or ""
    head = "  ".join(part for part in ((source.get("created_at") or "")[:16], where, who) if part)
    texts = [_marked(span.text, span.matches) for span in hit.highlights]
    plain = source.get("content") or source.get("filename") or source.get("title") or ""
    return f"[dim]{escape(head)}[/dim]\n  {' … '.join(texts) or escape(plain[:200])}"


def _marked(text: str, matches: tuple[tuple[int, int], ...]) -> str:
    from rich.markup import escape

    out, at = [], 0
    for start, end in matches:
        out += [escape(text[at:start]), f"[bold]{escape(text[start:end])}[/bold]"]
        at = end
    return "".join([*out, escape(text[at:])]).replace("\n", " ")
