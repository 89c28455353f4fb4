"""What may change between two revisions of the contract: a table of changes, and this tree against the last release."""

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tailrace.cli.main import app
from tailrace.contract.compatibility import breaks
from tailrace.contract.documents import exported, write
from tailrace.contract.revision import CONTRACT_FILE, RELEASED, Contract, contract, contract_of
from tailrace.errors import InvalidInputError, NotFoundError

ROOT = Path(__file__).parents[3]
POSTED = "collab.message.posted"
Change = Callable[[Contract], Any]


def data(document: Contract, type_: str = POSTED) -> dict[str, Any]:
    found: dict[str, Any] = document["types"][type_]["versions"]["1"]
    return found


def field(document: Contract, name: str, type_: str = POSTED) -> dict[str, Any]:
    found: dict[str, Any] = data(document, type_)["properties"][name]
    return found


def remove(name: str) -> Change:
    def change(document: Contract) -> None:
        del data(document)["properties"][name]
        data(document)["required"] = [it for it in data(document)["required"] if it != name]

    return change


def add(name: str, *, required: bool) -> Change:
    def change(document: Contract) -> None:
        data(document)["properties"][name] = {"type": "string"}
        data(document)["required"] += [name] if required else []

    return change


def put(name: str, type_: str = POSTED, **facets: Any) -> Change:
    return lambda document: field(document, name, type_).update(facets)


def required(names: list[str], type_: str = POSTED) -> Change:
    return lambda document: data(document, type_).update(required=names)


def add_version(document: Contract) -> None:
    document["types"][POSTED]["versions"]["2"] = {"type": "object", "properties": {}}


def all_but(name: str) -> list[str]:
    return [it for it in data(contract())["required"] if it != name]


EVERY = data(contract())["required"]
TYPES = ["text", "file", "system", "bot"]

CHANGES = [
    # ── may be done ──
    ("optional field added", add("tone", required=False), []),
    ("description changed", put("content", description="other words"), []),
    ("version added", add_version, []),
    ("type added", lambda it: it["types"].update({"collab.message.pushed": it["types"][POSTED]}), []),
    ("topic kept longer", lambda it: it["topics"]["signals"].update(retention_days=None), []),
    # ── backward: what is in the log is not understood any more ──
    ("optional field removed", remove("client_msg_id"), ["backward data.client_msg_id: field removed"]),
    ("made required", required([*EVERY, "thread_id"]), ["backward data.thread_id: made required"]),
    ("required field added", add("tone", required=True), ["backward data.tone: required field added"]),
    ("null refused", put("thread_id", type="string"), ["backward data.thread_id: type narrowed"]),
    ("enum value removed", put("message_type", enum=TYPES[:3]), ["backward data.message_type: enum value removed"]),
    ("text limited to values", put("content", enum=["a", "b"]), ["backward data.content: type narrowed"]),
    ("longest length set", put("content", maxLength=40_000), ["backward data.content: maxLength narrowed"]),
    ("pattern set", put("content", pattern="^.+$"), ["backward data.content: pattern changed"]),
    (
        "bounds narrowed",
        put("file_size", "collab.file.uploaded", minimum=0, maximum=2**63 - 1),
        ["backward data.file_size: minimum narrowed"],
    ),
    (
        "default changed",
        put("mark_unread", "collab.channel.read", default=True),
        ["backward data.mark_unread: default changed"],
    ),
    (
        "items narrowed",
        lambda it: field(it, "tags", "collab.file.uploaded")["items"].update(maxLength=5),
        ["backward data.tags[]: maxLength narrowed"],
    ),
    (
        "version missing",
        lambda it: it["types"][POSTED]["versions"].pop("1"),
        ["backward schemaversion: version missing"],
    ),
    ("type removed", lambda it: it["types"].pop(POSTED), ["backward type: type removed"]),
    ("key changed", lambda it: it["types"][POSTED].update(key=["message_id"]), ["backward key: key changed"]),
    ("topic removed", lambda it: it["topics"].pop("trends"), ["backward topic: topic removed"]),
    (
        "kept shorter",
        lambda it: it["topics"]["conversations"].update(retention_days=7),
        ["backward retention: kept shorter"],
    ),
    (
        "attribute made required",
        lambda it: it["envelope"].update(required=[*it["envelope"]["required"], "workspaceid"]),
        ["backward workspaceid: made required"],
    ),
    # ── forward: readers of before refuse what is published now ──
    ("made optional", required(all_but("mentions")), ["forward data.mentions: made optional"]),
    ("null allowed", put("content", type=["string", "null"]), ["forward data.content: type widened"]),
    ("enum value added", put("message_type", enum=[*TYPES, "poll"]), ["forward data.message_type: enum value added"]),
    (
        "bounds widened",
        put("max_members", "collab.workspace.created", maximum=2**63 - 1),
        ["forward data.max_members: maximum widened"],
    ),
    ("topic changed", lambda it: it["types"][POSTED].update(topic="files"), ["forward topic: topic changed"]),
    # ── both ──
    (
        "type changed",
        put("content", type="object"),
        ["backward data.content: type narrowed", "forward data.content: type widened"],
    ),
    (
        "required field removed",
        remove("content"),
        ["backward data.content: field removed", "forward data.content: field removed"],
    ),
    (
        "enum value renamed",
        put("message_type", enum=["note", *TYPES[1:]]),
        ["backward data.message_type: enum value removed", "forward data.message_type: enum value added"],
    ),
]


