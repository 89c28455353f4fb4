"""`tailrace audit`: who changed what, when and why."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from tailrace.cli.output import Output, OutputOption, print_json, print_table
from tailrace.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the noun and its verb."""
    audit = typer.Typer(help="Who changed what, when and why.", no_args_is_help=True)
    audit.callback()(lambda: None)  # a noun with one verb is a noun all the same
    audit.command()(ls)
    app.add_typer(audit, name="audit")


def ls(
    since: Annotated[str | None, typer.Option("--since", help="RFC 3339, or 24h, 30m, 7d.")] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Who did it.")] = None,
    command: Annotated[str | None, typer.Option("--command", help="Such as `dlq redrive`, or a noun: `dlq`.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the commands that changed something or tried to, newest first. `begun` without an end: it was killed.

    Example: `tailrace audit ls --since 24h --command dlq`
    """
    from tailrace.operations.audit import entries
    from tailrace.operations.dead_letters import utc

    after = None if since is None else utc(since, datetime.now(UTC))
    found = entries(load_settings(), since=after, actor=actor, command=command, limit=limit)
    if output is Output.JSON:
        print_json({"audit": [asdict(one) for one in found]})
        return
    print_table(
        ["WHEN (UTC)", "WHO", "COMMAND", "TARGET", "OUTCOME", "WHY", "WHAT"],
        [
            [
                one.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
                one.actor,
                one.command,
                one.target,
                one.outcome,
                one.reason,
                one.error if one.error is not None else one.after,
            ]
            for one in found
        ],
    )
