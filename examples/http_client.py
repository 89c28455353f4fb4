# ruff: noqa: INP001, T201 - an example is a program of its own, and talks on its outputs
"""Send the events of a JSON Lines file over HTTP, in batches, without the SDK.

    python examples/http_client.py http://127.0.0.1:8460 events.jsonl

Needs only httpx. Every event gets its id here, so a batch that is sent again is the same events. Prints one line for
each event: its id, topic, partition and offset.
"""

import json
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import httpx

BATCH: Final = "application/cloudevents-batch+json"
BATCH_EVENTS: Final = 500
ATTEMPTS_MAX: Final = 5
TIMEOUT_S: Final = 30.0
WAIT_S: Final = 1.0
AGAIN: Final = frozenset({408, 429, 503})
"""Answers after which the same events may be sent again."""


def batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Events of the file, each with an id, so many at a time."""
    with path.open("rb") as lines:
        events = ({"specversion": "1.0", "id": str(uuid.uuid4())} | json.loads(line) for line in lines)
        while batch := list(islice(events, BATCH_EVENTS)):
            yield batch


def send(client: httpx.Client, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send one batch until it is in the log; raises `httpx.HTTPStatusError` for an answer that does not mend."""
    body = json.dumps(events).encode()
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            response = client.post("/v1/events", content=body, headers={"Content-Type": BATCH})
        except httpx.TransportError:
            if attempt == ATTEMPTS_MAX:
                raise
        else:
            if response.status_code not in AGAIN or attempt == ATTEMPTS_MAX:
                for error in response.json().get("errors", ()):
                    print("event {event}: {code} {path}: {reason}".format_map(error), file=sys.stderr)
                response.raise_for_status()
                accepted: list[dict[str, Any]] = response.json()["events"]
                return accepted
        time.sleep(WAIT_S * attempt)
    raise AssertionError("the last attempt returned or raised")


def main(url: str, path: str) -> None:
    """Send the whole file."""
    with httpx.Client(base_url=url, timeout=TIMEOUT_S) as client:
        for batch in batches(Path(path)):
            for event in send(client, batch):
                print(json.dumps({name: event[name] for name in ("id", "topic", "partition", "offset")}))


if __name__ == "__main__":
    main(*sys.argv[1:])
