"""Send dead letters back: the record as it was, to the topic and partition it came from.

The log stays the truth: every projection sees the record again, and to those that had applied it it is a duplicate. The
worker that refused it finds by a header which letter it settles.
"""

import asyncio
import base64
import time
from dataclasses import dataclass, field, replace
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tailrace.addresses import resolve
from tailrace.consumers.redriven import redrive_headers
from tailrace.errors import UnreachableError
from tailrace.operations.audit import actor
from tailrace.operations.dead_letters import Letters, Selector, keys, letters
from tailrace.operations.topics import DEAD_LETTER_BYTES_MAX
from tailrace.settings import Settings

log = structlog.get_logger(__name__)

SEND_TIMEOUT_S: Final = 30.0
"""For one part of letters."""
POLL_S: Final = 0.2


@dataclass(slots=True)
class Redriven:
    """What came of it. `pending` letters were sent and no worker has come to them in time; `unsent` say why not."""

    sent: int = 0
    applied: int = 0
    refused_again: int = 0
    unsent: dict[str, str] = field(default_factory=dict)
    _rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def pending(self) -> int:
        """Sent, and neither applied nor refused yet."""
        return self.sent - self.applied - self.refused_again

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "sent": self.sent,
            "applied": self.applied,
            "refused_again": self.refused_again,
            "pending": self.pending,
            "unsent": self.unsent,
        }


async def redrive(settings: Settings, selector: Selector, reason: str | None, *, wait_s: float) -> Redriven:
    """Send every open letter of the selector back, in the order of the log, and wait up to `wait_s` for the workers.

    A record that several projections refused is sent once. It is harmless to do this twice, or to be stopped in the
    middle: a record that is sent again is a duplicate. Raises `UnreachableError`; what was sent before counts.
    """
    outcome, by = Redriven(), actor()
    bootstrap = resolve(settings).kafka
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        max_request_size=DEAD_LETTER_BYTES_MAX,
        request_timeout_ms=settings.kafka.request_timeout_ms,
    )
    try:
        await producer.start()
        try:
            with letters(settings) as asked:
                # Not what fails from now on, such as events that are released by these and refused in their turn.
                (clock,) = asked.run("clock")
                now = clock["now"] if selector.before is None else min(selector.before, clock["now"])
                for rows in asked.parts(replace(selector, before=now)):
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        sent = await _send(producer, rows, outcome)
                    asked.run("note_on_letters", *keys(sent), "redriven", by, reason)
                await _watch(asked, outcome, wait_s)
        finally:
            await asyncio.wait_for(producer.stop(), SEND_TIMEOUT_S)
    except (KafkaError, OSError, TimeoutError) as error:
        fix = "tailrace doctor; then redrive again"
        raise UnreachableError(f"Kafka at {bootstrap}: {type(error).__name__}", fix=fix) from error
    log.info("dead_letters_redriven", letters=outcome.sent, by=by, reason=reason)
    return outcome


async def _send(producer: AIOKafkaProducer, rows: list[dict[str, Any]], outcome: Redriven) -> list[dict[str, Any]]:
    futures: dict[tuple[str, int, int], Any] = {}
    for row in rows:
        place = row["topic"], row["partition"], row["offset"]
        if place in futures:
            continue
        own = tuple((name, base64.b64decode(value)) for name, value in row["headers"])
        futures[place] = await producer.send(
            row["topic"],
            value=row["raw"],
            key=row["key"],
            partition=row["partition"],  # where those wait that come after it
            headers=redrive_headers(own, place, row["attempts"] + 1),
        )
    sent = []
    answers = dict(zip(futures, await asyncio.gather(*futures.values(), return_exceptions=True), strict=True))
    for row in rows:
        place = row["topic"], row["partition"], row["offset"]
        if isinstance(answer := answers[place], BaseException):
            outcome.unsent["{}/{}/{}".format(*place)] = type(answer).__name__
        else:
            sent.append(row)
    outcome.sent += len(sent)
    outcome._rows += [{**row, "raw": None} for row in sent]  # noqa: SLF001 - of this module
    return sent


async def _watch(asked: Letters, outcome: Redriven, wait_s: float) -> None:
    rows = outcome._rows  # noqa: SLF001 - of this module
    deadline = time.monotonic() + wait_s
    while rows:
        (found,) = await asyncio.to_thread(asked.run, "letters_since", *keys(rows), [row["attempts"] for row in rows])
        outcome.applied, outcome.refused_again = found["applied"], found["refused_again"]
        if not outcome.pending or time.monotonic() >= deadline:
            return
        await asyncio.sleep(POLL_S)
