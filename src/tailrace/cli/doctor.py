"""`tailrace doctor`: what is wrong here, and what to do about it."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from tailrace.cli.output import Output, OutputOption, print_json, stdout
from tailrace.settings import load_settings

MARKS = {"ok": "✓", "warning": "!", "error": "✗"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    output: OutputOption = Output.TABLE,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 10 for warnings too.")] = False,
) -> None:
    """Check programs, Java, memory, disk, ports, settings and servers, with a fix for each problem.

    Exit code 5 if a server does not answer, 3 for another error.

    Example: `tailrace doctor`
    """
    checks = _checks()
    errors = [check for check in checks if check.state == "error"]
    warnings = [check for check in checks if check.state == "warning"]
    if output is Output.JSON:
        print_json({"checks": [asdict(check) for check in checks], "errors": len(errors), "warnings": len(warnings)})
    else:
        for check in checks:
            _line(f" {MARKS[check.state]} {check.name:<21}{check.text}")
            if check.fix:
                _line(f"   {'fix':<21}{check.fix}")
        _line(f"errors {len(errors)}, warnings {len(warnings)}" if errors or warnings else "no problems")
    if any(check.unreachable for check in errors):
        raise typer.Exit(5)
    if errors:
        raise typer.Exit(3)
    if warnings and strict:
        raise typer.Exit(10)


def _checks() -> list[Any]:
    from tailrace.stack.doctor import check_settings, diagnose

    try:
        settings = load_settings()
    except ValidationError as error:
        # Here the nearest known name is more help than the bare refusal every other command gives.
        return [check_settings([f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()])]
    return diagnose(settings)


def _line(text: str) -> None:
    stdout.print(text, highlight=False, markup=False, soft_wrap=True)
