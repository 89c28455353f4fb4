"""A Zulip export as the read models show it."""

import json
from pathlib import Path

import pytest
from exports import BASE_S, ZulipFolder, import_zulip
from msgspec.structs import replace
from typer.testing import CliRunner

from tailrace.cli.main import app
from tailrace.errors import InvalidInputError
from tailrace.history.zulip_export import ZulipExport
from tailrace.verification.fold import fold


@pytest.fixture
def export(tmp_path: Path) -> ZulipFolder:
    return ZulipFolder(tmp_path)


def test_a_topic_is_a_thread_from_its_first_message_on_wherever_that_stands(export: ZulipFolder):
    export.per_file = 2
    for key, subject in ((3, "Launch"), (2, "launch"), (4, ""), (1, "LAUNCH"), (5, "other")):
        export.message(key, f"m{key}", subject)

    result = import_zulip(export.folder())
    messages = result.keys("messages", "content")
    rows = {row["content"]: row for row in result.rows("messages")}

    assert {text: row["thread_id"] for text, row in rows.items()} == {
        "m1": None,
        "m2": messages["m1"],
        "m3": messages["m1"],
        "m4": None,
        "m5": None,
    }
    assert rows["m1"]["reply_count"] == 2
    assert rows["m3"]["formatted_content"] == {"zulip_topic": "Launch"}
    assert result.report.found["threads"] == 1


def test_edits_reactions_mentions_and_files(export: ZulipFolder):
    history = [
        {"user_id": 12, "timestamp": BASE_S + 50, "prev_content": "two"},
        {"user_id": 11, "timestamp": BASE_S + 45, "prev_topic": "old", "topic": "new"},
        {"user_id": None, "timestamp": BASE_S + 40, "prev_content": "one"},
    ]
    content = "three @**Bob** @_**Ada** @**CI|13** @**all**"
    export.message(1, content, edit_history=json.dumps(history), last_edit_time=BASE_S + 50)
    export.message(2, "last only", last_edit_time=BASE_S + 60)
    export.react(1, 12, "thumbs_up", "1f44d")
    export.react(1, 11, "family", "1f468-200d-1f469")
    export.react(1, 12, "party")
    export.files.append(
        {
            "id": 4,
            "file_name": "a.pdf",
            "path_id": "2/ab/a.pdf",
            "owner": 12,
            "size": 15,
            "create_time": BASE_S,
            "messages": [1],
        }
    )
    export.files.append({"id": 5, "file_name": "b", "path_id": "2/b", "owner": 12, "size": 1, "create_time": BASE_S})

    result = import_zulip(export.folder())
    users, rows = result.keys("users", "display_name"), {row["edit_count"]: row for row in result.rows("messages")}
    edited = rows[2]

    assert (edited["content"], edited["mentions"]) == (content, [users["Bob"], users["CI"]])
    assert [it["content"] for it in edited["edit_history"]] == ["one", "two"]
    assert list(edited["reactions"].items()) == [
        ("👍", [users["Bob"]]),
        ("👨\u200d👩", [users["Ada"]]),
        (":party:", [users["Bob"]]),
    ]
    assert (edited["has_files"], edited["message_type"]) == (True, "file")
    assert (rows[0]["content"], rows[0]["edited_at"].timestamp()) == ("last only", BASE_S + 60)
    assert sorted((row["filename"], row["file_size"]) for row in result.rows("files")) == [("a.pdf", 15), ("b", 1)]


def test_direct_messages_are_one_conversation_whoever_writes_and_however_it_is_exported(export: ZulipFolder):
    export.message(1, "to bob", recipient=34, sender=11)
    export.message(2, "to ada", recipient=33, sender=12)
    export.message(3, "to self", recipient=33, sender=11)
    export.message(4, "all three", recipient=35, sender=13)
    export.realm["zerver_recipient"].append({"id": 36, "type": 3, "type_id": 78})
    for user in (11, 12):
        export.realm["zerver_subscription"].append({"id": 90 + user, "user_profile": user, "recipient": 36})
    export.message(5, "newer way", recipient=36, sender=11)

    result = import_zulip(export.folder())
    rows = {row["content"]: row for row in result.rows("messages")}
    kinds = {row["name"]: (row["channel_type"], row["member_count"]) for row in result.rows("channels")}

    assert len({rows[text]["channel_id"] for text in ("to bob", "to ada", "newer way")}) == 1
    assert kinds == {
        "general": ("public", 2),
        "plans": ("private", 1),
        "dm-11": ("dm", 1),
        "dm-11-12": ("dm", 2),
        "dm-11-12-13": ("group_dm", 3),
    }
    assert rows["all three"]["message_type"] == "bot"


def test_a_direct_message_has_no_topic_whatever_stands_there(export: ZulipFolder):
    export.message(1, "hi", "\x07", recipient=34)

    (row,) = import_zulip(export.folder()).rows("messages")

    assert (row["thread_id"], row["formatted_content"]) == (None, None)


