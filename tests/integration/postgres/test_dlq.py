"""Dead letters by a fault of ours, with real workers: who waits, who flows, and every way out."""

import asyncio
import json
from typing import Any

import psycopg
import pytest
from contract_events import CloudEvent, Given, id_of
from kafka_topics import Raw, publish
from worker_process import Start, applied, caught_up, eventually, tailrace

from tailrace.addresses import resolve
from tailrace.consumers.redriven import REDRIVEN_FROM
from tailrace.settings import Settings
from tailrace.verification.verify import verify

PLANT = """
CREATE FUNCTION collab.planted() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = NEW.content; END $$;
CREATE TRIGGER planted BEFORE INSERT OR UPDATE ON collab.messages FOR EACH ROW
WHEN (NEW.content LIKE 'planted%') EXECUTE FUNCTION collab.planted()
"""
MEND = "DROP TRIGGER planted ON collab.messages; DROP FUNCTION collab.planted()"


def execute(live: Settings, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(resolve(live).postgres, autocommit=True) as connection:
        cursor = connection.execute(statement, arguments or None)
        return cursor.fetchall() if cursor.description else []


def contents(live: Settings) -> dict[str, str]:
    rows = execute(live, "SELECT message_id, content FROM collab.messages")
    return {str(message_id): content for message_id, content in rows}


def open_letters(live: Settings) -> list[tuple[str, int]]:
    return execute(live, "SELECT code, attempts FROM runtime.dead_letters WHERE resolved_at IS NULL ORDER BY 1, 2")


def waiting(live: Settings) -> int:
    return int(execute(live, "SELECT count(*) FROM runtime.parked_events WHERE behind")[0][0])


async def differences(live: Settings) -> dict[str, Any]:
    """Tables that are not as the log says, with what differs."""
    found = await asyncio.to_thread(verify, live, limit=3)
    projections = found.document()["projections"]
    return {name: table["differences"] for name, table in projections.items() if table["differences"]}


async def dlq(live: Settings, *arguments: str) -> tuple[int, Any]:
    """Exit code and the document."""
    code, printed = await tailrace(live, "dlq", *arguments, "-o", "json")
    return code, json.loads(printed) if printed else None


@pytest.fixture
async def planted(live: Settings, start: Start) -> Settings:
    """A worker on tables that refuse messages whose text begins with `planted`."""
    execute(live, PLANT)
    worker = await start()
    await worker.has_joined()
    return live


async def refused(live: Settings, given: Given, edit: str = "better") -> None:
    """m1 is refused, its edit waits behind it, m2 flows."""
    await publish(live, [given.posted("m1", "planted")])
    await caught_up(live)  # in one batch with its edit, only the edit's text would reach the table
    await publish(live, [given.posted("m2"), given.edited(edit, "m1")])
    await caught_up(live)
    assert open_letters(live) == [("E_STORE", 1)]


async def test_what_the_store_refuses_waits_with_all_behind_it_and_goes_on_in_order(planted: Settings, given: Given):
    await refused(planted, given)
    assert contents(planted) == {id_of("m2"): "hello"}
    assert waiting(planted) == 1
    assert set(await differences(planted)) == {"dead_letters"}

    execute(planted, MEND)
    code, outcome = await dlq(planted, "redrive", "--code", "E_STORE", "--reason", "trigger dropped", "--yes")
    assert (code, outcome["sent"], outcome["applied"], outcome["refused_again"]) == (0, 1, 1, 0)
    assert contents(planted)[id_of("m1")] == "better"
    assert (open_letters(planted), waiting(planted)) == ([], 0)
    assert await differences(planted) == {}


async def test_the_letter_says_everything_but_shows_its_value_only_to_who_asks(planted: Settings, given: Given):
    await refused(planted, given)
    _, listed = await dlq(planted, "ls")
    (letter,) = listed["dead_letters"]
    assert (letter["type"] if "type" in letter else letter["event_type"]) == "collab.message.posted"
    assert (letter["subject"], letter["behind"]) == (id_of("m1"), 1)
    assert "planted" not in json.dumps(listed)

    code, shown = await dlq(planted, "show", letter["id"])
    assert (code, shown["value"], shown["key"], len(shown["waiting_behind"])) == (0, None, id_of("c1"), 1)
    code, revealed = await dlq(planted, "show", letter["event_id"], "--reveal")
    assert json.loads(revealed["value"])["data"]["content"] == "planted"
    _, after = await dlq(planted, "show", letter["id"])
    assert [step["what"] for step in after["history"]] == ["revealed"]
    assert (await dlq(planted, "show", "conversations/0/999999"))[0] == 4


async def test_redriven_in_vain_it_is_the_same_letter_with_one_attempt_more(planted: Settings, given: Given):
    await refused(planted, given, edit="planted still")
    for attempt in (2, 3):
        code, outcome = await dlq(planted, "redrive", "--all", "--reason", "hope", "--yes")
        assert (code, outcome["refused_again"]) == (7, 1)
        assert open_letters(planted) == [("E_STORE", attempt)]
    assert waiting(planted) == 1
    assert set(await differences(planted)) == {"dead_letters"}

    execute(planted, MEND)
    assert (await dlq(planted, "redrive", "--all", "--yes"))[0] == 0
    assert await differences(planted) == {}


async def test_redriven_twice_it_is_applied_once(planted: Settings, given: Given):
    await refused(planted, given)
    execute(planted, MEND)
    _, listed = await dlq(planted, "ls")
    letter = listed["dead_letters"][0]["id"]
    both = await asyncio.gather(*(dlq(planted, "redrive", letter, "--yes") for _ in range(2)))
    assert [code for code, _ in both] == [0, 0]
    assert (await dlq(planted, "redrive", letter, "--yes")) == (
        0,
        {"dry_run": False, "selected": 0, "by_code": {}, "waiting_behind": 0},
    )
    await caught_up(planted)
    assert await differences(planted) == {}


async def test_63_redriven_while_new_events_of_the_key_arrive(planted: Settings, given: Given):
    await refused(planted, given)
    execute(planted, MEND)
    edits = [given.edited(f"version {n}", "m1") for n in range(60)]

    async def arrive() -> None:
        for edit in edits:
            await publish(planted, [edit])

    arriving = asyncio.create_task(arrive())
    code, _ = await dlq(planted, "redrive", "--all", "--yes")
    await arriving
    await caught_up(planted)
    assert code == 0
    assert contents(planted)[id_of("m1")] == "version 59"
    assert (open_letters(planted), waiting(planted)) == ([], 0)
    assert await differences(planted) == {}


async def test_discarded_it_is_never_applied_and_those_behind_it_go_on(planted: Settings, given: Given):
    events = [given.channel("c1", name="planted"), given.posted("m1"), given.edited("planted", "m1")]
    await publish(planted, [*events, given.about("pinned", "m1"), given.edited("planted too", "m1")])
    await caught_up(planted)
    assert (open_letters(planted), waiting(planted)) == ([("E_STORE", 1)], 2)

    code, counted = await dlq(planted, "discard", "--all", "--reason", "nobody misses it", "--dry-run")
    assert (code, counted["selected"], counted["waiting_behind"]) == (0, 1, 2)
    assert open_letters(planted) == [("E_STORE", 1)]
    assert (await tailrace(planted, "dlq", "discard", "--all", "--reason", "no"))[0] == 2
    code, outcome = await dlq(planted, "discard", "--all", "--reason", "nobody misses it", "--yes")
    assert (code, outcome) == (0, {"discarded": 1})

    # The pin goes on; the other edit was waiting, is refused in its turn and now stands at the head of the line.
    await eventually(lambda: waiting(planted) == 0, "those behind it are released")
    assert open_letters(planted) == [("E_STORE", 1)]
    assert execute(planted, "SELECT is_pinned, content FROM collab.messages") == [(True, "hello")]
    assert set(await differences(planted)) == {"dead_letters"}
    (how,) = execute(
        planted, "SELECT resolution, resolved_reason FROM runtime.dead_letters WHERE resolved_at IS NOT NULL"
    )
    assert how == ("discarded", "nobody misses it")


async def test_a_store_that_refuses_everything_stops_the_worker_and_nothing_is_lost(
    live: Settings, start: Start, given: Given
):
    execute(live, PLANT)
    await publish(live, [given.posted(f"m{n}", "planted") for n in range(130)])
    worker = await start()
    await eventually(lambda: not worker.is_alive, "the worker gives up")
    assert worker.exit_code == 1
    assert "these are no bad events" in worker.log_file.read_text()
    assert applied(live) == len(execute(live, "SELECT FROM runtime.dead_letters"))

    execute(live, MEND)
    worker = await start()
    await caught_up(live)
    await dlq(live, "redrive", "--all", "--yes")
    await caught_up(live)
    assert len(contents(live)) == 130
    assert await differences(live) == {}


async def test_what_the_contract_refuses_blocks_nobody_and_keeps_one_letter(planted: Settings, given: Given):
    bad: CloudEvent = given.edited("x", "m1")
    bad["data"].pop("content")
    await publish(planted, [given.posted("m1"), bad, given.edited("good", "m1")])
    await caught_up(planted)
    assert contents(planted) == {id_of("m1"): "good"}

    code, outcome = await dlq(planted, "redrive", "--code", "E_SCHEMA", "--yes")
    assert (code, outcome["refused_again"]) == (7, 1)
    assert execute(planted, "SELECT code, attempts FROM runtime.dead_letters") == [("E_SCHEMA", 2)]
    assert await differences(planted) == {}


async def test_a_header_that_lies_hides_no_refusal(planted: Settings, given: Given):
    await refused(planted, given)
    _, listed = await dlq(planted, "ls")
    lie = (REDRIVEN_FROM, listed["dead_letters"][0]["id"].encode())
    await publish(planted, [Raw("conversations", id_of("c1").encode(), b"no JSON", (("other", b""), lie))])
    await caught_up(planted)
    assert open_letters(planted) == [("E_DECODE", 1), ("E_STORE", 1)]
