"""`tailrace streams`: run the streams that read topics and write topics."""

from typing import Annotated, NoReturn

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table

streams = typer.Typer(no_args_is_help=True, help="Run the streams: inbound gateway, notifications, trends.")


def register(app: typer.Typer) -> None:
    """Add the `streams` commands."""
    app.add_typer(streams, name="streams")


@streams.command("run")
def run_command(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Streams; none: all.")] = None,
    resumed: Annotated[bool, typer.Option("--resumed", hidden=True)] = False,
) -> None:
    """Run streams in this process until SIGTERM or Ctrl-C; the open batches are finished first.

    Streams keep no state on disk: start more of them, here or elsewhere, to share the partitions. When the broker goes
    away, a stream starts itself anew and waits for it, `streams.outage_max_s` (15 minutes) at most. Otherwise, one that
    cannot go on ends the process; let a supervisor start it again, which is always right. Exit codes: 5 no broker,
    1 Faust crashed or records wait and none arrive, 71 the process hung, 70 a clean end took too long.

    Example: `tailrace streams run gateway notifications`
    """
    import asyncio
    import os
    import signal

    from tailrace.addresses import resolve
    from tailrace.errors import UsageError
    from tailrace.event_loop import run as run_loop
    from tailrace.operations.streams import wait_for_broker
    from tailrace.operations.topics import topic_partitions
    from tailrace.probes import probes
    from tailrace.settings import load_settings
    from tailrace.streams.pipeline import DEAD_LETTERS
    from tailrace.streams.registry import NAMES, stream_of
    from tailrace.streams.running import run_streams
    from tailrace.telemetry import configure_logging, tune_garbage_collector

    unknown = [name for name in names or () if name not in NAMES]
    if unknown:
        raise UsageError(f"unknown stream: {', '.join(unknown)}", fix=f"one or more of {', '.join(NAMES)}")
    settings = load_settings()
    configure_logging(settings.log)
    wanted = [name for name in NAMES if not names or name in names]
    topics = {DEAD_LETTERS}
    for name in wanted:
        stream = stream_of(name, settings)
        topics |= {stream.source, *stream.targets}

    async def run() -> None:
        async with probes(settings.health):
            if resumed:
                # Until the streams take it over.
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
                await wait_for_broker(settings, settings.streams.outage_max_s)
            # Faust would wait for a topic that does not exist, and call that ready.
            await topic_partitions(settings, resolve(settings).kafka, topics)
            await run_streams(settings, wanted, _leave)

    tune_garbage_collector()
    run_loop(run())


def _leave(error: Exception) -> NoReturn:
    import os
    import sys

    from tailrace.errors import TailraceError, UnreachableError

    if isinstance(error, UnreachableError):
        # Not in this process: threads of Faust and aiokafka cannot be ended, and would go on as members of the group.
        arguments = [argument for argument in sys.orig_argv[1:] if argument != "--resumed"]
        os.execv(sys.executable, [sys.executable, *arguments, "--resumed"])  # noqa: S606 - no shell is wanted
    note(f"tailrace: {error if isinstance(error, TailraceError) else type(error).__name__}")
    fix = getattr(error, "fix", None)
    if fix:
        note(f"  fix  {fix}")
    os._exit(error.exit_code if isinstance(error, TailraceError) else 1)


@streams.command("list")
def list_command(output: OutputOption = Output.TABLE) -> None:
    """List the streams there are, with the topics they read and write.

    Example: `tailrace streams list -o json`
    """
    from tailrace.settings import load_settings
    from tailrace.streams.registry import NAMES, stream_of

    settings = load_settings()
    rows = [stream_of(name, settings) for name in NAMES]
    if output is Output.JSON:
        print_json([{"name": it.name, "source": it.source, "targets": list(it.targets)} for it in rows])
    else:
        print_table(["STREAM", "READS", "WRITES"], [[it.name, it.source, ", ".join(it.targets)] for it in rows])
