import json
from datetime import UTC, date, datetime

import pytest

from tailrace.errors import InvalidInputError
from tailrace.search.access import Access
from tailrace.search.grammar import QueryError, parse
from tailrace.search.requests import order, request
from tailrace.search.results import CLOSE, OPEN, Kind, Sort, Span, cursor, read_cursor

ACCESS = Access("w1", "ana", channel_ids=("c1", "c2"))
TODAY = date(2026, 11, 21)


def filters(kind: Kind, query: str, access: Access = ACCESS, companions=None):
    return request(kind, parse(query, TODAY), access, {}, companions)["bool"]["filter"]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_search_is_in_one_workspace(kind):
    assert {"term": {"workspace_id": "w1"}} in filters(kind, "x")


def test_messages_are_searched_in_the_channels_that_may_be_seen():
    assert {"terms": {"channel_id": ["c1", "c2"]}} in filters(Kind.MESSAGES, "-in_everything x")


def test_who_sees_no_channel_finds_nothing():
    assert {"match_none": {}} in filters(Kind.MESSAGES, "x", Access("w1", "ana"))


def test_files_are_found_where_they_are_shared_and_by_who_uploaded_them():
    assert "uploader_id" in json.dumps(filters(Kind.FILES, "x"))


def test_a_guest_finds_people_it_knows():
    assert {"terms": {"user_id": ["bo", "ana"]}} in filters(Kind.PEOPLE, "x", companions=["bo"])


def test_a_filter_that_says_nothing_about_the_kind_is_an_error():
    with pytest.raises(QueryError):
        filters(Kind.PEOPLE, "has:file")


def test_without_words_the_newest_come_first():
    newest_first = order(Kind.MESSAGES, parse("has:file", TODAY), Sort.RELEVANCE)

    assert list(newest_first[0]) == ["created_at"]
    assert order(Kind.MESSAGES, parse("x", TODAY), Sort.RELEVANCE)[0] == {"_score": "desc"}


def test_a_cursor_belongs_to_its_search():
    text = cursor([1.5, 17, "m"], "a search")

    assert read_cursor(text, "a search") == [1.5, 17, "m"]
    for other in (text, "AAAA", "é"):
        with pytest.raises(InvalidInputError):
            read_cursor(other, "another search")


def test_marks_become_spans():
    assert Span.read(f"a {OPEN}report{CLOSE} <b>") == Span("a report <b>", ((2, 8),))


def test_today_is_the_searchers():
    late = datetime(2026, 11, 21, 23, tzinfo=UTC)

    assert Access("w", "u", zone="Asia/Tokyo").today(late) == date(2026, 11, 22)
