import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.producer import Draft, EventRefused, Publishable, Record
from tailrace.producer.stamping import Stamper, subject_of
from tailrace.schemas.catalogue import EVENT_TYPES
from tailrace.schemas.conversations import MessagePosted
from tailrace.schemas.decode import decode
from tailrace.schemas.directory import UserProfile
from tailrace.schemas.event import Event

Data = Callable[..., dict[str, Any]]
Samples = dict[str, dict[str, Any]]
POSTED = "collab.message.posted"
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def value_of(record: Record) -> dict[str, Any]:
    return orjson.loads(record.value)


def refusal(stamper: Stamper, event: Publishable) -> EventRefused:
    with pytest.raises(EventRefused) as caught:
        stamper.record(event)
    return caught.value


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_data_of_every_type_becomes_a_record_that_consumers_take(type_: str, stamper: Stamper, samples: Samples):
    sample = samples[type_]

    record = stamper.record({"type": type_, "data": sample["data"]})

    event = decode(record.topic.removeprefix("acme."), record.key, record.value, NOON)
    assert isinstance(event, Event)
    # A reaction changes its message; whose it is and with which emoji is told by the data.
    about_a_reaction = type_.startswith("collab.reaction.")
    assert event.subject == (sample["data"]["message_id"] if about_a_reaction else sample["subject"])
    assert event.workspaceid == sample["data"].get("workspace_id")
    assert (event.source, event.time, event.id) == ("/billing", NOON, record.event_id)
    assert uuid.UUID(event.id).version == 7


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_a_whole_event_goes_out_as_it_is(type_: str, stamper: Stamper, samples: Samples):
    record = stamper.record(samples[type_])

    assert value_of(record) == samples[type_]


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_the_fields_of_the_subject_are_required_ones(type_: str):
    required = {name: name for name, field in EVENT_TYPES[type_].model.model_fields.items() if field.is_required()}

    assert subject_of(type_, required) is not None


def test_sequences_and_ids_rise_in_the_order_of_the_calls(stamper: Stamper, message: Data):
    stamped = [value_of(stamper.record(Draft(POSTED, message()))) for _ in range(100)]

    assert [event["id"] for event in stamped] == sorted({event["id"] for event in stamped})
    sequences = [int(event["sequence"]) for event in stamped]
    assert sequences == sorted(set(sequences))


def test_what_the_caller_sets_is_kept(stamper: Stamper, message: Data):
    own = uuid.UUID(int=9)
    lisbon = timezone(timedelta(hours=1))
    attributes = {
        "id": own,
        "time": datetime(2026, 11, 20, 9, 30, 0, 250, tzinfo=lisbon),
        "sequence": 0,
        "subject": "elsewhere",
        "source": "/import",
        "correlationid": "c-1",
        "causationid": "c-0",
    }

    event = value_of(stamper.record(Draft(POSTED, message(), attributes)))

    assert event["time"] == "2026-11-20T08:30:00.000250Z"
    assert (event["id"], event["sequence"], event["subject"]) == (str(own), "0", "elsewhere")
    assert (event["source"], event["correlationid"], event["causationid"]) == ("/import", "c-1", "c-0")


def test_the_short_form_may_bring_attributes_and_extensions_of_its_own(stamper: Stamper, message: Data):
    event = value_of(stamper.record({"type": POSTED, "data": message(), "sequence": 7, "traceparent": "00-1-2-01"}))

    assert (event["sequence"], event["traceparent"], event["source"]) == ("7", "00-1-2-01", "/billing")


def test_attributes_that_are_none_are_filled_in(stamper: Stamper, message: Data):
    event = value_of(stamper.record({"type": POSTED, "data": message(), "id": None, "sequence": None}))

    assert uuid.UUID(event["id"]).version == 7
    assert int(event["sequence"]) > 0


def test_uuids_and_aware_times_in_data_are_written_as_the_contract_has_them(stamper: Stamper, message: Data):
    data = message(message_id=uuid.UUID(int=77), created_at=datetime(2026, 11, 21, 11, 0, 0, 5, tzinfo=UTC))

    event = value_of(stamper.record(Draft(POSTED, MappingProxyType(data))))

    assert event["data"]["message_id"] == event["subject"] == str(uuid.UUID(int=77))
    assert event["data"]["created_at"] == "2026-11-21T11:00:00.000005Z"


def test_a_model_that_serves_one_type_needs_no_name(stamper: Stamper, message: Data):
    event = value_of(stamper.record(MessagePosted(**message(formatted_content={"bold": None}))))

    assert event["type"] == POSTED
    assert event["data"] == message(formatted_content={"bold": None}, created_at="2026-11-21T12:00:00Z")


def test_a_model_that_serves_several_types_must_be_named(stamper: Stamper, samples: Samples):
    data = samples["collab.user.registered"]["data"]
    profile = UserProfile(**data)

    assert "collab.user.registered, collab.user.updated" in str(refusal(stamper, profile))
    assert value_of(stamper.record(Draft("collab.user.updated", profile)))["data"] == data


