"""The interface described for other programs: what OpenAPI says of each path."""

from typing import Any, Final

from tailrace.http.bodies import BATCH, EVENT, BodyLimits
from tailrace.http.problems import PROBLEM_TYPE
from tailrace.schemas.catalogue import DERIVED, EVENT_TYPES
from tailrace.schemas.envelope import Envelope

_STAMPED: Final = ("id", "source", "subject", "time", "sequence")
"""Attributes that the server fills in where they are missing or null."""


def request_body(limits: BodyLimits, example: dict[str, Any]) -> dict[str, Any]:
    """What may be sent: one event or several. Its `data` is described by `/schemas/{type}.json`."""
    event = _sendable()
    events = {"type": "array", "items": event, "maxItems": limits.batch_max_events}
    return {
        "required": True,
        "content": {
            EVENT: {"schema": event, "examples": {"event": {"value": example}}},
            BATCH: {"schema": events, "examples": {"events": {"value": [example]}}},
        },
    }


def _sendable() -> dict[str, Any]:
    schema = Envelope.model_json_schema()
    properties = {
        name: {"anyOf": [it, {"type": "null"}]} if name in _STAMPED else it for name, it in schema["properties"].items()
    }
    taken = sorted(kind.name for kind in EVENT_TYPES.values() if kind.topic not in DERIVED)
    properties["type"] = {"type": "string", "enum": taken}
    properties["data"] = {"type": "object"}
    return {"type": "object", "properties": properties, "required": ["specversion", "type", "data"]}


EXAMPLE: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "type": "collab.reaction.added",
    "source": "/billing",
    "data": {
        "message_id": "0199c1d2-0040-7000-8000-000000000002",
        "channel_id": "0199c1d2-0030-7000-8000-000000000001",
        "workspace_id": "0199c1d2-0010-7000-8000-000000000001",
        "user_id": "0199c1d2-0020-7000-8000-000000000001",
        "emoji": ":tada:",
    },
}
"""An event as short as it can be; the server adds id, subject, time and sequence."""

_TEXT: Final = {"type": "string"}
_STAMPS: Final = {"id": _TEXT, "type": _TEXT, "time": _TEXT, "sequence": _TEXT, "topic": _TEXT, "key": _TEXT}
_PLACE: Final = {
    "partition": {"type": "integer"},
    "offset": {"type": ["integer", "null"]},
    "appended_at": {"type": ["string", "null"], "format": "date-time"},
}


def events_document(*, sent: bool) -> dict[str, Any]:
    """Schema of the answer: what every event became, and where it is if it was `sent`."""
    properties = {**_STAMPS, **(_PLACE if sent else {})}
    event = {"type": "object", "properties": properties, "required": list(properties)}
    events = {"type": "array", "items": event}
    return _answered({"type": "object", "properties": {"events": events}, "required": ["events"]}, "application/json")


PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "code": _TEXT,
        "detail": _TEXT,
        "fix": _TEXT,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["event", "code", "path", "reason"],
                "properties": {
                    "event": {"type": ["integer", "null"], "description": "place in the request, from 0"},
                    "code": _TEXT,
                    "path": {"type": ["string", "null"], "description": "the field, as in data.user_id"},
                    "reason": _TEXT,
                    "fix": _TEXT,
                },
            },
        },
        "errors_total": {"type": "integer", "description": "so many there are; `errors` lists the first 100"},
        "events": {
            "type": "array",
            "description": "of a 503: each event's stamps, and what is known of it",
            "items": {
                "type": "object",
                "required": [*_STAMPS, "outcome"],
                "properties": {**_STAMPS, "outcome": {"enum": ["in the log", "not in the log", "unknown"]}},
            },
        },
    },
}


def _answered(schema: dict[str, Any], media_type: str) -> dict[str, Any]:
    return {"content": {media_type: {"schema": schema}}}


def problem(description: str, *, retry: bool = False) -> dict[str, Any]:
    """Describe a problem answer; `retry`: with the seconds after which another try is worth it."""
    headers = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}} if retry else {}
    return {"description": description, **_answered(PROBLEM, PROBLEM_TYPE), **({"headers": headers} if headers else {})}


POSTED: Final[dict[int | str, dict[str, Any]]] = {
    400: problem("the body is not UTF-8 JSON"),
    401: problem("the token is missing or wrong"),
    403: problem("no token is set and this is not loopback"),
    408: problem("the body did not arrive in time"),
    413: problem("the body or the batch is too large"),
    415: problem("another media type, charset or encoding"),
    422: problem("an event does not fit the contract; nothing was sent"),
    429: problem("the server is full", retry=True),
    503: problem("the log cannot be reached; `events` says what is known of each", retry=True),
}
