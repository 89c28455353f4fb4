"""A Mattermost bulk export as the read models show it."""

import json
import zipfile
from pathlib import Path

import pytest
from exports import BASE_MS, MattermostFile, import_mattermost
from msgspec.structs import replace
from typer.testing import CliRunner

from tailrace.cli.main import app
from tailrace.errors import InvalidInputError
from tailrace.history.mattermost_export import MattermostExport
from tailrace.verification.fold import fold


@pytest.fixture
def export(tmp_path: Path) -> MattermostFile:
    return MattermostFile(tmp_path)


def test_a_thread_with_all_that_hangs_on_it(export: MattermostFile):
    reactions = [
        {"user": "bob", "create_at": BASE_MS + 9_000, "emoji_name": "tada"},
        {"user": "ada", "create_at": BASE_MS + 5_000, "emoji_name": "tada"},
    ]
    reply = {"user": "bob", "message": "ok @ada.", "create_at": BASE_MS + 7_000, "edit_at": BASE_MS + 8_000}
    files = [{"path": "2020/plan.pdf"}]
    export.post(0, "root", reactions=reactions, replies=[reply], attachments=files, is_pinned=True, edit_at=0)

    result = import_mattermost(export.zip(**{"2020/plan.pdf": b"12345"}))
    by_text = {row["content"]: row for row in result.rows("messages")}
    users, messages = result.keys("users", "username"), result.keys("messages", "content")
    root, answer = by_text["root"], by_text["ok @ada."]

    assert (root["reply_count"], root["last_reply_at"].timestamp()) == (1, 1_600_000_007)
    assert root["reactions"] == {"🎉": [users["ada"], users["bob"]]}
    assert (root["is_pinned"], root["has_files"], root["message_type"], root["edited_at"]) == (True, True, "file", None)
    assert (answer["thread_id"], answer["mentions"]) == (messages["root"], [users["ada"]])
    assert (answer["edited_at"].timestamp(), answer["edit_history"]) == (1_600_000_008, [])
    (file,) = result.rows("files")
    assert (file["filename"], file["file_size"], file["mime_type"]) == ("plan.pdf", 5, "application/pdf")


def test_people_channels_and_members_are_those_of_the_lists(export: MattermostFile):
    export.add("bot", {"username": "helper", "owner": "ada", "display_name": "Helper"})
    export.add("direct_channel", {"members": ["bob", "ada"], "header": "us"})
    export.add("direct_post", {"channel_members": ["ada", "bob"], "user": "bob", "message": "hi", "create_at": BASE_MS})
    export.post(5, "beep", by="helper")
    export.lines[5]["user"]["delete_at"] = BASE_MS + 60_000

    result = import_mattermost(export.file())
    users = {row["username"]: row for row in result.rows("users")}
    channels = {row["name"]: row for row in result.rows("channels")}

    assert {name: (row["display_name"], row["status"]) for name, row in users.items()} == {
        "ada": ("Ada L", "active"),
        "bob": ("Bob B", "suspended"),
        "helper": ("Helper", "active"),
    }
    assert {row["role"] for row in result.rows("workspace_members") if row["status"] == "active"} == {"owner"}
    assert {name: row["channel_type"] for name, row in channels.items()} == {
        "town-square": "public",
        "plans": "private",
        "dm-ada-bob": "dm",
    }
    assert channels["town-square"]["is_general"] is True
    assert channels["town-square"]["member_count"] == 1
    assert {row["content"]: row["message_type"] for row in result.rows("messages")} == {"hi": "text", "beep": "bot"}


def test_counts_of_the_report_are_those_of_the_read_models(export: MattermostFile):
    for number in range(20):
        replies = [
            {"user": "bob", "message": "r", "create_at": BASE_MS + number * 10 + it} for it in range(1, number % 3)
        ]
        export.post(number * 10, f"p{number}", replies=replies, attachments=[{"path": f"f{number}"}])

    result = import_mattermost(export.file())
    found = result.report.found

    assert found["messages"] == len(result.rows("messages")) == 26
    assert found["threads"] == sum(row["reply_count"] > 0 for row in result.rows("messages")) == 6
    assert found["files"] == len(result.rows("files")) == found["file_shares"] == 20
    assert found["users"] == len(result.rows("users"))
    assert found["channels"] + found["groups"] == len(result.rows("channels"))
    assert found["members"] == len(result.rows("channel_members"))


def test_the_same_export_makes_the_same_events_in_any_container(export: MattermostFile):
    export.post(0, replies=[{"user": "bob", "message": "r", "create_at": BASE_MS + 1}])

    once, again = import_mattermost(export.file()), import_mattermost(export.zip())
    elsewhere = import_mattermost(export.file(), "other")

    assert once.value == again.value
    twice = [*once.events, *(replace(it, offset=len(once.events) + it.offset) for it in once.events)]
    assert fold(twice) == once.tables
    assert {event.id for event in once.events}.isdisjoint(event.id for event in elsewhere.events)


def test_posts_of_one_author_in_one_millisecond_stay_apart(export: MattermostFile):
    for text in ("one", "two", "two"):
        export.post(0, text)

    result = import_mattermost(export.file())

    assert sorted(row["content"] for row in result.rows("messages")) == ["one", "two"]


