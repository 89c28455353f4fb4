"""`tailrace trace`: where one event is."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table
from tailrace.errors import NotFoundError
from tailrace.settings import load_settings
from tailrace.telemetry import configure_logging

if TYPE_CHECKING:
    from tailrace.operations.tracing import StoredRow, Trace


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(trace)


def trace(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID")],
    since: Annotated[
        str | None, typer.Option("--since", help="Where to begin in the log: RFC 3339, or 24h, 30m, 7d.")
    ] = None,
    max_scan: Annotated[int, typer.Option("--max-scan", min=1, help="Records to read at most.")] = 200_000,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show where one event is: in the log, in each store, applied by whom, refused or parked. Exit code 4: not found.

    Without --since the log is read from some minutes before the id was made (UUIDv7), else from its beginning. What the
    event holds is not shown.

    Example: `tailrace trace 0199c1d2-0010-7000-8000-000000000001 --since 2h`
    """
    import asyncio

    from tailrace.operations.dead_letters import utc
    from tailrace.operations.tracing import trace as find

    settings = load_settings()
    configure_logging(settings.log)
    begin = None if since is None else utc(since, datetime.now(UTC))
    found = asyncio.run(find(settings, event_id, since=begin, scan_max=max_scan))
    scanned = f"scanned {found.scanned.scanned:,} of {found.scanned.meant:,} records"
    if found.record is None:
        where = "the whole log" if found.since is None else f"the log since {_time(found.since)}"
        if output is Output.JSON:
            print_json(_document(found))
        raise NotFoundError(
            f"no event {event_id} in {where} ({scanned}{'' if found.scanned.is_whole else ', stopped at --max-scan'})",
            fix="--since an earlier time, or a greater --max-scan",
        )
    if output is Output.JSON:
        print_json(_document(found))
    else:
        _print(found)
    note(scanned)


def _document(found: "Trace") -> dict[str, Any]:
    record, event = found.record, found.event
    return {
        "event_id": found.event_id,
        "found": record is not None,
        "scanned": found.scanned.scanned,
        "of": found.scanned.meant,
        "whole": found.scanned.is_whole,
        "since": found.since,
        "log": record
        and {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": None if record.key is None else record.key.decode("utf-8", "backslashreplace"),
            "append_time": record.append_time,
        },
        "event": event
        and {"type": event.type, "time": event.time, "sequence": event.sequence, "subject": event.subject},
        "refused": found.refusal and {"code": str(found.refusal.code), "reason": found.refusal.reason},
        "projections": {
            one.projection: {"state": one.state, "detail": one.detail, "at": one.at} for one in found.applied
        },
        "rows": [asdict(one) for one in found.rows],
        "keys": found.keys,
        "documents": found.documents,
        "rollups": [{**asdict(bucket), "row": row} for bucket, row in found.buckets],
        "dead_letters": list(found.letters),
        "parked": list(found.parked),
    }


def _print(found: "Trace") -> None:
    record, event = found.record, found.event
    assert record is not None  # noqa: S101 - the caller has looked
    rows: list[list[Any]] = [
        ["log", f"{record.topic}/{record.partition}@{record.offset}"],
        ["key", None if record.key is None else record.key.decode("utf-8", "backslashreplace")],
        ["appended", _time(record.append_time)],
    ]
    if event is not None:
        rows += [
            ["type", event.type.removeprefix("collab.")],
            ["happened", _time(event.time)],
            ["subject", f"{event.subject}  sequence {event.sequence}"],
        ]
    elif found.refusal is not None:
        rows.append(["no event", f"{found.refusal.code}  {found.refusal.reason}"])
    for one in found.applied:
        at = "" if one.at is None else f"  {_time(one.at)}"
        rows.append([one.projection, f"{one.state}  {one.detail}{at}"])
    rows += [["row", f"{one.row.table} {_key(one.row.key)}  {_held(one)}"] for one in found.rows]
    rows += [["rollup", f"{b.table} {_key(b.key)}  {_bucket(row)}"] for b, row in found.buckets]
    rows += [["key in redis", f"{name}  {_seen(seen)}"] for name, seen in found.keys.items()]
    rows += [["document", f"{name}  {_seen(seen)}"] for name, seen in found.documents.items()]
    print_table(["", ""], rows)


def _held(one: "StoredRow") -> str:
    if not one.exists:
        return "no such row"
    version = "" if one.doc_version is None else f"version {one.doc_version}, "
    if one.held:
        return f"{version}holds {', '.join(one.held)}"
    others = ", ".join(f"{name} by {holder}" for name, holder in one.others.items())
    return f"{version}holds nothing of it now{f'; held: {others}' if others else ''}"


def _bucket(row: dict[str, Any] | None) -> str:
    return "no such row" if row is None else f"revised {row['revised_at']}" if row.get("revised_at") else "there"


def _seen(seen: dict[str, Any] | None) -> str:
    if seen is None:
        return "–"
    if not seen["exists"]:
        return "not there"
    return " ".join(f"{name} {value}" for name, value in seen.items() if name != "exists" and value is not None)


def _key(key: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in key.items())


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
