"""`tailrace peek`: records of a topic."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table
from tailrace.settings import load_settings
from tailrace.telemetry import configure_logging

if TYPE_CHECKING:
    from tailrace.operations.scanning import Bound, Found


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(peek)


def peek(  # noqa: PLR0913 - each is an option of the command line
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="With or without prefix.")],
    *,
    first: Annotated[
        str | None, typer.Option("--from", help="A time (RFC 3339, or 24h, 30m), an offset, or `beginning`.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="The same; what is at or behind it is left out.")] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=10_000)] = 20,
    where: Annotated[
        list[str] | None, typer.Option("--where", help="`data.channel_id=…`, `type=…`, `key=…`; may be repeated.")
    ] = None,
    max_scan: Annotated[int, typer.Option("--max-scan", min=1, help="Records to read at most.")] = 10_000,
    reveal: Annotated[bool, typer.Option("--reveal", help="What events hold, too; it is noted who looked.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show records of a topic: the newest, or with --from the first from there on. Their `data` only with --reveal.

    How much was read for it is said on stderr: what lies beyond was not looked at.

    Example: `tailrace peek conversations --from 1h --where type=collab.message.posted -n 5`
    """
    import asyncio

    from tailrace.operations.audit import audited
    from tailrace.operations.peeking import Condition, document_of
    from tailrace.operations.peeking import peek as look

    settings = load_settings()
    configure_logging(settings.log)
    conditions = [Condition.parse(one) for one in where or ()]
    begin = None if first is None else _bound(first)
    end = None if last is None else _bound(last)
    asked = look(settings, topic, first=begin, last=end, count=count, where=conditions, scan_max=max_scan)
    if reveal:
        with audited(settings, "peek --reveal", topic) as entry:
            records, scanned = asyncio.run(asked)
            entry.after = {"records": len(records)}
    else:
        records, scanned = asyncio.run(asked)
    documents = [document_of(one.value) for one in records]
    if output is Output.JSON:
        shown = [_document(*one, reveal=reveal) for one in zip(records, documents, strict=True)]
        print_json({"records": shown, "scanned": scanned.scanned, "of": scanned.meant, "whole": scanned.is_whole})
    else:
        columns = ["PLACE", "APPENDED (UTC)", "KEY", "TYPE", "EVENT", "SEQUENCE", "DATA" if reveal else "BYTES"]
        print_table(columns, [_row(*one, reveal=reveal) for one in zip(records, documents, strict=True)])
    note(f"scanned {scanned.scanned:,} of {scanned.meant:,}{'' if scanned.is_whole else ' (stopped: --max-scan)'}")


def _bound(text: str) -> "Bound":
    from tailrace.operations.dead_letters import utc
    from tailrace.operations.scanning import Bound

    if text == "beginning":
        return Bound(offset=0)
    return Bound(offset=int(text)) if text.isdecimal() else Bound(time=utc(text, datetime.now(UTC)))


ENVELOPE = ("type", "id", "sequence", "time", "subject")


def _document(record: "Found", document: Any, *, reveal: bool) -> dict[str, Any]:
    event = document if isinstance(document, dict) else {}
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "append_time": record.append_time,
        "key": None if record.key is None else record.key.decode("utf-8", "backslashreplace"),
        **{name: event.get(name) for name in ENVELOPE},
        "value_bytes": None if record.value is None else len(record.value),
        "value": (document if document is not None else _text(record.value)) if reveal else None,
        "revealed": reveal,
    }


def _row(record: "Found", document: Any, *, reveal: bool) -> list[Any]:
    event = document if isinstance(document, dict) else {}
    size = None if record.value is None else len(record.value)
    data = event.get("data") if event else _text(record.value)
    return [
        f"{record.topic}/{record.partition}@{record.offset}",
        record.append_time.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
        None if record.key is None else record.key.decode("utf-8", "backslashreplace"),
        str(event["type"]).removeprefix("collab.") if "type" in event else None,
        event.get("id"),
        event.get("sequence"),
        str(data) if reveal else size,
    ]


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")
