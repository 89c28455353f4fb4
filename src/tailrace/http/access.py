"""Who may send events: whoever has the token or, where there is none, whoever is on this machine."""

import ipaddress
import secrets
from http import HTTPStatus

from fastapi import Request

from tailrace.errors import UsageError
from tailrace.http.problems import Problem


def check_address(host: str, token: str | None) -> None:
    """Raise `UsageError` where somebody else could send without a token."""
    if token is None and not is_loopback(host):
        raise UsageError(
            f"without a token only loopback is served, not {host}",
            fix="set TAILRACE_HTTP__TOKEN_FILE (or TAILRACE_HTTP__TOKEN), or listen at 127.0.0.1",
        )


def is_loopback(host: str) -> bool:
    """Say whether a name or address is this machine's own; any name but `localhost` may lead elsewhere."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_caller(request: Request, token: str | None) -> None:
    """Raise a Problem: 401 without the right token; without any set, 403 for names that are not loopback's.

    The latter is about web pages: one that points its own name at 127.0.0.1 could otherwise send from a browser here.
    """
    if token is None:
        if not is_loopback(request.url.hostname or ""):
            raise Problem(HTTPStatus.FORBIDDEN, "E_HOST", "without a token only loopback names are served")
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    # Bytes, as compare_digest takes text only where it is ASCII.
    matches = secrets.compare_digest(given.strip().encode(errors="replace"), token.encode())
    if scheme.lower() != "bearer" or not matches:
        raise Problem(
            HTTPStatus.UNAUTHORIZED, "E_TOKEN", "the token is missing or wrong", fix="Authorization: Bearer TOKEN"
        )