def test_a_root_that_comes_twice_is_one_thread_with_the_replies_of_both(export: MattermostFile):
    first, second = ({"user": "bob", "message": f"r{it}", "create_at": BASE_MS + it} for it in (1, 2))
    export.post(0, "root", replies=[first])
    export.post(0, "root", replies=[first, second])

    result = import_mattermost(export.file())
    threads = {row["content"]: row["thread_id"] for row in result.rows("messages")}
    root = result.keys("messages", "content")["root"]

    assert threads == {"root": None, "r1": root, "r2": root}
    assert result.odd() == {"post_twice": 2}


def test_a_reaction_that_comes_twice_is_made_once_and_reported(export: MattermostFile):
    given = [("bob", "tada", 1), ("bob", "tada", 2), ("ada", "tada", 3), ("bob", "wave", 4)]
    reactions = [{"user": user, "emoji_name": name, "create_at": BASE_MS + ms} for user, name, ms in given]
    export.post(0, reactions=reactions)

    result = import_mattermost(export.file())

    assert (result.report.found["reactions"], result.report.events["collab.reaction.added"]) == (4, 3)
    assert result.odd() == {"reaction_twice": 1}


def test_what_is_left_out_shows_as_a_difference_between_export_and_events(export: MattermostFile):
    reply = {"user": "bob", "message": "r", "create_at": BASE_MS + 1, "reactions": [{"user": "ada", "emoji_name": "x"}]}
    export.post(0, "kept")
    export.add("post", {"user": "ada", "message": "nowhere", "create_at": BASE_MS, "replies": [reply]})

    compared = {label: counts for label, *counts in import_mattermost(export.file()).report.compared()}

    assert compared["messages"] == [3, 1]
    assert compared["reactions"] == [1, 0]


def test_a_deleted_bot_is_suspended(export: MattermostFile):
    export.add("bot", {"username": "old", "owner": "ada", "delete_at": BASE_MS + 1})
    export.add("bot", {"username": "new", "owner": "ada", "delete_at": 0})
    export.post(0, by="old")

    result = import_mattermost(export.file())
    status = {row["username"]: row["status"] for row in result.rows("users")}

    assert (status["old"], status["new"]) == ("suspended", "active")
    assert result.report.found["deactivated"] == 1


def test_a_member_of_a_team_that_is_nowhere_else_is_reported(export: MattermostFile):
    export.lines[5]["user"]["teams"].append({"name": "gone", "channels": []})

    result = import_mattermost(export.file())

    assert len(result.rows("workspace_members")) == 2
    assert result.odd() == {"member_of_team_not_listed": 1}


@pytest.mark.parametrize("folder", ["data/", ""])
def test_attachments_have_their_size_wherever_the_zip_keeps_them(export: MattermostFile, folder: str):
    export.post(attachments=[{"path": "attachments/log.jsonl"}])
    path = export.zip()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{folder}attachments/log.jsonl", b"{}\n")

    result = import_mattermost(path)

    assert [row["file_size"] for row in result.rows("files")] == [3]
    assert result.odd() == {}


def test_the_lines_may_be_in_a_folder_of_the_zip(export: MattermostFile):
    export.post()
    path = export.tmp / "packed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(export.file(), "export/import.jsonl")

    assert len(import_mattermost(path).rows("messages")) == 1


def test_what_is_in_no_list_is_kept_and_reported(export: MattermostFile):
    export.post(0, "where", in_="elsewhere", by="carol", reactions=[{"user": "dan", "emoji_name": "x"}])
    export.add("post", {"team": "other", "channel": "c", "user": "ada", "message": "m", "create_at": BASE_MS})
    export.add("post", {"user": "ada", "message": "nowhere", "create_at": BASE_MS})
    export.post(1, "sys", type="system_join_channel")
    export.add("direct_post", {"channel_members": ["ada", "zed"], "user": "zed", "message": "d", "create_at": BASE_MS})
    export.add("wiki", {"pages": 1})

    result = import_mattermost(export.file())
    types = {row["name"]: row["channel_type"] for row in result.rows("channels")}

    assert {"elsewhere": "private", "c": "private"}.items() <= types.items()
    assert {"carol", "dan", "zed"} <= {row["username"] for row in result.rows("users")}
    assert result.odd() == {
        "channel_not_listed": 2,
        "direct_channel_without_common_team": 1,
        "line wiki": 1,
        "post_without_channel": 1,
        "team_not_listed": 1,
        "user_not_listed": 3,
    }
    assert {row["message_type"] for row in result.rows("messages")} == {"text", "system"}


def test_a_broken_line_is_named_and_its_neighbours_are_imported(export: MattermostFile):
    export.post(0, "before")
    path = export.file()
    path.write_bytes(path.read_bytes() + b'{"type": \n[]\n\xff\n' + json.dumps(export.lines[-1]).encode())

    result = import_mattermost(path)

    assert [it.file for it in result.report.unreadable] == [f"export.jsonl line {n}" for n in (8, 9, 10)]
    assert len(result.rows("messages")) == 1


@pytest.mark.parametrize("content", [b"", b"{}", b'{"type": "team"}', b"PK\x03\x04broken"])
def test_what_is_no_export_is_said_to_be_none(tmp_path: Path, content: bytes):
    path = tmp_path / "x"
    path.write_bytes(content)

    with pytest.raises(InvalidInputError):
        MattermostExport(path)


def test_the_command_reports_and_sends_nothing_on_a_dry_import_mattermost(export: MattermostFile):
    export.post()

    result = CliRunner().invoke(app, ["import", "mattermost", str(export.zip()), "--dry-run", "-o", "json"])

    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["found"]["messages"] == document["events"]["collab.message.posted"] == 1
    assert "import mattermost 100% 7/7 lines" in result.stderr
