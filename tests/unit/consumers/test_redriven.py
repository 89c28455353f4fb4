"""The headers by which a redriven record is known."""

import pytest

from tailrace.consumers.batch import Record
from tailrace.consumers.redriven import redrive_headers, redriven_from


def record(*headers: tuple[str, bytes]) -> Record:
    return Record("collab.conversations", 3, 90, 0, b"k", b"v", headers)


def test_a_redriven_record_names_its_letter_and_keeps_its_own_headers():
    headers = redrive_headers((("content-type", b"application/cloudevents+json"),), ("collab.files", 3, 17), 2)
    assert headers[0] == ("content-type", b"application/cloudevents+json")
    assert dict(headers)["tr-attempt"] == b"2"
    assert redriven_from(record(*headers)) == ("collab.files", 3, 17)


def test_a_record_that_is_redriven_again_names_one_letter_and_one_attempt():
    once = redrive_headers((), ("collab.files", 3, 17), 2)
    twice = redrive_headers(tuple(once), ("collab.files", 3, 18), 3)
    assert twice == [("tr-attempt", b"3"), ("tr-redriven-from", b"collab.files/3/18")]


@pytest.mark.parametrize(
    "value", [b"", b"\xff", b"a/b/c", b"a/1", b"a/1/", b"a/-1/2", b"a/1/2/3", b"a/1/9999999999999999999"]
)
def test_anything_else_in_the_header_means_nothing(value: bytes):
    assert redriven_from(record(("tr-redriven-from", value))) is None
