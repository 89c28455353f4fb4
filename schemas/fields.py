"""The types of the contract's fields: strict JSON types, and what keeps a value storable in every store.

Beyond the type nothing is judged: no e-mail, time zone, MIME type or length (ruling 83).
"""

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

UUID_PATTERN: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
SEQUENCE_PATTERN: Final = r"^0*[0-9]{1,19}$"
TIME_PATTERN: Final = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""For JSON Schema only; that a month has so many days is told by `_instant`."""
SEQUENCE_MAX: Final = 2**63 - 1

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)

_USUAL_TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{1,6}Z$"
_NO_TIME: Final = "expected an RFC 3339 time with seconds and offset"

# What orjson writes as an integer; a larger one it refuses altogether.
_INTEGER_MIN = -(2**63)
_INTEGER_MAX = 2**64 - 1


def _instant(value: object) -> datetime:
    """Aware UTC time of an RFC 3339 string (seconds and offset required) or of an aware datetime.

    Digits beyond microseconds are cut; a leap second, and a time outside the years 1 to 9999 in UTC, do not fit.
    """
    try:
        if isinstance(value, str) and _RFC3339.fullmatch(value):
            parsed = datetime.fromisoformat(value if value.isupper() else value.upper())
            return parsed if parsed.tzinfo is UTC else parsed.astimezone(UTC)
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC)
    except (ValueError, OverflowError):  # 31 February; year 1 or 9999 that the offset moves out of the calendar
        pass
    raise PydanticCustomError("rfc3339", _NO_TIME)


def rfc3339(time: datetime) -> str:
    """An aware UTC time as the contract writes it: RFC 3339, µs, Z."""
    return time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _storable(value: Any) -> Any:
    """Free JSON with numbers that every store holds.

    Integers beyond 64 bits become the nearest double, as in any reader that follows RFC 8259 section 6. A number that
    no double holds (1e400) does not fit: PostgreSQL would take it, Python and every client could not read it back.
    """
    if isinstance(value, dict):
        return {key: _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, int) and not _INTEGER_MIN <= value <= _INTEGER_MAX:
        try:
            return float(value)
        except OverflowError:
            value = math.inf
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("unstorable_number", "expected only numbers that fit a double")
    return value


class _Rfc3339:
    """Reads what `_instant` reads; as JSON it is written with Z and all six digits, whatever they are."""

    @staticmethod
    def __get_pydantic_core_schema__(_source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(rfc3339, when_used="json")
        any_form = core_schema.no_info_plain_validator_function(_instant)
        # The usual form in JSON, checked and read without a function of ours: half the time. `_instant` takes the rest.
        usual = core_schema.chain_schema(
            [
                core_schema.str_schema(pattern=_USUAL_TIME, strict=True),
                core_schema.no_info_plain_validator_function(datetime.fromisoformat),
            ]
        )
        in_json = core_schema.union_schema(
            [usual, any_form], mode="left_to_right", custom_error_type="rfc3339", custom_error_message=_NO_TIME
        )
        return core_schema.json_or_python_schema(in_json, any_form, serialization=written)


class _DecimalString:
    """A string of decimal digits, read as a number: leading zeros are fine, a JSON number is not (ruling 77)."""

    @staticmethod
    def __get_pydantic_core_schema__(_source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        digits = core_schema.str_schema(pattern=SEQUENCE_PATTERN, strict=True)
        number = core_schema.int_schema(le=SEQUENCE_MAX, strict=False)
        written = core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        return core_schema.chain_schema([digits, number], serialization=written)


Id = Annotated[
    str,
    StringConstraints(pattern=UUID_PATTERN),
    WithJsonSchema({"type": "string", "format": "uuid", "pattern": UUID_PATTERN}),
]
"""A UUID of any version in canonical lower case; nothing else that a UUID parser would take (ruling 77)."""

Timestamp = Annotated[
    datetime,
    _Rfc3339,
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": TIME_PATTERN}),
]
"""Aware UTC datetime, µs, from any RFC 3339 offset (ruling 77). A JSON number is no time."""

FreeObject = Annotated[dict[str, Any], AfterValidator(_storable)]
"""An object of the producer's own shape (`settings{}`, `metadata{}` …)."""

Sequence = Annotated[int, _DecimalString, WithJsonSchema({"type": "string", "pattern": SEQUENCE_PATTERN})]
"""0 … 2^63-1, a decimal string on the wire."""

Int4 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
"""PostgreSQL's integer."""

Int8 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
"""PostgreSQL's bigint."""

NonEmpty = Annotated[str, StringConstraints(min_length=1)]

STRICT: Final = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)
"""Strict JSON types, unknown fields dropped, and no input in the text of an error (rule X)."""


class Data(BaseModel):
    """The `data` of one event type. Unknown fields are dropped; optional ones may be null (rulings 77, 78)."""

    model_config = ConfigDict(**STRICT, frozen=True)
