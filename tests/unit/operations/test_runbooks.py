"""Every command line of the runbooks is one that there is, with options that it has."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailrace.cli.main import app

FOLDER = Path(__file__).parents[3] / "docs" / "runbooks"
PAGES = sorted(FOLDER.glob("*.md"))


def commands(page: Path) -> list[str]:
    """Lines of `sh` blocks and code spans that begin with `tailrace `."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
    spans = re.findall(
        r"`(tailrace [^`\n]+)`", re.sub(r"^ *```sh\n.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    )
    return lines + [span for span in spans if not re.fullmatch(r"tailrace\.\w+", span)]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_runbook_exists(page: Path):
    found = commands(page)

    assert found
    for line in found:
        program, *words = shlex.split(line)
        assert program == "tailrace", line
        # Options that do not exist are refused before help is printed.
        shown = CliRunner().invoke(app, [*words, "--help"])
        assert shown.exit_code == 0, f"{line}\n{shown.output}"
        assert "Usage: tailrace" in shown.output.replace("root", "tailrace"), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_a_runbook_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).is_file(), target


def test_every_runbook_is_in_the_list():
    listed = set(re.findall(r"\]\(([^)#]+)", (FOLDER / "README.md").read_text(encoding="utf-8")))

    assert listed == {page.name for page in PAGES} - {"README.md"}
