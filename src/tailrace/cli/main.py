"""The `tailrace` command: one module of this package per noun, loaded by name."""

import importlib
import logging
import sys
from typing import NoReturn

import typer
from pydantic import ValidationError

from tailrace.cli.output import note
from tailrace.errors import TailraceError

COMMANDS: tuple[str, ...] = (
    "demo",
    "stack",
    "status",
    "doctor",
    "db",
    "partitions",
    "import_",
    "topics",
    "publish",
    "schema",
    "http",
    "outbox",
    "gen",
    "worker",
    "streams",
    "trends",
    "health",
    "positions",
    "projection",
    "trace",
    "peek",
    "dlq",
    "progress",
    "jobs",
    "audit",
    "caches",
    "verify",
    "archive",
    "replay",
    "search",
    "indices",
    "rebuild",
    "query",
    "report",
    "sql",
)
"""Modules of `tailrace.cli`, in the order of `--help`; each has `register(app)`."""

app = typer.Typer(
    name="tailrace",
    help="One event log, every read model: run the workers, publish, watch, verify.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

for name in COMMANDS:
    importlib.import_module(f"tailrace.cli.{name}").register(app)


def run() -> NoReturn:
    """Run the command line; turns our errors into one line, a fix and an exit code."""
    # Without a handler of any kind Python prints its warnings, 70 lines a second while no broker answers; a person gets
    # our own error in one line when the time is up, and processes that log (`configure_logging`) log them all the same.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        app()
    except TailraceError as error:
        note(f"tailrace: {error}")
        if error.fix:
            note(f"  fix  {error.fix}")
        sys.exit(error.exit_code)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            note(f"tailrace: setting {'.'.join(map(str, problem['loc']))}: {problem['msg']}")
        sys.exit(2)
    sys.exit(0)
