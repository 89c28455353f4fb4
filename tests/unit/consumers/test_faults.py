"""Which errors are an event's, and what they may say about it."""

import asyncpg
import pytest

from tailrace.consumers.errors import RefusedByStoreError
from tailrace.consumers.faults import fault_of
from tailrace.errors import PreconditionError
from tailrace.projections.registers import moment
from tailrace.schemas.refusals import RefusalCode


def test_a_failing_fold_is_named_by_kind_and_place_and_not_by_its_message():
    with pytest.raises(ValueError, match="a secret") as raised:
        moment("a secret")
    fault = fault_of(raised.value)
    assert fault is not None
    assert fault.code is RefusalCode.E_PROJECTION
    assert fault.reason.startswith("ValueError at projections/registers.py:")
    assert "secret" not in fault.reason


def test_what_the_store_cannot_hold_is_named_by_its_state():
    fault = fault_of(asyncpg.ProgramLimitExceededError("index row size 5000 exceeds …"))
    assert fault == (RefusalCode.E_STORE, "the store refused it: ProgramLimitExceededError (54000)")
    assert fault_of(RefusedByStoreError("400", "mapper_parsing_exception")) == (
        RefusalCode.E_STORE,
        "the store refused it: mapper_parsing_exception (400)",
    )


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UndefinedTableError("relation does not exist"),
        asyncpg.InsufficientPrivilegeError("permission denied"),
        asyncpg.DiskFullError("no space left"),
        PreconditionError("schema behind"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_would_hit_every_event_is_none_of_them(error: Exception):
    assert fault_of(error) is None
