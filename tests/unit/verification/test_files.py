"""Files and shares (rule P; 29-31, 46, 47, 49)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tailrace.verification.fold_log import OneOf

Fold = Callable[..., Any]
At = Callable[[str], datetime]


def test_upload_processing_and_scan_are_registers_of_their_own(given: Any, folded_in_any_order: Fold):
    upload = given.uploaded(seq=9)
    row = folded_in_any_order(
        upload, given.file("file.processed", seq=1), given.file("file.scanned", seq=2, virus_scan_result="ok")
    ).file()
    assert (row["filename"], row["processing_status"], row["extracted_text"]) == ("plan.pdf", "completed", "text")
    assert (row["virus_scan_status"], row["virus_scan_result"], row["created_at"]) == ("clean", "ok", upload.time)


def test_a_status_before_its_first_event_is_pending_or_unknown(given: Any, folded: Fold):
    row = folded(given.uploaded()).file()
    assert row["processing_status"] == row["virus_scan_status"] == OneOf((None, "pending"))


def test_the_highest_upload_gives_the_columns_and_the_lowest_created_at(given: Any, folded_in_any_order: Fold):
    first = given.uploaded(seq=1)
    row = folded_in_any_order(given.uploaded(seq=2, filename="new.pdf"), first).file()
    assert (row["filename"], row["created_at"]) == ("new.pdf", first.time)


@pytest.mark.parametrize("name", ["file.processed", "file.scanned", "file.accessed", "file.deleted"])
def test_events_about_a_file_that_was_never_uploaded_lead_to_nothing(given: Any, folded: Fold, name: str):
    tables = folded(given.posted(), given.file(name), given.shared())
    assert (tables["files"], tables["message_files"]) == ({}, {})


def test_accesses_are_counted_by_event_and_seen_at_the_newest_time(given: Any, folded_in_any_order: Fold, time: At):
    row = folded_in_any_order(
        given.file("file.accessed", seq=5, time="13:00"),
        given.file("file.accessed", seq=5, time="14:00"),
        given.file("file.accessed", seq=1, time="12:00"),
        given.uploaded(),
    ).file()
    assert (row["download_count"], row["last_accessed_at"]) == (3, time("14:00"))


def test_a_deletion_before_the_upload_waits_for_it(given: Any, folded_in_any_order: Fold):
    deletion = given.file("file.deleted", seq=1)
    assert folded_in_any_order(deletion, given.uploaded(seq=2)).file()["deleted_at"] == deletion.time


def test_updated_at_of_a_file_does_not_move_with_accesses(given: Any, folded_in_any_order: Fold, time: At):
    row = folded_in_any_order(
        given.uploaded(time="10:00"),
        given.file("file.scanned", time="10:30"),
        given.file("file.accessed", time="11:00"),
    ).file()
    assert row["updated_at"] == time("10:30")


@pytest.mark.parametrize("name", ["file.processed", "file.scanned", "file.deleted"])
def test_each_register_of_a_file_moves_updated_at(given: Any, folded_in_any_order: Fold, time: At, name: str):
    row = folded_in_any_order(given.uploaded(time="12:00"), given.file(name, time="13:00")).file()
    assert row["updated_at"] == time("13:00")


def test_files_of_an_erased_uploader_are_deleted_and_their_other_columns_open(given: Any, folded_in_any_order: Fold):
    erasure = given.erased("ana")
    assert folded_in_any_order(given.uploaded(), erasure).file() == {"deleted_at": erasure.time}
    deletion = given.file("file.deleted")
    assert folded_in_any_order(given.uploaded(), deletion, erasure).file() == {"deleted_at": deletion.time}


# ── shares ──
def test_a_share_before_upload_and_post_is_there_when_both_came(given: Any, folded_in_any_order: Fold):
    share = given.shared(file_comment="look")
    tables = folded_in_any_order(share, given.uploaded(), given.posted())
    assert tables.row("message_files", "m1", "f1") == {
        "channel_id": "c1",
        "file_comment": "look",
        "attached_at": share.time,
    }
    assert tables.message()["has_files"] is True


@pytest.mark.parametrize("missing", ["upload", "post"])
def test_a_share_waits_for_both(given: Any, folded: Fold, missing: str):
    other = given.posted() if missing == "upload" else given.uploaded()
    assert folded(given.shared(), other)["message_files"] == {}


def test_announced_files_attach_nothing(given: Any, folded: Fold):
    tables = folded(given.uploaded(), given.posted(file_ids=["f1"]))
    assert (tables.message()["has_files"], tables["message_files"]) == (False, {})


def test_unsharing_leaves_no_row(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.uploaded(), given.posted(), given.shared(seq=2), given.shared(seq=3, name="file.unshared")
    )
    assert (tables.message()["has_files"], tables["message_files"]) == (False, {})


def test_shares_of_two_messages_are_two_registers(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.uploaded(),
        given.posted("m1"),
        given.posted("m2", channel_id="c2"),
        given.shared(message_id="m1", seq=1),
        given.shared(message_id="m2", channel_id="c2", seq=1),
        given.shared(message_id="m1", seq=2, name="file.unshared"),
    )
    assert set(tables["message_files"]) == {("m2", "f1")}
    assert (tables.message("m1")["has_files"], tables.message("m2")["has_files"]) == (False, True)


@pytest.mark.parametrize(("name", "more"), [("file.deleted", {}), ("file.scanned", {"virus_scan_status": "infected"})])
def test_deleted_and_infected_files_stay_attached_but_are_not_counted(
    given: Any, folded_in_any_order: Fold, name: str, more: dict[str, Any]
):
    tables = folded_in_any_order(given.uploaded(), given.posted(), given.shared(), given.file(name, **more))
    assert (tables.message()["has_files"], set(tables["message_files"])) == (False, {("m1", "f1")})


def test_one_live_file_is_enough(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.uploaded("f1"),
        given.uploaded("f2"),
        given.posted(),
        given.shared("f1"),
        given.shared("f2"),
        given.file("file.deleted", "f1"),
    )
    assert tables.message()["has_files"] is True


def test_the_file_of_an_erased_uploader_is_not_counted_on_anothers_message(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(
        given.uploaded(uploader_id="ana"), given.posted(user_id="bo"), given.shared(), given.erased("ana")
    )
    assert tables.message()["has_files"] is False


def test_a_file_that_may_have_expired_leaves_has_files_and_deleted_at_open(given: Any, folded: Fold, time: At):
    expiring = given.uploaded("f1", expires_at=time("23:00"))
    tables = folded(expiring, given.posted(), given.shared("f1"))
    assert tables.message()["has_files"] == OneOf((False, True))
    assert "deleted_at" not in tables.file("f1")
    tables = folded(expiring, given.posted(), given.shared("f1"), given.uploaded("f2"), given.shared("f2"))
    assert tables.message()["has_files"] is True


def test_a_deleted_message_keeps_its_files(given: Any, folded_in_any_order: Fold):
    tables = folded_in_any_order(given.uploaded(), given.posted(), given.shared(), given.about("message.deleted"))
    assert (set(tables["message_files"]), tables.message()["has_files"]) == ({("m1", "f1")}, True)
