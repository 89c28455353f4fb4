"""`tailrace up` and `tailrace down`: the servers on this machine."""

import sys
from typing import Annotated, Any

import typer
from rich.prompt import Confirm

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table, stderr
from tailrace.settings import Settings, load_settings

OnlyOption = Annotated[
    str | None, typer.Option("--only", metavar="NAME,…", help="Only these: kafka, postgres, redis, elasticsearch.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(up)
    app.command()(down)
    app.command()(fetch)


def up(
    only: OnlyOption = None,
    wait: Annotated[float, typer.Option(min=1, help="Seconds to wait until every server answers.")] = 120,
    output: OutputOption = Output.TABLE,
) -> None:
    """Start PostgreSQL, Redis, Kafka and Elasticsearch and wait until they answer.

    Servers that run are left as they are; servers that the settings name are only checked. They listen on 127.0.0.1
    and keep everything in the data folder (`TAILRACE_DATA_DIR`, default `.tailrace`).

    Example: `tailrace up --only kafka,postgres`
    """
    from tailrace import stack

    settings = load_settings()
    names = _names(only)
    _announce_fetch(settings, names)
    result = stack.up(settings, only=names, wait_s=wait, report=_report)
    if output is Output.JSON:
        print_json(document(result))
    else:
        print_table(
            ["SERVER", "ADDRESS"], [[server.name, masked(server.name, server.address)] for server in result.servers]
        )
        note("with the password: tailrace status -o json   logs: " + str(result.data_dir / "logs"))


def down(
    only: OnlyOption = None,
    purge: Annotated[bool, typer.Option("--purge", help="Delete their data as well.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking (asked on a terminal only).")] = False,
) -> None:
    """Stop the servers of the data folder; their data stays unless `--purge` is given.

    Example: `tailrace down --purge --yes`
    """
    from tailrace import stack

    settings = load_settings()
    # Off a terminal nobody can answer, and whoever wrote `--purge` into a script meant it.
    if purge and not yes and sys.stdin.isatty() and not _is_confirmed(settings):
        raise typer.Exit(8)
    stopped = stack.down(settings, only=_names(only), purge=purge)
    for name, by_itself in stopped:
        note(f" ✓ {name:<14} stopped" if by_itself else f" ! {name:<14} killed: it did not end in time")
    if purge:
        note(f" ✓ {'data':<14} deleted")
    elif not stopped:
        note("nothing was running")


def fetch() -> None:
    """Fetch Kafka and Elasticsearch into the cache, once per machine (`up` does it too).

    Example: `TAILRACE_CACHE_DIR=/var/cache/tailrace tailrace fetch`
    """
    from tailrace.stack.artifacts import Artifacts

    settings = load_settings()
    _announce_fetch(settings, None)
    Artifacts(settings.cache_dir).fetch()


def document(result: Any) -> dict[str, Any]:
    """The JSON form of a `StackStatus`: `servers` maps names to addresses (null: not running), `states` tells more."""
    return {
        "servers": result.addresses,
        "states": {
            server.name: {
                "state": server.health,
                "version": server.version,
                "seconds": None if server.seconds is None else round(server.seconds, 3),
                "pid": server.pid,
                "restarts": server.restarts,
                "detail": server.detail,
            }
            for server in result.servers
        },
        "data_dir": str(result.data_dir),
    }


def masked(name: str, address: str | None) -> str | None:
    """An address for a person's screen: without its password."""
    from urllib.parse import urlsplit

    if address is None or name == "kafka" or (password := urlsplit(address).password) is None:
        return address
    return address.replace(f":{password}@", ":***@", 1)


def _report(server: Any) -> None:
    did = "" if server.started else "  already running" if server.health == "running" else "  from the settings"
    note(f" ✓ {server.name:<14} {server.version or '':<10} {server.seconds or 0:6.1f} s{did}")


def _announce_fetch(settings: Settings, only: list[str] | None) -> None:
    from tailrace.stack.artifacts import Artifacts

    missing = Artifacts(settings.cache_dir).missing()
    if missing and (only is None or {"kafka", "elasticsearch"} & set(only)):
        note(f"fetching {' and '.join(missing)}, once for this machine")


def _names(only: str | None) -> list[str] | None:
    return [name.strip() for name in only.split(",") if name.strip()] if only is not None else None


def _is_confirmed(settings: Settings) -> bool:
    return Confirm.ask(f"Delete all data in {settings.data_dir}?", console=stderr, default=False)
