"""From a request's body to events, within bounds."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from tailrace.http.problems import Problem
from tailrace.schemas.refusals import RefusalCode
from tailrace.schemas.scrub import scrub

EVENT: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
_UTF8: Final = {"utf-8", "utf8", "us-ascii"}
_IDENTITY: Final = {"", "identity"}


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds of what a request may bring.

    An event may have 1 MiB in the log; with escapes and white space its JSON may be longer than that here.
    `reading_max_bytes` bounds all bodies that are being read and checked at a time.
    """

    event_max_bytes: int = 2 * 2**20
    batch_max_bytes: int = 8 * 2**20
    batch_max_events: int = 1_000
    reading_max_bytes: int = 64 * 2**20
    read_timeout_s: float = 30.0


class Room:
    """Counts something that there is only so much of at a time."""

    def __init__(self, capacity: int, what: str) -> None:
        self._capacity = capacity
        self._what = what
        self.taken = 0

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Hold an amount; raises a 429 where it does not fit beside what is held. Alone, anything fits."""
        if self.taken and self.taken + amount > self._capacity:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "E_FULL",
                f"the server holds as many {self._what} as it can",
                fix="send the same request again after Retry-After seconds",
            )
        self.taken += amount
        try:
            yield
        finally:
            self.taken -= amount


@contextmanager
def reserved(request: Request, limits: BodyLimits, room: Room) -> Iterator[int]:
    """Hold room for the body before any of it is read; gives the most bytes that it may have. Raises 413, 415, 429."""
    allowed = limits.batch_max_bytes if _media_type(request) == BATCH else limits.event_max_bytes
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isascii() and declared.isdigit() and len(declared) < len("1" * 19) else allowed
    if size > allowed:
        raise _too_large(allowed)
    with room.take(size):
        yield allowed


async def read_events(request: Request, limits: BodyLimits, allowed: int) -> list[Mapping[str, Any]]:
    """Read the body and return its events as they came; none where a batch is empty.

    Raises a Problem: 400 where it is no UTF-8 JSON, 408 where it did not come in time, 413 beyond the bounds, 422 where
    it is JSON of another shape.
    """
    is_batch = _media_type(request) == BATCH
    try:
        value = from_json(scrub(await _read(request, limits, allowed)), allow_inf_nan=False)
    except ValueError:
        # The parser's own words quote the body.
        raise Problem(
            HTTPStatus.BAD_REQUEST, RefusalCode.E_DECODE, "the body is not UTF-8 JSON", fix="send JSON without a BOM"
        ) from None
    events = value if is_batch else [value]
    if not isinstance(events, list):
        raise _misshapen([{"event": None, "code": "E_SCHEMA", "path": None, "reason": "expected an array of events"}])
    if len(events) > limits.batch_max_events:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "E_BATCH",
            f"a batch holds at most {limits.batch_max_events} events",
            fix="send several batches",
        )
    wrong = [index for index, event in enumerate(events) if not isinstance(event, dict)]
    if wrong:
        reason = "expected an event, a JSON object"
        raise _misshapen([{"event": i, "code": "E_SCHEMA", "path": None, "reason": reason} for i in wrong])
    return events


async def _read(request: Request, limits: BodyLimits, allowed: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(limits.read_timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > allowed:
                    raise _too_large(allowed)
    except TimeoutError:
        reason = f"the body did not arrive within {limits.read_timeout_s:g} s"
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "E_TIMEOUT", reason) from None
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "E_DISCONNECTED", "the body ended early") from None
    return bytes(body)


def _media_type(request: Request) -> str:
    """Return one of the two; raises a 415 for anything else, for another charset, and for a compressed body."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    encoding = request.headers.get("content-encoding", "").strip().lower()
    charset = str(header.get_param("charset", "utf-8")).lower()
    # Asked only of a header that names one: email's parser makes text/plain of what it cannot read.
    media_type = header.get_content_type()
    if media_type not in {EVENT, BATCH} or charset not in _UTF8 or encoding not in _IDENTITY:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "E_MEDIA_TYPE",
            f"expected {EVENT} or {BATCH}, in UTF-8, not compressed",
            fix=f"Content-Type: {EVENT}",
        )
    return media_type


def _too_large(allowed: int) -> Problem:
    reason = f"the body has more than {allowed} bytes"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, RefusalCode.E_SIZE, reason, fix="put large content into a file")


def _misshapen(errors: list[dict[str, Any]]) -> Problem:
    reason = "the body is not of the form that its content type names"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, RefusalCode.E_SCHEMA, reason, errors=errors)