@pytest.mark.parametrize(("change", "expected"), [it[1:] for it in CHANGES], ids=[it[0] for it in CHANGES])
def test_a_change_breaks_the_promises_it_breaks(change: Change, expected: list[str]):
    old = contract()
    new = copy.deepcopy(old)
    change(new)
    found = breaks(old, new)
    assert sorted(f"{it.promise} {it.path}: {it.rule}" for it in found) == expected
    assert all(it.reason and it.old != it.new for it in found)


def test_a_break_says_where_what_and_why_in_one_line():
    new = contract()
    put("message_type", enum=TYPES[:3])(new)
    expected = (
        "collab.message.posted v1  data.message_type  enum value removed  bot·file·system·text → file·system·text"
        "  (backward: events in the log may hold bot, which is refused now)"
    )
    assert [str(it) for it in breaks(contract(), new)] == [expected]


def test_nested_fields_are_compared_too():
    new = contract()
    put("formatted_content", properties={"name": {"type": "string"}}, required=["name"])(new)
    old = copy.deepcopy(new)
    field(new, "formatted_content")["properties"]["name"]["type"] = "integer"
    assert {it.path for it in breaks(old, new)} == {"data.formatted_content.name"}


def test_this_tree_breaks_nothing_of_the_last_release():
    found = breaks(contract_of(str(ROOT / RELEASED), ROOT), contract())
    assert [str(it) for it in found] == [], "add a version with an upcaster instead (docs/producers.md, Versions)"


def test_an_exported_folder_and_a_git_revision_can_be_compared_with(tmp_path: Path):
    write(exported(), tmp_path / "docs/contract")
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert contract_of(str(tmp_path / "docs/contract"), tmp_path) == contract()
    assert contract_of("HEAD", tmp_path) == contract()


def test_what_is_neither_is_not_found(tmp_path: Path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    with pytest.raises(NotFoundError):
        contract_of("nowhere", tmp_path)
    with pytest.raises(NotFoundError):
        contract_of("--help", tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[1]"])
def test_a_file_that_is_no_contract_is_invalid_input(text: str, tmp_path: Path):
    (tmp_path / CONTRACT_FILE).write_text(text)
    with pytest.raises(InvalidInputError):
        contract_of(str(tmp_path), tmp_path)


def test_the_command_says_yes_with_0_and_no_with_6(tmp_path: Path):
    write({CONTRACT_FILE: json.dumps(contract())}, tmp_path)
    arguments = ["schema", "check", "--against", str(tmp_path), "-o", "json"]
    good = CliRunner().invoke(app, arguments)
    assert (good.exit_code, json.loads(good.stdout)["compatible"]) == (0, True)

    old = contract()
    add("tone", required=False)(old)
    write({CONTRACT_FILE: json.dumps(old)}, tmp_path)
    bad = CliRunner().invoke(app, arguments)
    assert isinstance(bad.exception, InvalidInputError)
    assert bad.exception.exit_code == 6
    [found] = json.loads(bad.stdout)["breaks"]
    assert (found["where"], found["path"], found["rule"]) == (f"{POSTED} v1", "data.tone", "field removed")
