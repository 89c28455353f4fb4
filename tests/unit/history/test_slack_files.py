"""Files and their shares."""

from typing import Any

FILE = {
    "id": "F1",
    "name": "a.png",
    "title": "Plan",
    "mimetype": "image/png",
    "size": 5,
    "created": 1_599_999_990,
    "user": "U2",
}


def test_a_file_is_uploaded_before_it_is_shared(export: Any, imported: Any):
    export.message(0, "look", files=[FILE | {"initial_comment": {"comment": "draft"}}])

    result = imported()
    uploaded, shared, posted = result.one("file.uploaded"), result.one("file.shared"), result.one("message.posted")

    assert result.events.index(uploaded) < result.events.index(posted) < result.events.index(shared)
    assert uploaded.time.timestamp() == 1_599_999_990
    assert (
        uploaded.data
        | {
            "uploader_id": result.user_id("bob"),
            "filename": "Plan",
            "original_filename": "a.png",
            "file_size": 5,
            "mime_type": "image/png",
            "file_hash": "slack:T0ACME:F1",
            "storage_provider": "slack",
            "is_public": False,
        }
        == uploaded.data
    )
    assert shared.data | {"message_id": posted.data["message_id"], "file_comment": "draft"} == shared.data
    assert posted.data["file_ids"] == [uploaded.data["file_id"]]


def test_a_file_shared_twice_is_uploaded_once(export: Any, imported: Any):
    export.message(0, files=[FILE])
    export.message(1, files=[FILE, FILE])

    assert len(imported().of("file.uploaded")) == 1
    assert len(imported().of("file.shared")) == 2
    assert imported().report.found["files"] == 1
    assert imported().report.found["file_shares"] == 2


def test_exports_from_before_2018_have_one_file_under_another_name(export: Any, imported: Any):
    export.message(0, subtype="file_share", upload=True, file=FILE)
    export.message(1, subtype="file_comment", file=FILE, comment={"user": "U1", "comment": "nice"})

    assert len(imported().of("file.shared")) == 1


def test_a_deleted_file_is_uploaded_shared_and_deleted(export: Any, imported: Any):
    export.message(0, files=[{"id": "F1", "mode": "tombstone"}])

    result = imported()

    assert result.one("file.deleted").sequence > result.one("file.uploaded").sequence
    assert result.one("file.uploaded").data["filename"] == "F1"
    assert result.one("file.uploaded").time == result.one("message.posted").time
    assert result.odd() == {}


def test_what_a_file_lacks_is_assumed_and_counted(export: Any, imported: Any):
    export.message(0, files=[{"id": "F1", "mode": "hidden_by_limit"}, {"id": "F2", "size": -1}, {"no": "id"}])

    result = imported()

    assert (
        result.data("file.uploaded")[0]
        | {
            "file_size": 0,
            "mime_type": "application/octet-stream",
            "uploader_id": result.user_id("ada"),
        }
        == result.data("file.uploaded")[0]
    )
    assert result.odd() == {"file_hidden": 1, "file_without_size_or_type": 1}


def test_a_file_elsewhere_names_its_provider(export: Any, imported: Any):
    address = "https://docs.google.test/d/1?usp=x"
    export.message(0, files=[FILE | {"is_external": True, "external_type": "gdrive", "url_private": address}])

    uploaded = imported().one("file.uploaded").data

    assert (uploaded["storage_provider"], uploaded["storage_key"]) == ("gdrive", "https://docs.google.test/d/1")
