"""`tailrace schema`, as it is called."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tailrace.cli.main import app
from tailrace.contract.documents import committed, exported
from tailrace.contract.event_schemas import event_schema, sample
from tailrace.errors import NotFoundError
from tailrace.schemas.catalogue import EVENT_TYPES


def called(*arguments: str) -> Any:
    """The JSON document that a call prints."""
    result = CliRunner().invoke(app, ["schema", *arguments, "-o", "json"])
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


def test_ls_lists_every_type_with_version_topic_and_key():
    listed = {it["type"]: it for it in called("ls")["types"]}
    assert set(listed) == set(EVENT_TYPES)
    assert listed["collab.integration.updated"]["version"] == 3
    assert listed["collab.activity.recorded"]["key"] == ["user_id", "workspace_id"]


def test_show_gives_the_schema_or_the_sample_of_the_version_asked_for():
    assert called("show", "message.posted") == event_schema("message.posted")
    assert called("show", "integration.updated", "--version", "1") == event_schema("integration.updated", 1)
    assert called("show", "integration.updated", "--sample") == sample("integration.updated", 3)


@pytest.mark.parametrize("arguments", [("message.sent",), ("message.posted", "--version", "2")])
def test_show_of_what_there_is_not_is_not_found(arguments: tuple[str, ...]):
    result = CliRunner().invoke(app, ["schema", "show", *arguments])
    assert isinstance(result.exception, NotFoundError)
    assert result.exception.exit_code == 4


@pytest.mark.slow
def test_export_writes_every_document(tmp_path: Path):
    assert called("export", str(tmp_path))["documents"] == len(exported())
    assert (tmp_path / "contract.json").read_text("utf-8") == exported()["contract.json"]


@pytest.mark.slow
def test_docs_writes_what_differs_and_removes_what_is_left_over(tmp_path: Path):
    assert set(called("docs", "--root", str(tmp_path))["changed"]) == set(committed())
    (tmp_path / "docs/contract/schemas/collab.message.sent.v1.json").write_text("{}")
    (tmp_path / "docs/catalogue.md").write_text("edited")
    again = called("docs", "--root", str(tmp_path))
    assert again == {
        "changed": ["catalogue.md"],
        "removed": ["contract/schemas/collab.message.sent.v1.json"],
    }
