from datetime import UTC, date, datetime

import pytest

from tailrace.search.grammar import Channel, Days, Person, Property, QueryError, Text, parse, start_of

TODAY = date(2026, 11, 21)


def parts(query: str):
    return list(parse(query, TODAY).parts)


def test_words_phrases_and_beginnings():
    assert parts('quarterly "annual report" repo*') == [
        Text("quarterly"),
        Text("annual report", is_phrase=True),
        Text("repo", is_prefix=True),
    ]


def test_a_minus_turns_any_part_around():
    assert parts('-draft -"old plan" -has:file') == [
        Text("draft", is_negated=True),
        Text("old plan", is_phrase=True, is_negated=True),
        Property("has", "file", 19, is_negated=True),
    ]


def test_people_and_channels_with_and_without_their_signs():
    assert parts('from:@ana in:#finance from:"Ana Rossi" mentions:me') == [
        Person("from", "ana", 0),
        Channel("finance", 10),
        Person("from", "Ana Rossi", 22),
        Person("mentions", "me", 39),
    ]


@pytest.mark.parametrize(
    ("query", "first", "end"),
    [
        ("before:2026-11-01", None, date(2026, 11, 1)),
        ("after:2026-11-01", date(2026, 11, 2), None),
        ("on:2026-11-01", date(2026, 11, 1), date(2026, 11, 2)),
        ("before:2026-11", None, date(2026, 11, 1)),
        ("after:2026-12", date(2027, 1, 1), None),
        ("on:2024-02", date(2024, 2, 1), date(2024, 3, 1)),
        ("on:today", TODAY, date(2026, 11, 22)),
        ("after:yesterday", TODAY, None),
    ],
)
def test_days_and_months(query, first, end):
    assert parts(query) == [Days(first, end)]


def test_a_url_is_a_phrase_and_signs_alone_are_nothing():
    assert parts("https://example.org/a -- ! *") == [Text("https://example.org/a", is_phrase=True)]


@pytest.mark.parametrize(
    ("query", "position", "says"),
    [
        ("fron:@ana", 0, "did you mean from:"),
        ("report has:fil", 7, "did you mean has:file"),
        ("before:2026-13-01", 0, "a day like 2026-11-21"),
        ('say "hello', 4, "close it"),
        ("in:#", 0, "in:#finance"),
        ("from:", 0, "from:@ana"),
    ],
)
def test_what_cannot_be_understood_says_where_and_what_to_do(query, position, says):
    with pytest.raises(QueryError) as error:
        parse(query, TODAY)

    assert error.value.position == position
    assert says in error.value.fix


def test_a_query_has_bounds():
    with pytest.raises(QueryError):
        parse("x" * 1_001, TODAY)
    with pytest.raises(QueryError):
        parse("a " * 60, TODAY)


def test_a_day_begins_where_the_searcher_lives():
    assert start_of(date(2026, 11, 1), "America/New_York") == datetime(2026, 11, 1, 4, tzinfo=UTC)
    assert start_of(date(2026, 11, 2), "America/New_York") == datetime(2026, 11, 2, 5, tzinfo=UTC)
    assert start_of(date(2026, 11, 1), "Mars/Olympus") == datetime(2026, 11, 1, tzinfo=UTC)
