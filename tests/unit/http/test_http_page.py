"""The page for those who send by HTTP: what it shows is what is answered."""

import json
import re
from pathlib import Path
from typing import Any

from tailrace.http.description import EXAMPLE

PAGE = (Path(__file__).parents[3] / "docs/http.md").read_text("utf-8")
VALIDATED, REFUSED = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))


async def test_validate_answers_as_shown(client: Any):
    (answered,) = (await client.post(EXAMPLE, "/v1/events:validate")).json()["events"]
    (shown,) = VALIDATED["events"]

    assert answered.keys() == shown.keys()
    assert {name for name in shown if shown[name] != answered[name]} <= {"id"}


async def test_a_refusal_is_answered_as_shown(client: Any):
    wrong = {**EXAMPLE, "data": {**EXAMPLE["data"], "emoji": 5}}

    assert (await client.post([EXAMPLE, wrong])).json() == REFUSED


async def test_the_event_shown_is_the_one_of_the_description():
    shown = re.search(r"-d '(.*?)'\n", PAGE, re.DOTALL)

    assert shown
    assert json.loads(shown[1]) == EXAMPLE
