"""Which files make a Slack export, and what is done about those that are damaged."""

import struct
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import InvalidInputError, NotFoundError
from tailrace.history.slack_export import ExportLimits, read_slack_export


def test_a_folder_and_a_zip_make_the_same_bytes(export: Any, run: Any):
    export.message(0, reactions=[{"name": "tada", "users": ["U2"], "count": 1}])
    export.message(86_400, files=[{"id": "F1", "name": "a.txt", "mimetype": "text/plain", "size": 1}])

    assert run(export.folder()).value == run(export.zip()).value


@pytest.mark.parametrize("enclosing", ["", "Acme Slack export/"])
def test_an_enclosing_folder_is_seen_through(export: Any, run: Any, enclosing: Any):
    export.message()

    assert len(run(export.zip(enclosing)).of("message.posted")) == 1
    assert len(run(export.folder(f"around/{enclosing}".rstrip("/"))).of("message.posted")) == 1


def test_what_the_macos_archiver_adds_is_no_export(export: Any, run: Any):
    export.message()
    export.extra = {"__MACOSX/users.json": b"junk", "__MACOSX/channels.json": b"junk"}

    assert len(run(export.zip()).of("message.posted")) == 1


@pytest.mark.parametrize("missing", ["users.json", "channels.json"])
def test_a_folder_without_the_lists_is_refused_with_what_was_looked_for(export: Any, missing: Any):
    path = export.folder()
    (path / missing).unlink()

    with pytest.raises(InvalidInputError, match=r"org_users\.json.*channels\.json.*mpims\.json") as caught:
        read_slack_export(path)

    assert caught.value.exit_code == 6


def test_a_list_of_direct_messages_is_enough(export: Any, run: Any):
    export.lists = {"dms.json": [{"id": "D1", "created": 1_500_000_000, "members": ["U1", "U2"]}]}

    assert run(export).one("channel.created").data["channel_type"] == "dm"


def test_the_list_of_an_enterprise_organisation_has_another_name(export: Any, run: Any):
    path = export.folder()
    (path / "users.json").rename(path / "org_users.json")

    assert len(run(path).of("user.registered")) == 2


def test_two_exports_in_one_folder_are_refused(export: Any):
    export.folder("both/one")
    path = export.folder("both/two")

    with pytest.raises(InvalidInputError, match="2 Slack exports"):
        read_slack_export(path)


def test_something_else_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("hello")

    with pytest.raises(InvalidInputError):
        read_slack_export(tmp_path / "notes.txt")
    with pytest.raises(NotFoundError):
        read_slack_export(tmp_path / "nothing")


def test_a_broken_day_is_named_and_the_others_are_imported(export: Any, run: Any):
    export.message()
    export.extra = {
        "general/2020-09-14.json": b'[{"type": "message",\n oh',
        "general/2020-09-15.json": b'{"ok": false}',
    }

    result = run(export)

    assert len(result.of("message.posted")) == 1
    assert [(entry.file, entry.reason) for entry in result.report.unreadable] == [
        ("general/2020-09-14.json", "is not JSON (line 2, column 2)"),
        ("general/2020-09-15.json", "holds no list"),
    ]


def test_a_broken_list_of_private_channels_is_named_and_the_public_ones_are_imported(export: Any, run: Any):
    export.message()
    export.extra = {"groups.json": b"[{"}

    result = run(export)

    assert len(result.of("channel.created")) == 1
    assert [entry.file for entry in result.report.unreadable] == ["groups.json"]


def test_a_broken_list_of_users_is_refused(export: Any):
    path = export.folder()
    (path / "users.json").write_text("[")

    with pytest.raises(InvalidInputError, match=r"users\.json"):
        read_slack_export(path)


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_file_beyond_the_limit_is_left_out(export: Any, run: Any, form: Any):
    export.message(0, "x" * 5_000)
    export.message(86_400)

    result = run(getattr(export, form)(), limits=ExportLimits(file_max_bytes=4_000))

    assert len(result.of("message.posted")) == 1
    assert [entry.file for entry in result.report.unreadable] == ["general/2020-09-13.json"]


def test_a_zip_bomb_is_not_unpacked(export: Any, run: Any):
    export.message()
    export.extra = {"general/2020-09-14.json": b" " * 2_000_000}

    result = run(export.zip(), limits=ExportLimits(file_max_bytes=1_000_000))

    assert "more than the 1,000,000 allowed" in result.report.unreadable[0].reason


