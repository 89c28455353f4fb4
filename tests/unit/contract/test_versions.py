"""The golden samples of every version of a type lead to equal rows, keys and documents, whichever was published."""

import json
import random
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from chaos import chaos
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.contract.event_schemas import sample
from tailrace.projections import channels, directory, files, messages, sessions
from tailrace.projections.entity import Entity, by_key, fold_all
from tailrace.schemas.catalogue import EVENT_TYPES, INBOUND, key_of
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event, Refusal
from tailrace.schemas.upcasters import UPCASTERS
from tailrace.verification.fold import fold
from tailrace.verification.fold_caches import fold_caches
from tailrace.verification.fold_documents import search_documents

SEVERAL = [kind for kind in EVENT_TYPES.values() if kind.version > 1]
OLD = [(kind.name, number) for kind in SEVERAL for number in range(1, kind.version)]
MODULES = (channels, directory, files, messages, sessions)
ENTITIES = [value for module in MODULES for value in vars(module).values() if isinstance(value, Entity)]


def read(record: dict[str, Any]) -> Event:
    kind = EVENT_TYPES[record["type"]]
    key = key_of(kind.name, record["data"]).encode()
    event = decode(kind.topic, key, json.dumps(record).encode(), None)
    assert isinstance(event, Event), event
    event.partition, event.offset = 0, int(record["sequence"])
    return event


def log(*, installed: int = 3, updated: int = 3) -> list[Event]:
    """The samples of all types that end nothing, those of integrations at these versions."""
    versions = {"collab.integration.installed": installed, "collab.integration.updated": updated}
    living = [name for name in EVENT_TYPES if not name.endswith((".removed", ".deleted", ".erased", ".left"))]
    return [read(sample(name, versions.get(name))) for name in living]


def rows(events: list[Event]) -> dict[str, Any]:
    """What the projections' own folds make of it: the rows that a reader sees."""
    folded = {entity: fold_all(entity, {}, by_key(entity, events)) for entity in ENTITIES}
    return {
        entity.table: {key: row for key, row in found.items() if not (entity.absent and entity.absent(row))}
        for entity, found in folded.items()
    }


def test_at_least_one_type_came_to_a_third_version():
    assert {kind.name: kind.version for kind in SEVERAL} == {
        "collab.integration.installed": 3,
        "collab.integration.updated": 3,
    }


@pytest.mark.parametrize("installed", [1, 2, 3])
@pytest.mark.parametrize("updated", [1, 2, 3])
def test_every_mixture_of_versions_gives_equal_rows_keys_and_documents(installed: int, updated: int, noon: datetime):
    old, new = log(installed=installed, updated=updated), log()
    assert rows(old) == rows(new)
    expected = fold(new)
    assert fold(old) == expected
    assert fold_caches(old, fold(old), noon) == fold_caches(new, expected, noon)
    assert search_documents(fold(old), noon) == search_documents(expected, noon)


def test_the_rows_that_are_equal_hold_what_version_1_said():
    said = sample("collab.integration.updated", 1)["data"]
    [row] = fold(log())["integrations"].values()
    names = ("app_id", "app_name", "status", "last_error", "config", "scopes", "installed_by")
    assert {name: row[name] for name in names} == {name: said[name] for name in names}


@pytest.mark.parametrize("seed", range(5))
def test_neither_order_nor_repetition_changes_a_row(seed: int):
    """The promise of docs/producers.md, Order and duplicates, kept by the projections' own folds."""
    events = [read(record) for record in chaos(seed, 300)]
    mixed = events + events[::3]
    random.Random(seed).shuffle(mixed)
    assert rows(mixed) == rows(events)


@pytest.mark.parametrize(("name", "version"), OLD)
def test_every_version_comes_out_as_the_newest_under_the_same_key(name: str, version: int):
    event = read(sample(name, version))
    assert event.schemaversion == EVENT_TYPES[name].version
    assert set(event.data) == set(EVENT_TYPES[name].model.model_fields)
    assert key_of(name, event.data) == key_of(name, sample(name)["data"])


@pytest.mark.parametrize("kind", SEVERAL, ids=lambda kind: kind.name)
def test_the_version_after_the_newest_is_from_the_future(kind: Any):
    record = sample(kind.name) | {"schemaversion": kind.version + 1}
    refusal = decode(INBOUND, None, json.dumps(record).encode(), None)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "E_VERSION"


@pytest.mark.parametrize("name", ["collab.message.posted", "collab.activity.recorded", "collab.user.updated"])
def test_a_second_version_of_any_other_type_is_from_the_future(name: str):
    refusal = decode(INBOUND, None, json.dumps(sample(name) | {"schemaversion": 2}).encode(), None)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "E_VERSION"


@pytest.mark.parametrize(("name", "version"), OLD)
def test_what_the_contract_lists_as_required_is_required_by_its_own_name(name: str, version: int):
    for field in EVENT_TYPES[name].models[version - 1].model_fields:
        record = sample(name, version)
        record["data"][field] = []
        outcome = decode(INBOUND, None, json.dumps(record).encode(), None)
        assert field == "scopes" or (isinstance(outcome, Refusal) and outcome.reason.startswith(f"data.{field}: "))


@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    kept=st.sets(st.sampled_from(["channel_id", "last_error", "config"])),
    texts=st.lists(st.text(), min_size=4, max_size=4),
    status=st.sampled_from(["active", "disabled", "error"]),
)
@pytest.mark.parametrize(("name", "version"), OLD)
def test_whatever_an_old_model_takes_the_steps_bring_to_the_newest(
    name: str, version: int, kept: set[str], texts: list[str], status: str, decoded: Callable[..., Any]
):
    record = sample(name, version)
    data = record["data"]
    old = {name: data[name] for name in data if name not in {"channel_id", "last_error"} or name in kept}
    app = (
        {"app_id": texts[0], "app_name": texts[1]} if version == 1 else {"app": {"app_id": texts[0], "name": texts[1]}}
    )
    record["data"] = old | app | {"status": status, "scopes": [texts[2]], "config": {texts[3]: texts} if kept else {}}
    event = decoded(record)
    assert isinstance(event, Event), event
    assert event.schemaversion == UPCASTERS.current(name)
    assert event.data["health"]["status"] == status
