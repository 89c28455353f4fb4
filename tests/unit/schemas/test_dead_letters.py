"""The headers of a dead letter, as the tools of others decode them."""

from datetime import UTC, datetime

import pytest

from tailrace.schemas.dead_letters import DeadLetter, dead_letter_headers

APPENDED = datetime(2026, 11, 20, 12, 4, 31, 201_000, tzinfo=UTC)
FAILED = datetime(2026, 11, 20, 12, 4, 32, tzinfo=UTC)


def headers(*, code: str = "E_SCHEMA", appended_at: datetime | None = APPENDED) -> dict[str, bytes]:
    letter = DeadLetter(
        topic="collab.conversations",
        partition=3,
        offset=2**40 + 1,
        headers=(("content-type", b"application/cloudevents+json"), ("trace", b"\xff\x00")),
        code=code,
        reason="data.content: missing",
        projection="postgres",
        attempts=2,
        first_failed_at=FAILED,
        appended_at=appended_at,
    )
    return dict(dead_letter_headers(letter))


def test_the_records_own_headers_are_kept_as_they_were():
    assert headers()["content-type"] == b"application/cloudevents+json"
    assert headers()["trace"] == b"\xff\x00"


def test_ours_say_what_is_wrong_and_how_often_it_was_tried():
    ours = {name: value for name, value in headers().items() if name.startswith("tr-")}
    assert ours == {
        "tr-code": b"E_SCHEMA",
        "tr-reason": b"data.content: missing",
        "tr-projection": b"postgres",
        "tr-attempt": b"2",
        "tr-first-failed-at": b"2026-11-20T12:04:32.000000Z",
    }


def test_connect_reads_numbers_as_decimal_text():
    found = headers()
    assert found["__connect.errors.topic"] == b"collab.conversations"
    assert found["__connect.errors.partition"] == b"3"
    assert found["__connect.errors.offset"] == b"1099511627777"
    assert found["__connect.errors.exception.message"] == b"data.content: missing"


@pytest.mark.parametrize(("code", "stage"), [("E_SCHEMA", b"VALUE_CONVERTER"), ("E_STORE", b"TASK_PUT")])
def test_connect_is_told_whether_it_was_the_record_or_the_store(code: str, stage: bytes):
    assert headers(code=code)["__connect.errors.stage"] == stage


def test_spring_reads_four_and_eight_bytes_big_endian():
    found = headers()
    assert found["kafka_dlt-original-topic"] == b"collab.conversations"
    assert found["kafka_dlt-original-partition"] == bytes([0, 0, 0, 3])
    assert found["kafka_dlt-original-offset"] == bytes([0, 0, 1, 0, 0, 0, 0, 1])
    assert found["kafka_dlt-exception-message"] == b"data.content: missing"


def test_springs_timestamp_is_that_of_the_original_record():
    assert int.from_bytes(headers()["kafka_dlt-original-timestamp"], "big") == 1_795_176_271_201
    assert int.from_bytes(headers(appended_at=None)["kafka_dlt-original-timestamp"], "big") == 1_795_176_272_000
