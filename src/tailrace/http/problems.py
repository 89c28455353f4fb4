"""What an HTTP caller is told when something is wrong: problem details (RFC 9457) with our codes."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
from fastapi import Request, Response
from starlette.exceptions import HTTPException

from tailrace.errors import TailraceError
from tailrace.producer import EventRefused

PROBLEM_TYPE: Final = "application/problem+json"
FULL_RETRY_S: Final = 1
"""After a 429: the producer's buffer turns over many times a second."""
LOG_RETRY_S: Final = 5
"""After a 503: about what a broker needs to elect new leaders."""


class Problem(TailraceError):  # noqa: N818 - what RFC 9457 calls it
    """An answer that is not what was asked for. `errors` names the fields at fault, `extra` adds members."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        fix: str | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail, fix=fix)
        self.status = status
        self.code = code
        self.errors = errors
        self.extra = extra or {}

    def response(self) -> Response:
        """Return the answer; what is worth another try says after how many seconds."""
        document = {
            "type": f"urn:tailrace:problem:{self.code}",
            "title": self.status.phrase,
            "status": self.status.value,
            "code": self.code,
            "detail": str(self),
            **({"fix": self.fix} if self.fix else {}),
            **({"errors": list(self.errors)} if self.errors else {}),
            **self.extra,
        }
        return Response(orjson.dumps(document), self.status, _HEADERS.get(self.status), PROBLEM_TYPE)


_HEADERS: Final = {
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": str(FULL_RETRY_S)},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": str(LOG_RETRY_S)},
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": 'Bearer realm="tailrace"'},
}


def field_errors(error: EventRefused, index: int) -> list[dict[str, Any]]:
    """Give one entry for each field that does not fit: `event` is the event's place in the request, from 0.

    `path` is None where no single field is at fault; the reason never holds a field's value.
    """
    entries = []
    for problem in error.reason.split("; "):
        path, colon, reason = problem.partition(": ")
        entry = {"event": index, "code": str(error.code), "path": path if colon else None}
        entries.append({**entry, "reason": reason if colon else problem, **({"fix": error.fix} if error.fix else {})})
    return entries


async def on_problem(_: Request, error: Exception) -> Response:
    """Answer with a Problem."""
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class alone
    return error.response()


async def on_http_error(_: Request, error: Exception) -> Response:
    """Answer what the framework refuses (no such path, no such method) in the same form, with its headers."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    status = HTTPStatus(error.status_code)
    response = Problem(status, f"E_HTTP_{status.value}", status.phrase).response()
    response.headers.update(error.headers or {})
    return response


async def on_fault(_: Request, error: Exception) -> Response:
    """Answer a fault of ours without its text, which may quote what the caller sent; the log has it."""
    del error
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "E_INTERNAL", "a fault of the server").response()
