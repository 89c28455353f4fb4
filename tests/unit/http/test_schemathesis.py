"""Whatever a program makes of the interface's own description, it is answered as described, and never with a 500."""

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tailrace.http.app import Surroundings, create_app
from tailrace.http.bodies import EVENT
from tailrace.schemas.catalogue import DERIVED, EVENT_TYPES

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("TAILRACE_TEST_HTTP_EXAMPLES", "25"))
"""For each path, method and way of generating."""
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
EVENTS, VALIDATE = "/v1/events", "/v1/events:validate"
TOKEN = "a long word"  # noqa: S105 - opens nothing
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
READING = ("/livez", "/readyz", "/schemas/{type}.json")
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
TRIED = [
    *(("POST", path, mode) for path in (EVENTS, VALIDATE) for mode in (POSITIVE, NEGATIVE)),
    *(("GET", path, POSITIVE) for path in READING),
]


@pytest.fixture
def described(log: Any) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(Surroundings(log, TOKEN)))


def test_every_path_is_tried(described: Any):
    found = {(it.ok().method.upper(), it.ok().path) for it in described.get_all_operations()}

    assert found == {(method, path) for method, path, _ in TRIED}


@pytest.mark.parametrize(("method", "path", "mode"), TRIED)
def test_every_answer_is_one_that_was_described(described: Any, method: str, path: str, mode: GenerationMode):
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        case.call_and_validate(checks=CHECKS, headers=AUTHORIZED)

    check()


def test_events_of_every_type_but_the_derived_are_taken_with_the_answer_described(
    described: Any, samples: Any, log: Any
):
    taken = {type_: event for type_, event in samples.items() if EVENT_TYPES[type_].topic not in DERIVED}
    for event in taken.values():
        case = described[EVENTS]["POST"].Case(body=event, media_type=EVENT)
        assert case.call_and_validate(checks=CHECKS, headers=AUTHORIZED).status_code == 202

    assert [event["type"] for event in log.events] == list(taken)
