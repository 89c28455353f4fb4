"""Segments: every byte comes back, nothing is overwritten, damage is noticed."""

from pathlib import Path

import pytest

from tailrace.archiving.archive import Archive
from tailrace.archiving.segments import ArchivedRecord, Manifest, file_of, manifests, read, unfinished, write
from tailrace.errors import PreconditionError
from tailrace.settings import Settings

RECORDS = [
    ArchivedRecord(2, 10, 1_700_000_000_000, b"key", b"\xf0\x9f\x91\x8d \\u0000", (("a", b"\xff"), ("b", b""))),
    ArchivedRecord(2, 11, 1_700_000_000_001, None, None),
    ArchivedRecord(2, 12, 1_700_000_000_001, b"\xff\x00", b"\xed\xa0\x80 no UTF-8\n", (("c", None),)),
    ArchivedRecord(2, 13, 1_700_000_000_002, b"", b"\x00\r\n\xe2\x80\xa8"),
]  # fmt: skip


def put(folder: Path, records: list[ArchivedRecord] = RECORDS, end: int = 14) -> Manifest:
    return write(folder, "t.files", records, range(records[0].offset, end), "2026-11-21T00:00:00+00:00")[0]


def archive(folder: Path) -> Archive:
    return Archive(Settings(_env_file=None, kafka={"topic_prefix": "t."}), folder)


def test_every_byte_of_every_record_comes_back(tmp_path: Path):
    manifest = put(tmp_path)
    assert list(read(tmp_path, manifest)) == RECORDS
    assert (manifest.records, manifest.first_timestamp, manifest.last_timestamp) == (
        4, 1_700_000_000_000, 1_700_000_000_002,
    )  # fmt: skip
    assert manifests(tmp_path, "t.files", 2) == [manifest]


def test_what_is_written_first_counts_and_stays(tmp_path: Path):
    first = put(tmp_path)
    assert put(tmp_path) == first
    assert put(tmp_path, RECORDS[:2], 12) == first
    assert write(tmp_path, "t.files", RECORDS, range(10, 14), "later")[1] is False
    assert manifests(tmp_path, "t.files", 2) == [first]
    assert unfinished(tmp_path) == 0


def test_a_segment_without_its_manifest_is_no_part_of_the_archive(tmp_path: Path):
    manifest = put(tmp_path)
    file_of(tmp_path, manifest).with_name(f"{10:020}.manifest.json").unlink()
    assert archive(tmp_path).first_offset("files", 2) is None
    assert put(tmp_path) == manifest


def test_a_changed_file_is_not_read(tmp_path: Path):
    manifest = put(tmp_path)
    path = file_of(tmp_path, manifest)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(PreconditionError, match="checksum"):
        list(read(tmp_path, manifest))


def test_segments_are_read_as_one_and_a_gap_is_said(tmp_path: Path):
    put(tmp_path, RECORDS[:2], 12)
    put(tmp_path, RECORDS[2:], 14)
    assert [record.offset for record in archive(tmp_path).read("files", 2, 11, 13)] == [11, 12]
    later = [replace_offset(record, record.offset + 10) for record in RECORDS]
    put(tmp_path, later, 24)
    with pytest.raises(PreconditionError, match="offsets 14 to 23"):
        list(archive(tmp_path).read("files", 2, 10, 24))


def replace_offset(record: ArchivedRecord, offset: int) -> ArchivedRecord:
    return record._replace(offset=offset)


def test_a_manifest_of_a_newer_form_is_refused(tmp_path: Path):
    manifest = put(tmp_path)
    path = file_of(tmp_path, manifest).with_name(f"{10:020}.manifest.json")
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(PreconditionError, match="newer"):
        manifests(tmp_path, "t.files", 2)
