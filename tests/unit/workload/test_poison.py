"""Every poison class gets the code it promises, and nothing else is refused."""

from datetime import UTC, datetime, timedelta

import pytest

from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event, Refusal
from tailrace.workload import Generated, Summary, generate, named_profile
from tailrace.workload.dice import Dice
from tailrace.workload.faults import add_poison
from tailrace.workload.poison import ACCEPTED, IGNORED, POISON, PoisonClass, poison_record

START = datetime(2026, 10, 20, tzinfo=UTC)
APPENDED = START + timedelta(days=21)


@pytest.fixture(scope="module")
def donor() -> Generated:
    posts = generate(named_profile("messages", start=START, events=2_000))
    return next(record for record in posts if record.type == "collab.message.posted")


def outcome(record: Generated) -> str:
    decoded = decode(record.topic, record.key, record.value, APPENDED)
    if decoded is None:
        return IGNORED
    return ACCEPTED if isinstance(decoded, Event) else str(decoded.code)


@pytest.mark.parametrize("kind", POISON, ids=lambda kind: kind.name)
def test_a_class_is_refused_with_its_code(kind: PoisonClass, donor: Generated):
    record = poison_record(kind, donor, Dice("test"))

    assert outcome(record) == kind.outcome == record.expected


@pytest.mark.parametrize("name", ["nul_escape", "lone_surrogate_escape"])
def test_characters_that_no_store_holds_are_replaced(name: str, donor: Generated):
    kind = next(kind for kind in POISON if kind.name == name)
    record = poison_record(kind, donor, Dice("test"))

    event = decode(record.topic, record.key, record.value, APPENDED)

    assert isinstance(event, Event)
    assert event.data["content"] == "odd \ufffd and \ufffd text"


def test_the_limit_of_one_mebibyte_is_met_to_the_byte(donor: Generated):
    sizes = {kind.name: len(poison_record(kind, donor, Dice("test")).value or b"") for kind in POISON}

    assert sizes["just_one_mebibyte"] == 2**20
    assert sizes["over_one_mebibyte"] == 2**20 + 1


def test_the_demo_has_every_class_and_says_what_must_be_refused(demo: list[Generated], demo_summary: Summary):
    poison = [record for record in demo if record.fault == "poison"]

    assert {record.poison for record in poison} == {kind.name for kind in POISON}
    assert all(outcome(record) == record.expected for record in poison)
    assert sum(demo_summary.refusals.values()) == sum(r.expected.startswith("E_") for r in poison)


def test_poison_lies_in_the_middle_of_a_channel_that_goes_on(demo: list[Generated]):
    places = [index for index, record in enumerate(demo) if record.poison == "truncated_json"]

    assert places
    for place in places:
        key = demo[place].key
        assert any(record.key == key for record in demo[:place])
        assert any(record.key == key for record in demo[place + 1 :])


@pytest.mark.slow
def test_everything_that_is_not_poison_is_decoded(demo: list[Generated]):
    refused = [
        decoded
        for record in demo
        if record.fault != "poison"
        and isinstance(decoded := decode(record.topic, record.key, record.value, APPENDED), Refusal | None)
    ]

    assert refused == []


def test_a_stream_that_ends_early_still_gets_all_its_poison(donor: Generated):
    made = list(add_poison([donor] * 5, 1_000_000, 7, Dice("test")))

    assert sum(record.fault == "poison" for record in made) == 7
