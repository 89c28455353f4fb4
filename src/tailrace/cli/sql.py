"""`tailrace sql`: psql or pgcli as the analysts' role."""

from typing import Annotated

import typer

from tailrace.cli.output import note

TIMEOUT_DEFAULT_S = 60.0
VALID_DEFAULT_H = 12.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sql)


def sql(  # noqa: PLR0913, PLR0917 - every option is an argument
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGUMENT…]", help="For psql or pgcli, e.g. -- -c 'SELECT 1'.")
    ] = None,
    client: Annotated[str | None, typer.Option(help="psql or pgcli; else pgcli if it is installed.")] = None,
    print_dsn: Annotated[bool, typer.Option("--print-dsn", help="Print the DSN, with its password, and end.")] = False,
    login: Annotated[str | None, typer.Option(metavar="NAME", help="Make or renew this account instead.")] = None,
    valid: Annotated[float, typer.Option(min=0.1, help="Hours until the account's password ends.")] = VALID_DEFAULT_H,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for a statement.")] = TIMEOUT_DEFAULT_S,
    allow_stale: Annotated[bool, typer.Option(help="Open a replica that is more than 60 s behind.")] = False,
) -> None:
    """Open psql or pgcli as an analyst, on DATABASE_URL_RO if that is set, else with an account made for it.

    The account reads the analytics schema and nothing else, at most ten sessions at once. psql has no cap on rows:
    use LIMIT, or `tailrace query run`.

    Example: `tailrace sql -- -c 'SELECT * FROM freshness'`
    """
    from tailrace.analysis.access import snapshot
    from tailrace.analysis.shell import open_shell, session_dsn
    from tailrace.settings import load_settings

    settings = load_settings()
    dsn = session_dsn(settings, name=login, valid_h=valid, timeout_s=timeout)
    if print_dsn:
        typer.echo(dsn)
        return
    with snapshot(settings, allow_stale=allow_stale) as opened:
        note(f"{opened.as_of.sentence()} · read-only · {timeout:g} s per statement · rows are not capped here")
    open_shell(settings, dsn, client=client, arguments=arguments or [], timeout_s=timeout)