def test_a_refusal_names_the_field_and_never_its_value(stamper: Stamper, message: Data):
    error = refusal(stamper, Draft(POSTED, message(user_id="not-a-uuid-7311")))

    assert (error.code, error.path) == ("E_SCHEMA", "data.user_id")
    assert "7311" not in str(error)
    assert error.exit_code == 6


@pytest.mark.parametrize("field", ["message_id", "channel_id", "workspace_id", "content", "mentions", "created_at"])
def test_a_missing_field_is_named_even_when_key_or_subject_come_from_it(field: str, stamper: Stamper, message: Data):
    data = message()
    del data[field]

    error = refusal(stamper, Draft(POSTED, data))

    assert (error.code, error.path) == ("E_SCHEMA", f"data.{field}")


@pytest.mark.parametrize("attribute", ["id", "source", "subject", "time", "sequence"])
def test_nothing_is_filled_into_a_whole_event(attribute: str, stamper: Stamper, samples: Samples):
    event = {name: value for name, value in samples[POSTED].items() if name != attribute}

    error = refusal(stamper, event)

    assert (error.code, error.path) == ("E_SCHEMA", attribute)


def test_an_unknown_type_is_refused_with_the_nearest_one(stamper: Stamper, message: Data):
    error = refusal(stamper, Draft("collab.mesage.posted", message()))

    assert (error.code, error.fix) == ("E_UNKNOWN_TYPE", "did you mean collab.message.posted?")


def test_an_event_larger_than_the_contract_allows_is_refused(stamper: Stamper, message: Data):
    assert refusal(stamper, Draft(POSTED, message(content="x" * 2**20))).code == "E_SIZE"


def test_an_event_of_exactly_the_greatest_size_is_not(stamper: Stamper, message: Data):
    empty = len(stamper.record(Draft(POSTED, message(content=""))).value)

    record = stamper.record(Draft(POSTED, message(content="x" * (2**20 - empty))))

    assert len(record.value) == 2**20


@pytest.mark.parametrize(
    ("ahead", "code"), [(timedelta(minutes=10), None), (timedelta(minutes=10, seconds=1), "E_TIME")]
)
def test_times_are_judged_by_this_machines_clock(ahead: timedelta, code: str | None, stamper: Stamper, message: Data):
    draft = Draft(POSTED, message(), {"time": NOON + ahead})

    if code is None:
        stamper.record(draft)
    else:
        error = refusal(stamper, draft)
        assert (error.code, error.path) == (code, "time")
        assert "clock" in str(error.fix)


def test_a_naive_time_is_refused(stamper: Stamper, message: Data):
    error = refusal(stamper, Draft(POSTED, message(), {"time": datetime(2026, 11, 21, 12, 0)}))  # noqa: DTZ001 - the fault

    assert (error.code, error.path) == ("E_SCHEMA", "time")


@pytest.mark.parametrize("version", [2, 99])
def test_a_schemaversion_from_the_future_is_refused(version: int, stamper: Stamper, samples: Samples):
    assert refusal(stamper, samples[POSTED] | {"schemaversion": version}).code == "E_VERSION"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_hold_is_refused_instead_of_becoming_null(number: float, stamper: Stamper, message: Data):
    error = refusal(stamper, Draft(POSTED, message(formatted_content={"sizes": [1, number]})))

    assert (error.code, error.path) == ("E_SCHEMA", "data.formatted_content.sizes[1]")


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes", {1: "key"}])
def test_values_of_foreign_types_are_refused_with_their_path(value: object, stamper: Stamper, message: Data):
    error = refusal(stamper, Draft(POSTED, message(formatted_content={"value": value})))

    assert (error.code, error.path) == ("E_SCHEMA", "data.formatted_content.value")


def test_a_nesting_without_end_is_refused(stamper: Stamper, message: Data):
    endless: dict[str, object] = {}
    endless["inner"] = endless

    assert refusal(stamper, Draft(POSTED, message(formatted_content=endless))).code == "E_SCHEMA"


def test_lone_surrogates_reach_the_consumers_which_replace_them(stamper: Stamper, message: Data):
    record = stamper.record(Draft(POSTED, message(content="a\ud800b")))

    event = decode("conversations", record.key, record.value, NOON)
    assert isinstance(event, Event)
    assert event.data["content"] == "a�b"


@pytest.mark.parametrize("data", [None, [], "text", 5, {}])
def test_data_that_is_no_object_is_refused(data: object, stamper: Stamper):
    assert refusal(stamper, {"type": POSTED, "data": data}).code == "E_SCHEMA"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(metadata=st.dictionaries(st.text(), json_values, max_size=4))
def test_consumers_take_every_free_object_that_json_can_hold(stamper_of_session: Stamper, metadata: dict[str, Any]):
    data = {"workspace_id": str(uuid.UUID(int=3)), "event_type": "opened", "metadata": metadata}

    record = stamper_of_session.record({"type": "collab.activity.recorded", "data": data})

    assert isinstance(decode("activity", record.key, record.value, NOON), Event)
    assert json.loads(record.value)["data"]["metadata"] == metadata
