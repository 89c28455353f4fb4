"""SEMANTICS, cases 52 to 55: files."""

import pytest
from contract_events import Given, at
from worlds import Tell


async def test_52_a_share_waits_for_its_file_and_its_message(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.uploaded("f1"), given.posted("m1"), given.shared("f1", "m1", time="12:30", file_comment="see")
    )

    assert rows.message()["has_files"] is True
    assert rows["message_files"] == {
        ("m1", "f1"): {
            "message_id": "m1",
            "file_id": "f1",
            "channel_id": "c1",
            "file_comment": "see",
            "attached_at": at("12:30"),
        }
    }
    assert rows.parked() == set()


@pytest.mark.parametrize("present", ["file", "message", "neither"])
async def test_52_a_share_into_or_of_the_unknown_waits(given: Given, told: Tell, present: str):
    known = {"file": [given.uploaded("f1")], "message": [given.posted("m1")], "neither": []}[present]
    rows = await told(*known, given.shared("f1", "m1", id="waiting"))

    assert rows.parked() == {"waiting"}
    assert rows["message_files"] == {}


async def test_52_processing_scan_access_and_deletion_wait_for_the_upload(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.uploaded("f1", seq=1, time="12:01", tags=["a", "b"], expires_at="2026-12-01T00:00:00Z"),
        given.file("processed", seq=2, time="12:02", thumbnails={"s": "x"}),
        given.file("scanned", seq=3, time="12:03", virus_scan_result="fine"),
        given.file("accessed", seq=4, time="12:04"),
        given.file("deleted", seq=5, time="12:05"),
    )

    assert rows.parked() == set()
    assert rows.file() == {
        "workspace_id": "w1",
        "file_id": "f1",
        "uploader_id": "ana",
        "filename": "plan.pdf",
        "original_filename": "Plan.pdf",
        "file_size": 10,
        "mime_type": "application/pdf",
        "file_hash": "0",
        "storage_provider": "s3",
        "storage_bucket": "b",
        "storage_key": "k",
        "storage_region": None,
        "processing_status": "completed",
        "thumbnails": {"s": "x"},
        "extracted_text": "text",
        "is_public": False,
        "virus_scan_status": "clean",
        "virus_scan_result": "fine",
        "tags": ["a", "b"],
        "download_count": 1,
        "last_accessed_at": at("12:04"),
        "created_at": at("12:01"),
        "updated_at": at("12:05"),
        "expires_at": at("2026-12-01T00:00"),
        "deleted_at": at("12:05"),
    }


async def test_accesses_count_by_event_and_the_last_is_the_greatest_time(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.uploaded("f1"),
        given.file("accessed", time="12:40"),
        given.file("accessed", time="12:30", user_id="bo"),
        given.file("accessed", time="12:20", user_id="bo"),
    )

    assert (rows.file()["download_count"], rows.file()["last_accessed_at"]) == (3, at("12:40"))


async def test_53_shared_into_a_second_channel_and_unshared_from_the_first(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.uploaded("f1"),
        given.posted("m1"),
        given.posted("m2", channel_id="c2"),
        given.shared("f1", "m1", seq=1),
        given.shared("f1", "m2", channel_id="c2", seq=2),
        given.shared("f1", "m1", kind="unshared", seq=3),
    )

    assert set(rows["message_files"]) == {("m2", "f1")}
    assert (rows.message("m1")["has_files"], rows.message("m2")["has_files"]) == (False, True)


async def test_53_shared_again_after_unsharing_is_shared(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.uploaded("f1"),
        given.posted("m1"),
        given.shared("f1", "m1", seq=1, file_comment="first"),
        given.shared("f1", "m1", kind="unshared", seq=2),
        given.shared("f1", "m1", seq=3, file_comment="again"),
    )

    assert rows.row("message_files", "m1", "f1")["file_comment"] == "again"
    assert rows.message()["has_files"] is True


async def test_53_one_of_two_files_is_enough(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.uploaded("f1"),
        given.uploaded("f2"),
        given.posted("m1"),
        given.shared("f1", "m1"),
        given.shared("f2", "m1"),
        given.file("deleted", "f1"),
    )

    assert rows.message()["has_files"] is True
    assert set(rows["message_files"]) == {("m1", "f1"), ("m1", "f2")}


@pytest.mark.parametrize(("kind", "data"), [("scanned", {"virus_scan_status": "infected"}), ("deleted", {})])
async def test_54_an_infected_or_deleted_file_is_none_to_show_and_its_share_stays(
    given: Given, told_in_any_order: Tell, kind: str, data: dict[str, str]
):
    rows = await told_in_any_order(
        given.uploaded("f1"), given.posted("m1"), given.shared("f1", "m1"), given.file(kind, **data)
    )

    assert rows.message()["has_files"] is False
    assert set(rows["message_files"]) == {("m1", "f1")}


async def test_54_found_clean_by_a_later_scan_it_shows_again(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.uploaded("f1"),
        given.posted("m1"),
        given.shared("f1", "m1"),
        given.file("scanned", seq=2, virus_scan_status="infected"),
        given.file("scanned", seq=3, virus_scan_status="clean"),
    )

    assert (rows.message()["has_files"], rows.file()["virus_scan_status"]) == (True, "clean")


async def test_55_the_end_of_a_file_passes_without_an_event(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.uploaded("f1", expires_at="2020-01-01T00:00:00Z"), given.posted("m1"), given.shared("f1", "m1")
    )

    assert rows.file()["expires_at"] == at("2020-01-01T00:00")
    assert rows.file()["deleted_at"] is None


async def test_a_share_into_another_id_of_a_message_is_one_into_the_message(given: Given, told_in_any_order: Tell):
    first = given.posted("m1", client_msg_id="c")
    retry = given.posted("m2", client_msg_id="c")
    rows = await told_in_any_order(first, retry, given.uploaded("f1"), given.shared("f1", "m2"), keep=[first, retry])

    assert set(rows["message_files"]) == {("m1", "f1")}
    assert rows.message("m1")["has_files"] is True


async def test_file_ids_of_a_message_attach_nothing(given: Given, told_across_keys: Tell):
    rows = await told_across_keys(given.uploaded("f1"), given.posted("m1", file_ids=["f1"]))

    assert rows.message()["has_files"] is False
    assert rows["message_files"] == {}
