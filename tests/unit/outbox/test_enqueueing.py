"""What the helper sends to the database, before any database is there."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tailrace.errors import InvalidInputError
from tailrace.outbox import Outbox
from tailrace.outbox.texts import script, statements
from tailrace.producer import EventRefused

NOW_US = 1_795_000_000_000_000
CHANNEL, WORKSPACE = "0199c1d2-0030-7000-8000-000000000001", "0199c1d2-0010-7000-8000-000000000001"
DATA = {"channel_id": CHANNEL, "workspace_id": WORKSPACE}


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(source="/billing", now_us=lambda: NOW_US)


def arguments(outbox: Outbox, *event: Any, **attributes: Any) -> dict[str, Any]:
    from tailrace.outbox.enqueueing import _ARGUMENTS

    return dict(zip(_ARGUMENTS, outbox.arguments(*event, **attributes), strict=True))


def test_what_is_not_given_is_left_to_the_database_except_the_id(outbox: Outbox):
    found = arguments(outbox, "collab.channel.archived", DATA)

    assert (found["time"], found["sequence"]) == (None, None)
    assert (found["subject"], found["source"], found["schemaversion"]) == (CHANNEL, "/billing", 1)
    assert found["workspaceid"] == UUID(WORKSPACE)
    assert found["id"].version == 7
    assert json.loads(found["data"]) == DATA


def test_what_is_given_stays(outbox: Outbox):
    at = datetime(2026, 11, 1, 12, tzinfo=UTC)

    found = arguments(outbox, "collab.channel.archived", DATA, time=at, sequence=7, subject="s", correlationid="c")

    assert (found["time"], found["sequence"], found["subject"], found["correlationid"]) == (at, 7, "s", "c")


def test_an_event_that_does_not_fit_never_reaches_the_database(outbox: Outbox):
    with pytest.raises(EventRefused) as refused:
        outbox.arguments("collab.channel.archived", {**DATA, "channel_id": "x"})

    assert refused.value.path == "data.channel_id"


def test_text_that_postgresql_cannot_hold_travels_escaped(outbox: Outbox):
    data = {"workspace_id": WORKSPACE, "event_type": "x", "metadata": {"text": "a\0b\ud800c", "number": 10**30}}

    found = arguments(outbox, "collab.activity.recorded", data)

    assert found["data"].isascii()
    assert r"\u0000" in found["data"]
    assert json.loads(found["data"]) == data


def test_the_schema_is_named_everywhere_and_quoted():
    texts = [script("install", "Shop"), script("uninstall", "Shop"), *statements("Shop").values()]

    assert not any("{schema}" in text for text in texts)
    assert sum('"Shop".' in text for text in texts) == len(texts) - 1  # the horizon is the server's


@pytest.mark.parametrize("name", ["", 'a"b', "a'b", "a;b", "1a", "a" * 64, "$function$"])
def test_a_name_that_would_end_a_literal_is_refused(name: str):
    with pytest.raises(InvalidInputError):
        script("install", name)
