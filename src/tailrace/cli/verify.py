"""`tailrace verify`: what differs between the log and the tables."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table, stderr

if TYPE_CHECKING:
    from tailrace.verification.compare import Difference
    from tailrace.verification.scope import Scope
    from tailrace.verification.verify import Verification

LIMIT_DEFAULT = 100
PRINTED_MAX = 20
"""Differences of one table that a person is shown; `-o json` has all that were kept."""
CELL_MAX = 400
"""Characters of one row that are shown."""
EVENTS_PRINTED_MAX = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(  # noqa: PLR0913, PLR0917 - one parameter for each option
    projections: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROJECTION",
            help="Tables, or groups: postgres, collab, analytics, redis, search, streams. None: all.",
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
    limit: Annotated[
        int, typer.Option(min=0, help="Differences of each table that are kept; all are counted.")
    ] = LIMIT_DEFAULT,
    workspace: Annotated[str | None, typer.Option(metavar="ID", help="Only what belongs to this workspace.")] = None,
    channel: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this channel; the records of others are not read.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Only rows, keys and documents of this id, or of `ID/ID`.")
    ] = None,
    partition: Annotated[
        str | None, typer.Option(metavar="TOPIC/N", help="Only what the keys of this partition's records name.")
    ] = None,
    sample: Annotated[
        str | None, typer.Option(metavar="SHARE", help="A part of the channels, as `1%`: always the same ones.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Everything, as without --sample.")] = False,
) -> None:
    """Fold the log independently and list every difference, while live traffic goes on. Exit code 10 if there is one.

    The log is folded as far as the tables have applied it, in one snapshot; caches and documents are looked at again
    until what differs stands still. What is not applied yet is no difference: `tailrace wait` waits for it.

    Example: `tailrace verify messages channel_members -o json`
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    from tailrace.archiving.archive import open_archive
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging
    from tailrace.verification.verify import verify as run

    settings = load_settings()
    configure_logging(settings.log)
    scope = _scope(workspace, channel, key, partition, None if full else sample)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=stderr, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def watch(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step)
            bars.update(tasks[step], completed=done, total=total)

        outcome = run(
            settings, projections or (), limit=limit, watch=watch, scope=scope, archive=open_archive(settings)
        )
    if output is Output.JSON:
        print_json(outcome.document())
    else:
        _print(outcome)
    if outcome.differences:
        raise typer.Exit(10)


def _scope(
    workspace: str | None, channel: str | None, key: str | None, partition: str | None, sample: str | None
) -> "Scope":
    from tailrace.verification.scope import Scope, partition_of, share_of

    return Scope(
        workspace=workspace.lower() if workspace else None,
        channel=channel.lower() if channel else None,
        key=key,
        partition=partition_of(partition) if partition else None,
        share=share_of(sample) if sample else None,
    )


def _print(outcome: "Verification") -> None:
    rows = [[name, report.checked, report.count] for name, report in outcome.reports.items()]
    print_table(["PROJECTION", "CHECKED", "DIFFERENCES"], rows)
    for name, report in outcome.reports.items():
        shown = report.differences[:PRINTED_MAX]
        if shown:
            cells = [[_cell(one.key), *map(_cell, _apart(one)), _events(one.events)] for one in shown]
            title = f"{name}: {len(shown)} of {report.count:,}"
            print_table(["KEY", "EXPECTED", "FOUND", "EVENTS"], cells, title=title)
    for name, count in outcome.unsettled.items():
        note(f"{name}: {count:,} went on changing while they were looked at: tailrace verify {name} --key ID")
    for projection, records in outcome.behind.items():
        if records:
            note(f"{projection} is {records:,} records behind the log: tailrace wait")


def _events(events: Sequence[Mapping[str, Any]]) -> str | None:
    """The last events of one difference, as places in the log to look at with `peek` or `trace`."""
    last = [f"{one['topic']}/{one['partition']}@{one['offset']} {one['type']}" for one in events[-EVENTS_PRINTED_MAX:]]
    return "\n".join(last) or None


def _apart(one: "Difference") -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """What is expected and found, of lists and mappings only the parts that differ: they stand beyond `CELL_MAX`."""
    if one.expected is None or one.found is None:
        return one.expected, one.found
    expected, found = dict(one.expected), dict(one.found)
    for name in expected.keys() & found.keys():
        expected[name], found[name] = parts_apart(expected[name], found[name])
    return expected, found


def parts_apart(expected: Any, found: Any) -> tuple[Any, Any]:
    """Two values without what is the same in both: of mappings by name, of lists as mappings by place."""
    from tailrace.verification.compare import same

    if isinstance(expected, list) and isinstance(found, list):
        expected, found = dict(enumerate(expected)), dict(enumerate(found))
    if not (isinstance(expected, dict) and isinstance(found, dict)):
        return expected, found
    only_expected = {name: value for name, value in expected.items() if name not in found}
    only_found = {name: value for name, value in found.items() if name not in expected}
    for name in expected:
        if name in found and not same(expected[name], found[name]):
            only_expected[name], only_found[name] = parts_apart(expected[name], found[name])
    return only_expected, only_found


def _cell(row: dict[str, Any] | None) -> str | None:
    """One row in one cell, as Python would write it: no character of it reaches the terminal as a command."""
    from rich.markup import escape

    from tailrace.verification.compare import plain

    if row is None:
        return None
    text = ", ".join(f"{name}={plain(value)!r}" for name, value in row.items())
    return escape(text if len(text) <= CELL_MAX else f"{text[:CELL_MAX]}…")
