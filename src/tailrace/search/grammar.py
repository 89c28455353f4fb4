"""The grammar of search queries.

    query   = { ["-"] ( word | word"*" | '"' phrase '"' | filter ) }
    filter  = name ":" ( value | '"' value '"' )

Everything must hold; `-` turns one part around. What has a colon but is no filter, such as a URL, is a word.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from typing import Final

from tailrace.errors import InvalidInputError

QUERY_CHARS_MAX: Final = 1_000
PARTS_MAX: Final = 50

HAS: Final = ("file", "reaction", "link", "mention")
IS: Final = ("thread", "reply", "root", "bot", "system")
FILTERS: Final = {
    "from": "who wrote or uploaded it: from:@ana, from:me",
    "in": "channel: in:#finance",
    "mentions": "who is mentioned: mentions:@ana, mentions:me",
    "before": "before that day or month: before:2026-11-01",
    "after": "after that day or month: after:2026-10",
    "on": "on that day or in that month: on:yesterday",
    "has": f"has:{', has:'.join(HAS)}",
    "is": f"is:{', is:'.join(IS)}",
    "type": "kind of file: type:pdf, type:image",
}
"""Name and explanation of every filter."""

_PART = re.compile(
    r"""\s*(?P<minus>-)?(?:
        (?P<name>[A-Za-z_]+):(?:"(?P<quoted>[^"]*)"|(?P<value>[^\s"]+))   # filter
      | "(?P<phrase>[^"]*)"
      | (?P<word>\S+)
    )""",
    re.VERBOSE,
)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MONTH = re.compile(r"\d{4}-\d{2}")


class QueryError(InvalidInputError):
    """The query cannot be understood. `position` is where, in characters from 0."""

    def __init__(self, message: str, position: int, *, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.position = position


@dataclass(frozen=True, slots=True)
class Text:
    """Words to be found; `exactly` as a phrase, or as the beginning of a word."""

    text: str
    is_phrase: bool = False
    is_prefix: bool = False
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """`who` as it was written, without `@`; "me" is who searches. `field` is `from` or `mentions`."""

    field: str
    who: str
    position: int
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Channel:
    """`name` as it was written, without `#`."""

    name: str
    position: int
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Days:
    """Days from `first` to before `end`, in the searching person's zone; None is open."""

    first: date | None
    end: date | None
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Property:
    """`has:`, `is:` or `type:` with its value in lower case."""

    field: str
    value: str
    position: int
    is_negated: bool = False


Part = Text | Person | Channel | Days | Property


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query."""

    parts: tuple[Part, ...]

    @property
    def has_text(self) -> bool:
        """Whether anything can be more or less relevant."""
        return any(isinstance(part, Text) and not part.is_negated for part in self.parts)


def parse(query: str, today: date) -> Query:
    """Parse a query; `today` is the day in the searching person's zone. Raises `QueryError`."""
    if len(query) > QUERY_CHARS_MAX:
        raise QueryError(f"the query is longer than {QUERY_CHARS_MAX} characters", QUERY_CHARS_MAX)
    parts: list[Part] = []
    position = 0
    while position < len(query.rstrip()):
        found = _PART.match(query, position)
        if found is None:
            break
        start = found.end(0) - len(found[0].lstrip())
        part = _part(found, start, today)
        if part is not None:
            parts.append(part)
        position = found.end()
        if len(parts) > PARTS_MAX:
            raise QueryError(f"the query has more than {PARTS_MAX} parts", start)
    return Query(tuple(parts))


