"""`tailrace worker`: run projection workers."""

from typing import Annotated

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table

worker = typer.Typer(no_args_is_help=True, help="Run projection workers.")


def register(app: typer.Typer) -> None:
    """Add the `worker` commands."""
    app.add_typer(worker, name="worker")


@worker.command("run")
def run_command(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Projections; none: all.")] = None,
) -> None:
    """Run projection workers in this process until SIGTERM or Ctrl-C; the open batch is finished first.

    Workers keep no state on disk: start more of them, here or elsewhere, to share the partitions.

    Example: `tailrace worker run postgres`
    """
    import asyncio

    from tailrace.addresses import resolve
    from tailrace.consumers.running import run_worker
    from tailrace.errors import UsageError
    from tailrace.event_loop import run as run_loop
    from tailrace.operations.positions import announce
    from tailrace.operations.topics import topic_partitions
    from tailrace.probes import probes
    from tailrace.projections.registry import PROJECTIONS
    from tailrace.settings import load_settings
    from tailrace.telemetry import configure_logging, tune_garbage_collector

    unknown = [name for name in names or () if name not in PROJECTIONS]
    if unknown:
        raise UsageError(f"unknown projection: {', '.join(unknown)}", fix=f"one or more of {', '.join(PROJECTIONS)}")
    settings = load_settings()
    configure_logging(settings.log)
    addresses = resolve(settings)
    kafka, postgres = addresses.kafka, addresses.postgres
    wanted = [projection for name, projection in PROJECTIONS.items() if not names or name in names]

    async def run() -> None:
        topics = {topic for projection in wanted for topic in projection.topics}
        there = {place.topic for place in await topic_partitions(settings, kafka, topics, some=True)}
        for missing in sorted({settings.topic(topic) for topic in topics} - there):
            # Read as soon as it is created; the others go on meanwhile.
            note(f"no such topic: {missing}\n  fix  tailrace topics apply")
        await announce(settings, wanted)
        async with probes(settings.health):
            await asyncio.gather(*(run_worker(settings, one, kafka=kafka, postgres=postgres) for one in wanted))

    tune_garbage_collector()
    run_loop(run())


@worker.command("list")
def list_command(output: OutputOption = Output.TABLE) -> None:
    """List the projections there are, with the topics they read.

    Example: `tailrace worker list -o json`
    """
    from tailrace.projections.registry import PROJECTIONS

    if output is Output.JSON:
        print_json([{"name": p.name, "version": p.version, "topics": list(p.topics)} for p in PROJECTIONS.values()])
    else:
        print_table(
            ["PROJECTION", "VERSION", "TOPICS"],
            [[p.name, p.version, ", ".join(p.topics)] for p in PROJECTIONS.values()],
        )
