"""Who reads an event is told in the catalogue: checked against what changes when all events of a type are left out."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from chaos import chaos

from tailrace.contract.readers import READERS
from tailrace.schemas.catalogue import EVENT_TYPES, TOPICS, key_of, topic_of
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.verification.fold import fold
from tailrace.verification.fold_caches import fold_caches
from tailrace.verification.fold_documents import search_documents

SEEDS = (0, 1, 2)
EVENTS = 400


def outcome(events: Sequence[Event], now: datetime) -> dict[str, Any]:
    """Everything the fold expects: tables with their schema, families of keys, documents."""
    tables = fold(events)
    named = {name if "." in name else f"collab.{name}": table for name, table in tables.items()}
    families = fold_caches(events, tables, now).families
    return named | {f"redis.{name}": keys for name, keys in families.items()} | search_documents(tables, now)


@pytest.fixture(scope="module")
def effects() -> dict[str, set[str]]:
    """By type: what is different without it, in a few colliding worlds."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for seed in SEEDS:
        events = []
        for offset, raw in enumerate(chaos(seed, EVENTS)):
            key = key_of(raw["type"], raw["data"]).encode()
            event = decode(topic_of(raw["type"]), key, json.dumps(raw).encode(), None)
            assert isinstance(event, Event)
            event.partition, event.offset = 0, offset
            events.append(event)
        now = max(event.time for event in events) - timedelta(hours=6)
        whole = outcome(events, now)
        for type_ in {event.type for event in events}:
            part = outcome([event for event in events if event.type != type_], now)
            found[type_] |= {name for name in whole if whole[name] != part[name]}
    return dict(found)


def test_every_type_has_its_readers():
    assert set(READERS) == set(EVENT_TYPES)


def test_nothing_changes_that_the_catalogue_does_not_tell(effects: dict[str, set[str]]):
    untold = {}
    for type_, changed in effects.items():
        readers = READERS[type_]
        told = {*readers.tables, *(f"redis.{key}" for key in readers.keys)}
        told |= {f"search.{name}" for name in readers.documents}
        if missing := changed - told:
            untold[type_] = missing
    assert untold == {}


def test_every_table_has_a_type_that_changes_it(noon: datetime):
    told = {table for readers in READERS.values() for table in readers.tables}
    verified = {name for name in outcome([], noon) if name.startswith(("collab.", "analytics."))}
    assert told == verified | {"collab.notifications"}


def test_derived_topics_are_topics_of_the_contract():
    names = {topic.name for topic in TOPICS}
    assert {topic for readers in READERS.values() for topic in readers.topics} <= names