def test_people_have_their_roles_and_the_deactivated_are_members_of_nothing(export: ZulipFolder):
    export.realm["zerver_userprofile"][1] |= {"is_active": False}
    export.realm["zerver_userprofile_mirrordummy"] = [
        {"id": 14, "email": "gone@acme.test", "full_name": "Gone", "is_mirror_dummy": True}
    ]
    export.message(1, "bye", sender=12)
    export.message(2, "joined", sender=6)
    export.message(3, "who", sender=99)

    result = import_zulip(export.folder())

    assert {row["username"]: row["status"] for row in result.rows("users")} == {
        "ada": "active",
        "bob": "suspended",
        "ci-bot": "active",
        "gone": "active",
        "notification-bot": "active",
        "user99": "active",
    }
    assert {row["role"] for row in result.rows("workspace_members") if row["status"] == "active"} == {"owner", "member"}
    assert {row["content"]: row["message_type"] for row in result.rows("messages")} == {
        "bye": "text",
        "joined": "system",
        "who": "text",
    }
    assert result.odd()["user_not_in_realm"] == 1


def test_counts_of_the_report_are_those_of_the_read_models(export: ZulipFolder):
    export.per_file = 7
    for key in range(1, 31):
        export.message(key, f"m{key}", f"topic {key % 4}")
        export.react(key, 12, "tada", "1f389")

    result = import_zulip(export.folder())
    found = result.report.found

    assert found["messages"] == len(result.rows("messages")) == 30
    assert found["threads"] == sum(row["reply_count"] > 0 for row in result.rows("messages")) == 4
    assert found["replies"] == sum(row["reply_count"] for row in result.rows("messages")) == 26
    assert found["reactions"] == sum(len(row["reactions"]["🎉"]) for row in result.rows("messages")) == 30
    assert found["users"] + found["bots"] == len(result.rows("users"))
    assert found["channels"] + found["groups"] + found["mpims"] == len(result.rows("channels"))
    assert found["members"] == sum(row["is_active"] for row in result.rows("channel_members"))


def test_the_same_export_makes_the_same_events_in_any_container(export: ZulipFolder):
    export.message(1, "a", "t")
    export.message(2, "b", "t")

    once, again = import_zulip(export.folder()), import_zulip(export.tarball())

    assert once.value == again.value
    twice = [*once.events, *(replace(it, offset=len(once.events) + it.offset) for it in once.events)]
    assert fold(twice) == once.tables


def test_what_cannot_be_read_or_understood_is_reported_and_the_rest_imported(export: ZulipFolder):
    export.message(1)
    export.message(2, recipient=999)
    export.message(3, date_sent=None)
    export.message(4, edit_history="{")
    export.realm["zerver_usergroup"] = [{"id": 1}]
    folder = export.folder()
    (folder / "messages-000002.json").write_text("[")
    (folder / "attachment.json").write_text("{")

    result = import_zulip(folder)

    assert len(result.rows("messages")) == 2
    assert result.odd() == {
        "edit_history_unreadable": 1,
        "message_of_unknown_recipient": 1,
        "message_without_id_or_time": 1,
        "table zerver_usergroup": 1,
    }
    assert sorted(it.file for it in result.report.unreadable) == ["attachment.json", "messages-000002.json"]


def test_what_belongs_to_no_message_is_reported_and_shows_in_the_counts(export: ZulipFolder):
    export.message(1)
    export.message(2, recipient=999)
    for about in (1, 1, 2, 3):
        export.react(about, 12, "tada", "1f389")
    file = {"id": 4, "file_name": "a", "path_id": "2/a", "owner": 12, "size": 1, "create_time": BASE_S}
    export.files.append({**file, "messages": [1, 3]})

    result = import_zulip(export.folder())
    compared = {label: counts for label, *counts in result.report.compared()}

    assert result.odd() == {
        "file_of_unknown_message": 1,
        "message_of_unknown_recipient": 1,
        "reaction_of_unknown_message": 2,
        "reaction_twice": 1,
    }
    assert (compared["messages"], compared["reactions"], compared["shares of files"]) == ([2, 1], [4, 1], [2, 1])


def test_only_tables_are_reported_as_tables(export: ZulipFolder):
    export.message(1)
    folder = export.folder()
    (folder / "realm.json").write_text(json.dumps({**export.realm, "import_source": "zulip", "sort_by_date": True}))

    assert import_zulip(folder).odd() == {}


@pytest.mark.parametrize("content", [b"", b"\x1f\x8bbroken", b"plain"])
def test_what_is_no_export_is_said_to_be_none(tmp_path: Path, content: bytes):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(content)

    with pytest.raises(InvalidInputError):
        ZulipExport(path)


def test_a_realm_that_cannot_be_read_is_invalid(export: ZulipFolder):
    folder = export.folder()
    (folder / "realm.json").write_text("{")

    with pytest.raises(InvalidInputError, match=r"realm\.json"):
        ZulipExport(folder)


def test_of_a_tarball_only_the_json_files_are_unpacked_and_removed_again(
    export: ZulipFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    export.message(1)
    path = export.tarball()
    with ZulipExport(path) as opened:
        (unpacked,) = tmp_path.glob("tailrace-zulip-*")
        files = sorted(it.name for it in unpacked.iterdir())

    assert opened.names == ["messages-000001.json"]
    assert files == ["attachment.json", "messages-000001.json", "realm.json"]
    assert not unpacked.exists()


def test_the_command_reports_and_sends_nothing_on_a_dry_run(export: ZulipFolder):
    export.message(1)

    result = CliRunner().invoke(app, ["import", "zulip", str(export.tarball()), "--dry-run", "-o", "json"])

    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["found"]["messages"] == document["events"]["collab.message.posted"] == 1
    assert document["workspace"]["name"] == "Acme"
    assert "import zulip 100% 1/1 files of messages" in result.stderr
