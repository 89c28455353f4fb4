"""`tailrace publish`: events from JSON Lines into the log."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, stderr
from tailrace.errors import InvalidInputError, NotFoundError, PartlyDoneError
from tailrace.settings import load_settings
from tailrace.telemetry import configure_logging

if TYPE_CHECKING:
    from tailrace.producer import Producer
    from tailrace.producer.lines import LinesReport, RefusedLine


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(publish)


def publish(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON Lines, one event per line; `-` is stdin.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check; needs no server.")] = False,
    source: Annotated[str, typer.Option(help="`source` of events that bring none.")] = "/tailrace/publish",
    output: OutputOption = Output.TABLE,
) -> None:
    """Check events against the contract and publish those that fit, in order per key.

    A line is a whole CloudEvent, which goes out as it is, or the short form `{"type": …, "data": {…}}`, which gets id,
    time and sequence. Refused lines are listed on stderr with their number, code and field. Exit codes: 0 all
    acknowledged, 6 all refused (with `--dry-run`: some), 7 some refused or not acknowledged.

    Example: `tailrace gen --events 1000 | tailrace publish - -o json`
    """
    from tailrace.producer import Producer

    settings = load_settings()
    configure_logging(settings.log)
    producer = Producer(settings, source=source)
    with _opened(file) as descriptor:
        report = asyncio.run(_run(descriptor, producer, dry_run=dry_run))
    if output is Output.JSON:
        print_json(report.document())
    _conclude(report, dry_run=dry_run)


@contextmanager
def _opened(file: str) -> Iterator[int]:
    if file == "-":
        yield sys.stdin.fileno()
        return
    try:
        descriptor = os.open(Path(file), os.O_RDONLY)
    except OSError as error:
        raise NotFoundError(f"{file} cannot be read: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def _run(descriptor: int, producer: "Producer", *, dry_run: bool) -> "LinesReport":
    from tailrace.producer.lines import check_lines, publish_lines, read_lines

    with stderr.status("0 lines") as status:

        def observe(report: "LinesReport", refused: "RefusedLine | None") -> None:
            if refused:
                _print_line(refused.line, f"{refused.code} {refused.reason}")
            status.update(
                f"{report.lines:,} lines · {report.published:,} acknowledged · {report.refused_count:,} refused"
            )

        if dry_run:
            return await check_lines(read_lines(descriptor), producer, observe)
        async with producer:
            return await publish_lines(read_lines(descriptor), producer, observe)


def _print_line(number: int, what: str) -> None:
    # One line each, however long: other programs read this.
    stderr.print(f"line {number}: {what}", highlight=False, markup=False, soft_wrap=True)


def _conclude(report: "LinesReport", *, dry_run: bool) -> None:
    for failed in report.failed:
        _print_line(failed.line, f"{'unknown' if failed.unknown else 'not sent'} {failed.reason}")
    if report.stopped_before:
        note(f"stopped before line {report.stopped_before}: nothing from there on was sent")
    refused, failed_count = report.refused_count, report.failed_count
    if dry_run:
        note(f"{report.lines:,} lines checked · {refused:,} do not fit")
        if refused:
            raise InvalidInputError(f"{refused:,} lines do not fit the contract", fix="tailrace schema show TYPE")
        return
    note(f"{report.published:,} acknowledged · {refused:,} refused · {failed_count:,} failed")
    if not report.published and report.first_failure:
        raise report.first_failure
    if not report.published and refused:
        raise InvalidInputError("every line was refused", fix="tailrace schema show TYPE")
    if refused or failed_count:
        raise PartlyDoneError(f"{refused + failed_count:,} of {report.lines:,} lines were refused or not acknowledged")
