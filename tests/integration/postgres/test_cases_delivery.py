"""SEMANTICS, cases 62 to 73 as far as PostgreSQL is concerned: what is refused, and what a refusal leaves alone."""

from typing import Any

import pytest
from contract_events import Given, at, in_world
from read_models import ReadModels, Row, log_of
from worlds import Tell

from tailrace.schemas.catalogue import EVENT_TYPES


def letters(models: ReadModels) -> list[Row]:
    return models.execute(
        "SELECT code, reason, raw, key, event_type, event_id, attempts, resolved_at FROM runtime.dead_letters"
        ' ORDER BY topic, partition, "offset"'
    )


async def test_62_poison_in_the_middle_of_a_channel_stops_nobody(given: Given, told: Tell, models: ReadModels):
    broken = given.posted("m2") | {"raw": b'{"specversion": "1.0", '}
    rows = await told(given.posted("m1"), broken, given.posted("m3", thread_id="m1"), given.edited("after", "m1"))

    assert rows.messages() == {"m1", "m3"}
    assert (rows.message("m1")["content"], rows.message("m1")["reply_count"]) == ("after", 1)
    assert {row["code"] for row in letters(models)} == {"E_DECODE"}


@pytest.mark.parametrize(
    ("change", "code"),
    [({"type": "collab.message.teleported"}, "E_UNKNOWN_TYPE"), ({"schemaversion": 99}, "E_VERSION")],
    ids=["unknown type", "version of the future"],
)
async def test_64_what_only_a_newer_program_knows_is_kept_as_it_came(
    given: Given, models: ReadModels, change: dict[str, Any], code: str
):
    strange = in_world(given.posted("m2") | change)
    log = log_of([in_world(given.posted("m1")), strange, in_world(given.posted("m3"))], models.settings)

    models.clear()
    await models.apply([log])

    (letter,) = letters(models)
    assert (letter["code"], bytes(letter["raw"]), bytes(letter["key"])) == (code, log[1].value, log[1].key)
    assert (letter["event_type"], letter["event_id"], letter["resolved_at"]) == (strange["type"], "e1", None)
    (tables,) = models.worlds().values()
    assert tables.messages() == {"m1", "m3"}


async def test_64_a_refused_record_that_is_read_again_is_the_same_dead_letter(given: Given, models: ReadModels):
    log = log_of([in_world(given.posted("m1") | {"raw": b"\xff"})], models.settings)

    models.clear()
    await models.apply([log])
    models.rewind()
    await models.apply([log])

    (letter,) = letters(models)
    assert (letter["code"], letter["attempts"]) == ("E_DECODE", 2)


async def test_65_an_event_of_the_first_version_is_applied_after_the_schema_moved_on(given: Given, told: Tell):
    newest = EVENT_TYPES["collab.integration.installed"].version
    old = given.integration(seq=1)
    rows = await told(old, given.integration("updated", seq=2, status="disabled"))

    assert ("schemaversion" not in old, newest) == (True, 3)
    row = rows.row("integrations", "g1")
    assert (row["app_name"], row["app_id"], row["status"], row["scopes"]) == ("Bot", "b", "disabled", ["read"])


async def test_69_what_is_older_than_the_delete_brings_nothing_back(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.channel(),
        given.posted("m1", "first", seq=1),
        given.edited("second", "m1", seq=3),
        given.about("deleted", "m1", seq=9, time="12:40"),
        given.about("restored", "m1", seq=8, time="12:42"),
    )

    assert (rows.message("m1")["is_deleted"], rows.message("m1")["deleted_at"]) == (True, at("12:40"))
    assert rows.channel()["last_message_at"] is None


async def test_73_a_null_value_is_passed_over(given: Given, told: Tell, models: ReadModels):
    rows = await told(given.posted("m1"), given.posted("m2") | {"raw": None}, given.posted("m3"))

    assert rows.messages() == {"m1", "m3"}
    assert letters(models) == []


async def test_73_a_batch_of_null_values_alone_moves_the_position(given: Given, models: ReadModels):
    log = log_of([in_world(given.posted(f"m{n}") | {"raw": None}) for n in range(3)], models.settings)

    models.clear()
    await models.apply([log])

    assert models.execute("SELECT next_offset FROM runtime.progress") == [{"next_offset": 3}]
