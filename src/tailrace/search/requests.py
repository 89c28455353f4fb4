"""From a query and what somebody may see to what Elasticsearch is asked. Callers never write its language."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tailrace.search.access import Access
from tailrace.search.grammar import Channel, Days, Part, Person, Property, Query, QueryError, Text, start_of
from tailrace.search.results import CLOSE, OPEN, Kind, Sort

TERMS_MAX: Final = 60_000
"""Below Elasticsearch's own limit of 65,536 values in one clause."""

TOTAL_MAX: Final = 10_000
FRAGMENT_CHARS: Final = 160
FRAGMENTS: Final = 3
ANALYZED_CHARS_MAX: Final = 1_000_000
TIMEOUT: Final = "10s"

Clause = dict[str, Any]
Names = Mapping[Part, Sequence[str]]
"""Ids of the people and channels that the parts of a query name."""

_FIELDS: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.MESSAGES: ("content",),
    Kind.FILES: ("filename^3", "filename_words^3", "tags^2", "extracted_text"),
    Kind.PEOPLE: ("display_name^3", "username^3", "title", "bio"),
}
_HIGHLIGHTED: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.MESSAGES: ("content",),
    Kind.FILES: ("filename_words", "extracted_text"),
    Kind.PEOPLE: ("display_name", "title", "bio"),
}
_TIME: Final = {Kind.MESSAGES: "created_at", Kind.FILES: "created_at", Kind.PEOPLE: "last_active"}
_ID: Final = {Kind.MESSAGES: "message_id", Kind.FILES: "file_id", Kind.PEOPLE: "user_id"}
_AUTHOR: Final = {Kind.MESSAGES: "user_id", Kind.FILES: "uploader_id"}
_CHANNEL: Final = {Kind.MESSAGES: "channel_id", Kind.FILES: "channel_ids"}
_HIDDEN: Final = ("filename_words",)

_MIME: Final[dict[str, Clause]] = {
    "pdf": {"term": {"mime_type": "application/pdf"}},
    "image": {"prefix": {"mime_type": "image/"}},
    "video": {"prefix": {"mime_type": "video/"}},
    "audio": {"prefix": {"mime_type": "audio/"}},
    "text": {"prefix": {"mime_type": "text/"}},
}


def request(kind: Kind, query: Query, access: Access, names: Names, companions: Sequence[str] | None) -> Clause:
    """The `query` of a search, with the rights in its filter. `companions`: the only people that may be found."""
    must: list[Clause] = []
    filters = [{"term": {"workspace_id": access.workspace_id}}, *_rights(kind, access, companions)]
    must_not: list[Clause] = []
    for part in query.parts:
        clause = _clause(kind, part, access, names)
        if part.is_negated:
            must_not.append(clause)
        elif isinstance(part, Text):
            must.append(clause)
        else:
            filters.append(clause)
    return {"bool": {"must": must, "filter": filters, "must_not": must_not}}


def order(kind: Kind, query: Query, sort: Sort) -> list[Clause]:
    """By relevance or time, ties by id, so that a page begins exactly where the one before it ended."""
    by_time: list[Clause] = [{_TIME[kind]: {"order": "desc", "missing": "_last"}}, {_ID[kind]: "desc"}]
    return [{"_score": "desc"}, *by_time] if sort is Sort.RELEVANCE and query.has_text else by_time


def body(kind: Kind, clause: Clause, sort: list[Clause], size: int, after: list[Any] | None) -> dict[str, Any]:
    """Everything else that a search asks for."""
    return {
        "query": clause,
        "sort": sort,
        "size": size,
        "search_after": after,
        "track_scores": True,
        "track_total_hits": TOTAL_MAX,
        "timeout": TIMEOUT,
        "source_excludes": list(_HIDDEN),
        "highlight": {
            "pre_tags": [OPEN],
            "post_tags": [CLOSE],
            "fragment_size": FRAGMENT_CHARS,
            "number_of_fragments": FRAGMENTS,
            "max_analyzed_offset": ANALYZED_CHARS_MAX,
            "fields": {field: {} for field in _HIGHLIGHTED[kind]},
        },
    }


