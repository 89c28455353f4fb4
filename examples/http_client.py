# ruff: noqa: INP001, T201 - an example is a program of its own, and talks on its outputs
"""Send the events of a JSON Lines file over HTTP, in batches, without the SDK.

    python examples/http_client.py http://127.0.0.1:8460 events.jsonl

Needs only httpx. The server first stamps the events without sending them, so a batch that is sent again is the same
events. Prints one line for each event: its id, topic, partition and offset.
"""

import json
import sys
import time
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
STAMPS: Final = ("id", "time", "sequence")
AGAIN: Final = frozenset({408, 429, 503})
"""Answers after which the same events may be sent again."""


def batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Events of the file, so many at a time."""
    with path.open("rb") as lines:
        events = ({"specversion": "1.0"} | json.loads(line) for line in lines)
        while batch := list(islice(events, BATCH_EVENTS)):
            yield batch


def stamped(client: httpx.Client, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events with id, time and sequence: with its id alone an event would count as newer each time it is sent."""
    answers = ask(client, "/v1/events:validate", events)
    return [event | {name: its[name] for name in STAMPS} for event, its in zip(events, answers, strict=True)]


def ask(client: httpx.Client, path: str, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send one batch until it is answered; raises `httpx.HTTPStatusError` for an answer that does not mend."""
    body = json.dumps(events).encode()
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            response = client.post(path, content=body, headers={"Content-Type": BATCH})
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
            for event in ask(client, "/v1/events", stamped(client, batch)):
                print(json.dumps({name: event[name] for name in ("id", "topic", "partition", "offset")}))


if __name__ == "__main__":
    main(*sys.argv[1:])
