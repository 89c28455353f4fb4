"""Which version of a type's data goes out, and what a producer of an old one is told."""

import json
import warnings
from typing import Any

import orjson
import pytest

from tailrace.contract.event_schemas import sample
from tailrace.producer import Draft, EventRefused, Producer, Record
from tailrace.producer.stamping import Stamper
from tailrace.schemas.catalogue import EVENT_TYPES
from tailrace.schemas.directory import IntegrationStateV1
from tailrace.settings import Settings

INSTALLED = "collab.integration.installed"
OLD = r"collab\.integration\.installed: version {} is old, publish version 3; from 2027-11-30 on the SDK may refuse it"


def version_in(record: Record) -> int | None:
    found: int | None = orjson.loads(record.value).get("schemaversion")
    return found


def test_data_of_the_newest_version_goes_out_as_that_without_a_word(stamper: Stamper):
    assert version_in(stamper.record({"type": INSTALLED, "data": sample(INSTALLED, 3)["data"]})) == 3


@pytest.mark.parametrize("version", [1, 2])
def test_data_of_an_old_version_goes_out_as_that_with_a_warning(version: int, stamper: Stamper):
    with pytest.warns(DeprecationWarning, match=OLD.format(version)):
        record = stamper.record({"type": INSTALLED, "data": sample(INSTALLED, version)["data"]})

    assert version_in(record) == version
    assert record.key == sample(INSTALLED)["data"]["workspace_id"].encode()


@pytest.mark.parametrize("without", [(), ("schemaversion",)])
def test_a_whole_event_of_version_1_goes_out_as_it_is_with_a_warning(without: tuple[str, ...], stamper: Stamper):
    event = {name: value for name, value in sample(INSTALLED, 1).items() if name not in without}

    with pytest.warns(DeprecationWarning, match=OLD.format(1)):
        record = stamper.record(event)

    assert json.loads(record.value) == event


def test_a_model_of_an_old_version_says_which_it_is(stamper: Stamper):
    data = IntegrationStateV1.model_validate(sample(INSTALLED, 1)["data"])

    with pytest.warns(DeprecationWarning, match=OLD.format(1)):
        record = stamper.record(Draft(INSTALLED, data))

    assert version_in(record) == 1


def test_a_model_of_the_newest_version_needs_no_word_about_it(stamper: Stamper):
    data = EVENT_TYPES[INSTALLED].model.model_validate(sample(INSTALLED)["data"])

    assert version_in(stamper.record(Draft(INSTALLED, data))) == 3


def test_data_that_fits_no_version_is_refused_for_what_the_newest_asks(stamper: Stamper):
    data = sample(INSTALLED)["data"]
    del data["health"]["status"]

    with pytest.raises(EventRefused) as caught:
        stamper.record({"type": INSTALLED, "data": data})

    assert (caught.value.code, caught.value.path) == ("E_SCHEMA", "data.health.status")


def test_a_version_that_the_caller_names_is_the_one_that_is_checked(stamper: Stamper):
    event: dict[str, Any] = {"type": INSTALLED, "data": sample(INSTALLED, 1)["data"], "schemaversion": 3}

    with pytest.raises(EventRefused) as caught:
        stamper.record(event)

    assert caught.value.path == "data.app"


def test_a_type_with_one_version_goes_out_without_a_number(stamper: Stamper):
    assert (
        version_in(stamper.record({"type": "collab.user.erased", "data": sample("collab.user.erased")["data"]})) is None
    )


async def test_the_warning_names_the_line_that_publishes():
    producer = Producer(Settings(), source="/tests", bootstrap_servers="nowhere:1")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        producer.validate(sample(INSTALLED, 1))

    assert [warning.filename for warning in caught] == [__file__]