def _part(found: re.Match[str], start: int, today: date) -> Part | None:
    is_negated = found["minus"] is not None
    if found["name"] is not None:
        return _filter(found, start, today)
    if found["phrase"] is not None:
        text = found["phrase"].strip()
        return Text(text, is_phrase=True, is_negated=is_negated) if text else None
    word = found["word"]
    if word.startswith('"') or word.endswith('"'):
        raise QueryError("a quotation mark is not closed", start, fix='close it: "quarterly report"')
    name, colon, value = word.partition(":")
    if colon and not value and name.lower() in FILTERS:
        raise QueryError(f"{name}: names nothing", start, fix=FILTERS[name.lower()])
    stem = word.rstrip("*")
    if not any(character.isalnum() for character in stem):
        return None
    return Text(stem, is_prefix=stem != word, is_negated=is_negated)


def _filter(found: re.Match[str], start: int, today: date) -> Part | None:
    name, is_negated = found["name"].lower(), found["minus"] is not None
    value = found["quoted"] if found["quoted"] is not None else found["value"]
    if name not in FILTERS:
        if found["value"] is not None and value.startswith("/"):
            return Text(f"{found['name']}:{value}", is_phrase=True, is_negated=is_negated)
        near = get_close_matches(name, FILTERS, n=1)
        meant = f"did you mean {near[0]}: ? " if near else ""
        raise QueryError(
            f"there is no filter {name}:",
            start,
            fix=f"{meant}filters are {', '.join(f'{known}:' for known in FILTERS)}; quote it to search for the text",
        )
    if not value.strip("@#").strip():
        raise QueryError(f"{name}: names nothing", start, fix=FILTERS[name])
    return _FILTERS[name](name, value.strip(), (start, is_negated, today))


def _person(name: str, value: str, where: tuple[int, bool, date]) -> Part:
    return Person(name, value.removeprefix("@"), where[0], where[1])


def _channel(_: str, value: str, where: tuple[int, bool, date]) -> Part:
    return Channel(value.removeprefix("#"), where[0], where[1])


def _property(name: str, value: str, where: tuple[int, bool, date]) -> Part:
    known = {"has": HAS, "is": IS}.get(name)
    value = value.lower()
    if known is not None and value not in known:
        near = get_close_matches(value, known, n=1)
        meant = f"did you mean {name}:{near[0]}? " if near else ""
        raise QueryError(
            f"{name}: does not know {value}", where[0], fix=f"{meant}one of {', '.join(f'{name}:{k}' for k in known)}"
        )
    return Property(name, value, where[0], where[1])


def _days(name: str, value: str, where: tuple[int, bool, date]) -> Part:
    position, is_negated, today = where
    first, end = _range(value.lower(), position, today)
    if name == "before":
        return Days(None, first, is_negated)
    if name == "after":
        return Days(end, None, is_negated)
    return Days(first, end, is_negated)


def _range(value: str, position: int, today: date) -> tuple[date, date]:
    """First day and the day after the last."""
    one = timedelta(days=1)
    if value in {"today", "yesterday"}:
        day = today if value == "today" else today - one
        return day, day + one
    try:
        if _DAY.fullmatch(value):
            day = date.fromisoformat(value)
            return day, day + one
        if _MONTH.fullmatch(value):
            first = date.fromisoformat(f"{value}-01")
            return first, (first + timedelta(days=32)).replace(day=1)
    except (ValueError, OverflowError):
        pass
    raise QueryError(
        f"{value} is no day or month",
        position,
        fix=f"a day like {today.isoformat()}, a month like {today:%Y-%m}, today or yesterday",
    )


_FILTERS: Final[dict[str, Callable[[str, str, tuple[int, bool, date]], Part]]] = {
    "from": _person,
    "mentions": _person,
    "in": _channel,
    "before": _days,
    "after": _days,
    "on": _days,
    "has": _property,
    "is": _property,
    "type": _property,
}


def start_of(day: date, zone: str) -> datetime:
    """The moment, in UTC, at which a day begins in an IANA zone; an unknown zone counts as UTC."""
    from datetime import UTC
    from zoneinfo import ZoneInfo

    try:
        place = ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    return datetime(day.year, day.month, day.day, tzinfo=place).astimezone(UTC)
