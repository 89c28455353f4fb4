"""Is this the log that was applied? Positions outside of it, and another record at the last position, halt."""

import pytest

from tailrace.consumers.batch import Record, TopicPartition
from tailrace.consumers.errors import HaltError
from tailrace.consumers.progress import Claim, check_fingerprint, check_position, fingerprint

PLACE = TopicPartition("x.files", 2)
APPLIED = Record("x.files", 2, 9, 1_000, b"key", b"value")


def claim(next_offset: int = 10, mark: str | None = None) -> Claim:
    return Claim(PLACE, next_offset, 1, mark, None)


@pytest.mark.parametrize("next_offset", [5, 10, 20])
def test_a_position_in_the_log_or_at_either_end_of_it_is_right(next_offset: int):
    check_position(claim(next_offset), {PLACE: 5}, {PLACE: 20})


@pytest.mark.parametrize(("next_offset", "code"), [(4, "H_RETENTION"), (21, "H_TRUNCATED")])
def test_a_position_outside_of_the_log_halts_with_its_code(next_offset: int, code: str):
    with pytest.raises(HaltError) as halted:
        check_position(claim(next_offset), {PLACE: 5}, {PLACE: 20})

    assert (halted.value.partition, halted.value.code) == (PLACE, code)


@pytest.mark.parametrize(
    "other",
    [
        APPLIED._replace(offset=8),
        APPLIED._replace(timestamp_ms=1_001),
        APPLIED._replace(key=b"kez"),
        APPLIED._replace(key=None),
        APPLIED._replace(value=b"valuf"),
        APPLIED._replace(value=None),
    ],
)
def test_another_record_at_the_last_position_halts(other: Record):
    with pytest.raises(HaltError) as halted:
        check_fingerprint(claim(mark=fingerprint(APPLIED)), other)

    assert halted.value.code == "H_OTHER_LOG"


def test_the_record_that_was_applied_and_a_claim_without_a_mark_go_on():
    check_fingerprint(claim(mark=fingerprint(APPLIED)), APPLIED._replace(headers=(("later", b"1"),)))
    check_fingerprint(claim(mark=None), APPLIED)