def test_a_size_that_lies_does_not_get_past_the_limit(export: Any, run: Any):
    export.extra = {"general/2020-09-14.json": b" " * 2_000_000}
    raw = export.zip().read_bytes()
    size = struct.pack("<L", 2_000_000)
    export.zip().write_bytes(raw.replace(size, struct.pack("<L", 2)))

    result = run(export.tmp / "export.zip", limits=ExportLimits(file_max_bytes=1_000_000))

    assert [entry.file for entry in result.report.unreadable] == ["general/2020-09-14.json"]


def test_too_many_files_are_refused(export: Any):
    for path in (export.folder(), export.zip()):
        with pytest.raises(InvalidInputError, match="more than the 1 allowed"):
            read_slack_export(path, ExportLimits(files_max=1))


def test_a_damaged_file_in_a_zip_is_left_out(export: Any, run: Any):
    export.message(0, "needle")
    path = export.zip()
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("general/2020-09-13.json").header_offset
    raw = bytearray(path.read_bytes())
    raw[offset + 60 : offset + 70] = b"\xff" * 10
    path.write_bytes(raw)

    assert [entry.reason for entry in run(path).report.unreadable] == ["is damaged in the zip"]


def test_symbolic_links_are_not_followed(export: Any, run: Any, tmp_path: Path):
    path = export.folder()
    (path / "general").mkdir()
    (tmp_path / "elsewhere.json").write_text('[{"type": "message", "user": "U1", "text": "x", "ts": "1600000000.1"}]')
    (path / "general" / "2020-09-13.json").symlink_to(tmp_path / "elsewhere.json")

    assert run(path).of("message.posted") == []


def test_a_name_with_an_umlaut_is_found_where_the_zip_does_not_say_it_is_utf8(export: Any, run: Any):
    export.channel["name"] = "grün"
    export.message(0, folder="grXXn")
    path = export.zip()
    path.write_bytes(path.read_bytes().replace(b"grXXn", "grün".encode()))

    assert [data["channel_id"] for data in run(path).data("message.posted")] == [
        data["channel_id"] for data in run(path).data("channel.created")
    ]
    assert run(path).odd() == {}


def test_a_name_with_an_umlaut_is_found_where_a_mac_wrote_it_decomposed(export: Any, run: Any):
    export.channel["name"] = "grün"
    export.message(0, folder=unicodedata.normalize("NFD", "grün"))

    assert run(export.folder()).odd() == {}
    assert len(run(export.zip()).of("message.posted")) == 1


def test_a_cut_emoji_is_replaced_and_nothing_else_of_the_day_is_lost(export: Any, imported: Any):
    export.message(0, "cut \ud83d here")
    export.message(1, "fine \U0001f44d")

    assert [data["content"] for data in imported().data("message.posted")] == ["cut \ufffd here", "fine \U0001f44d"]


def test_tokens_for_downloading_are_in_no_event(export: Any, imported: Any):
    address = "https://files.slack.com/files-pri/T0ACME-F1/a.png?t=xoxe-1-2-3abc"
    export.message(
        0,
        f"see <{address}|a>",
        files=[{"id": "F1", "name": "a.png", "mimetype": "image/png", "size": 1, "url_private": address}],
        blocks=[{"type": "image", "image_url": f"{address}&amp;x=1"}],
    )

    assert b"xox" not in imported().value
    assert b"a.png" in imported().value


def test_other_files_are_reported_and_left_alone(export: Any, imported: Any):
    export.message()
    export.extra = {
        "integration_logs.json": b"not even JSON",
        "general/canvas_in_the_conversation.json": b"[]",
        "__uploads/F1/deep.json": b"[]",
    }

    assert imported().odd() == {"file integration_logs.json": 1, "file canvas_in_the_conversation.json": 1}


def test_a_folder_that_no_list_names_becomes_a_private_channel_without_members(export: Any, imported: Any):
    export.message(0, folder="FC:F1:Plans")

    result = imported()

    assert (
        result.data("channel.created")[1] | {"channel_type": "private", "name": "FC:F1:Plans"}
        == (result.data("channel.created")[1])
    )
    assert result.one("message.posted").data["channel_id"] == result.data("channel.created")[1]["channel_id"]
    assert result.odd() == {"folder_of_unlisted_conversation": 1}