def _rights(kind: Kind, access: Access, companions: Sequence[str] | None) -> list[Clause]:
    if kind is Kind.PEOPLE:
        return [] if companions is None else [_any_of("user_id", [*companions, access.user_id])]
    channels = _any_of(_CHANNEL[kind], access.channel_ids)
    if kind is Kind.MESSAGES:
        return [channels]
    own = {"term": {"uploader_id": access.user_id}}
    return [{"bool": {"should": [channels, own], "minimum_should_match": 1}}]


def _any_of(field: str, ids: Iterable[str]) -> Clause:
    values = list(ids)
    parts = [values[start : start + TERMS_MAX] for start in range(0, len(values), TERMS_MAX)]
    if not parts:
        return {"match_none": {}}
    clauses: list[Clause] = [{"terms": {field: part}} for part in parts]
    return clauses[0] if len(clauses) == 1 else {"bool": {"should": clauses, "minimum_should_match": 1}}


def _clause(kind: Kind, part: Part, access: Access, names: Names) -> Clause:
    match part:
        case Text():
            return _text(kind, part)
        case Person(field="mentions"):
            _only(kind, Kind.MESSAGES, part.position, "mentions:")
            return _any_of("mentions", names[part])
        case Person():
            if kind is Kind.PEOPLE:
                raise QueryError("from: says nothing about people", part.position, fix="leave it out")
            return _any_of(_AUTHOR[kind], names[part])
        case Channel():
            if kind is Kind.PEOPLE:
                raise QueryError("in: says nothing about people", part.position, fix="leave it out")
            return _any_of(_CHANNEL[kind], names[part])
        case Days():
            bounds = {
                name: start_of(day, access.zone).isoformat()
                for name, day in (("gte", part.first), ("lt", part.end))
                if day is not None
            }
            return {"range": {_TIME[kind]: bounds}}
        case Property():
            return _property(kind, part)


def _text(kind: Kind, part: Text) -> Clause:
    fields = list(_FIELDS[kind])
    if part.is_phrase:
        return {"multi_match": {"query": part.text, "type": "phrase", "fields": fields}}
    if part.is_prefix or kind is Kind.PEOPLE:
        # People are looked for while the name is still being typed.
        names = [{"prefix": {"username": {"value": part.text.lower(), "case_insensitive": True}}}]
        words = {"multi_match": {"query": part.text, "type": "bool_prefix", "operator": "and", "fields": fields}}
        return {"bool": {"should": [words, *(names if kind is Kind.PEOPLE else [])], "minimum_should_match": 1}}
    return {"multi_match": {"query": part.text, "type": "best_fields", "operator": "and", "fields": fields}}


def _property(kind: Kind, part: Property) -> Clause:
    if part.field == "type":
        _only(kind, Kind.FILES, part.position, "type:")
        return _MIME.get(part.value, {"term": {"mime_type": part.value}})
    _only(kind, Kind.MESSAGES, part.position, f"{part.field}:")
    return _MESSAGE_PROPERTIES[part.field, part.value]


_MESSAGE_PROPERTIES: Final[dict[tuple[str, str], Clause]] = {
    ("has", "file"): {"term": {"has_files": True}},
    ("has", "reaction"): {"range": {"reaction_count": {"gt": 0}}},
    ("has", "link"): {"terms": {"content": ["http", "https"]}},
    ("has", "mention"): {"exists": {"field": "mentions"}},
    ("is", "thread"): {"exists": {"field": "thread_id"}},
    ("is", "reply"): {"exists": {"field": "thread_id"}},
    ("is", "root"): {"bool": {"must_not": {"exists": {"field": "thread_id"}}}},
    ("is", "bot"): {"term": {"message_type": "bot"}},
    ("is", "system"): {"term": {"message_type": "system"}},
}


def _only(kind: Kind, wanted: Kind, position: int, name: str) -> None:
    if kind is not wanted:
        raise QueryError(f"{name} says something about {wanted} only", position, fix=f"search for {wanted}")
