"""What a refusal says: which field, what was expected, and never what was found (rule X)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from tailrace.schemas.event import Refusal
from tailrace.schemas.fields import SEQUENCE_PATTERN, UUID_PATTERN
from tailrace.schemas.refusals import RefusalCode

PROBLEMS_MAX: Final = 5
"""So many fields are named in one reason; the rest is counted."""

_UUID: Final = re.compile(UUID_PATTERN.removesuffix("$"))
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]{1,200}")

_PATTERNS: Final = {
    UUID_PATTERN: "expected a UUID in canonical lower case",
    SEQUENCE_PATTERN: "expected a decimal string of 0 to 9223372036854775807",
}
# By pydantic's error type. Its own messages are not passed on: some of them quote the input.
_EXPECTED: Final = {
    "missing": "missing",
    "string_type": "expected a string",
    "string_too_short": "expected a string that is not empty",
    "string_pattern_mismatch": "expected another form",
    "bool_type": "expected true or false",
    "int_type": "expected an integer",
    "list_type": "expected an array",
    "dict_type": "expected an object",
    "literal_error": "expected {expected}",
    "greater_than_equal": "expected at least {ge}",
    "less_than_equal": "expected at most {le}",
    "int_parsing": "expected a decimal string of 0 to 9223372036854775807",
    "int_parsing_size": "expected a decimal string of 0 to 9223372036854775807",
    "rfc3339": "expected an RFC 3339 time with seconds and offset",
    "unstorable_number": "expected only numbers that fit a double",
}


def first_problems(error: ValidationError, *, within: str = "") -> str:
    """The fields that do not fit, "data.user_id: missing; …"; `within` goes in front of each path."""
    problems = error.errors(include_url=False, include_input=False)
    named = [f"{_path(within, problem['loc'])}: {_expected(problem)}" for problem in problems[:PROBLEMS_MAX]]
    if len(problems) > PROBLEMS_MAX:
        named.append(f"and {len(problems) - PROBLEMS_MAX} more")
    return "; ".join(named)


def refusal(code: RefusalCode, reason: str, event: Mapping[str, Any] | None = None) -> Refusal:
    """A Refusal that names the event as far as `event`, a parsed and not necessarily valid one, tells its name.

    The workspace is that of `data` where it has one, since the envelope's is not checked (ruling 79).
    """
    if event is None:
        return Refusal(code, reason, None, None, None)
    data = event.get("data")
    workspace_id = _uuid(data.get("workspace_id")) if isinstance(data, dict) else None
    return Refusal(
        code,
        reason,
        event_type=_matching(_PRINTABLE, event.get("type")),
        event_id=_uuid(event.get("id")),
        workspace_id=workspace_id or _uuid(event.get("workspaceid")),
    )


def _path(within: str, location: Iterable[int | str]) -> str:
    path = within
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _expected(problem: Mapping[str, Any]) -> str:
    context = problem.get("ctx", {})
    template = _PATTERNS.get(context.get("pattern")) or _EXPECTED.get(problem["type"], "does not fit")
    return template.format_map(context)


def _uuid(value: object) -> str | None:
    return _matching(_UUID, value)


def _matching(pattern: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None
