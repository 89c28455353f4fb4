"""POST /v1/events and :validate."""

import asyncio
from typing import Any
from uuid import UUID

import orjson
import pytest
from jsonschema import Draft202012Validator

from tailrace.http.app import Surroundings
from tailrace.http.bodies import BATCH, EVENT, BodyLimits
from tailrace.producer import DeliveryUnknown, NotDelivered, TopicMissing

TOKEN = "a long word"  # noqa: S105 - opens nothing


def client_of(client: Any, log: Any, **more: Any) -> Any:
    return type(client)(Surroundings(log, **more))


async def test_an_event_gets_what_it_lacks_and_its_place_is_told(client: Any, log: Any, event: Any):
    response = await client.post(event)
    (accepted,) = response.json()["events"]
    (written,) = log.events

    assert response.status_code == 202
    assert UUID(accepted["id"]).version == 7
    assert written["id"] == accepted["id"]
    assert written["subject"] == event["data"]["message_id"]
    assert (written["time"], written["schemaversion"]) == ("2026-11-21T00:00:00.000000Z", 1)
    assert int(written["sequence"]) > 1 << 60
    assert (accepted["topic"], accepted["key"]) == ("collab.conversations", event["data"]["channel_id"])
    assert (accepted["partition"], accepted["offset"]) == (0, 0)


async def test_what_an_event_brings_stays(client: Any, log: Any, event: Any):
    given = {"id": "0199c1d2-00e0-7000-8000-0000000000ff", "time": "2026-11-20T08:00:00Z", "sequence": "7"}

    await client.post({**event, **given, "source": "/mine", "subject": "s", "traceparent": "00-1-2-01"})

    assert log.events[0].items() >= {**given, "source": "/mine", "subject": "s", "traceparent": "00-1-2-01"}.items()


async def test_a_batch_goes_in_whole_and_in_order(client: Any, log: Any, event: Any):
    response = await client.post([event] * 120)

    assert [it["id"] for it in response.json()["events"]] == [it["id"] for it in log.events]
    sequences = [int(it["sequence"]) for it in log.events]
    assert len(sequences) == 120
    assert sequences == sorted(set(sequences))


async def test_one_event_that_does_not_fit_keeps_the_whole_batch_out(client: Any, log: Any, event: Any):
    wrong = {**event, "data": {**event["data"], "emoji": 5, "user_id": "secret"}}

    response = await client.post([event, wrong, {**event, "type": "collab.mesage.posted"}])
    problem = response.json()

    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    assert log.records == []
    assert [(it["event"], it["code"], it["path"]) for it in problem["errors"]] == [
        (1, "E_SCHEMA", "data.user_id"),
        (1, "E_SCHEMA", "data.emoji"),
        (2, "E_UNKNOWN_TYPE", "type"),
    ]
    assert "collab.message.posted" in problem["errors"][2]["fix"]
    assert "secret" not in response.text


@pytest.mark.parametrize("type_", ["collab.notification.raised", "collab.trend.window_closed"])
@pytest.mark.parametrize("path", ["/v1/events", "/v1/events:validate"])
async def test_what_only_the_streams_write_is_refused(client: Any, log: Any, samples: Any, type_: str, path: str):
    response = await client.post(samples[type_], path)
    [error] = response.json()["errors"]

    assert (response.status_code, response.json()["code"]) == (422, "E_UNKNOWN_TYPE")
    assert (error["path"], error["reason"]) == ("type", "derived by Tailrace itself, not taken from producers")
    assert log.records == []


async def test_an_empty_batch_is_taken_and_is_nothing(client: Any, log: Any):
    response = await client.post([])

    assert (response.status_code, response.json()) == (202, {"events": []})
    assert log.records == []


async def test_validate_says_the_same_and_sends_nothing(client: Any, log: Any, event: Any):
    fits = await client.post([event], "/v1/events:validate")
    refused = await client.post({**event, "data": {}}, "/v1/events:validate")

    assert fits.status_code == 200
    assert fits.json()["events"][0]["topic"] == "collab.conversations"
    assert refused.status_code == 422
    assert log.records == []


@pytest.mark.parametrize("version", [None, "0.3", 1.0])
async def test_only_cloudevents_1_0_is_stamped(client: Any, event: Any, version: Any):
    response = await client.post({**event, "specversion": version})

    assert response.json()["errors"][0]["path"] == "specversion"


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", EVENT, 400, "E_DECODE"),
        (b'{"a": NaN}', EVENT, 400, "E_DECODE"),
        (b"\xff", EVENT, 400, "E_DECODE"),
        (b"[" * 5_000, BATCH, 400, "E_DECODE"),
        (b"5", EVENT, 422, "E_SCHEMA"),
        (b"{}", BATCH, 422, "E_SCHEMA"),
        (b"[1]", BATCH, 422, "E_SCHEMA"),
        (b"{}", "application/json", 415, "E_MEDIA_TYPE"),
        (b"{}", "", 422, "E_SCHEMA"),
        (b"{}", b"a/b/c; charset=\xff", 415, "E_MEDIA_TYPE"),
        (b"{}", f"{EVENT}; charset=latin-1", 415, "E_MEDIA_TYPE"),
        (b"{}", f"{EVENT}; charset=UTF-8", 422, "E_SCHEMA"),
        (b" " * 1_001, EVENT, 413, "E_SIZE"),
        (b"[{},{},{}]", BATCH, 413, "E_BATCH"),
    ],
)
async def test_bodies_that_are_none(client: Any, log: Any, body: bytes, kind: Any, status: int, code: str):
    bounded = client_of(client, log, limits=BodyLimits(event_max_bytes=1_000, batch_max_events=2))

    response = await bounded.post(body, kind=kind)

    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_a_body_that_does_not_say_its_length_is_counted(client: Any, log: Any):
    bounded = client_of(client, log, limits=BodyLimits(event_max_bytes=1_000))

    async def chunks():
        for _ in range(3):
            yield b" " * 400

    response = await bounded.send("POST", "/v1/events", content=chunks(), headers={"content-type": EVENT})

    assert response.status_code == 413


async def test_a_compressed_body_is_refused(client: Any):
    response = await client.post({}, **{"content-encoding": "gzip"})

    assert response.status_code == 415


async def test_an_event_over_a_mebibyte_is_refused_by_the_contract(client: Any, event: Any):
    response = await client.post({**event, "data": {**event["data"], "emoji": "x" * 2**20}})

    assert (response.status_code, response.json()["code"]) == (422, "E_SIZE")


async def test_a_full_server_says_when_to_come_again(client: Any, log: Any, event: Any):
    log.held = []
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(client.post([event] * 1_000)) for _ in range(8)]
        await log.held_enough.wait()
        response = await client.post(event)
        for each in waiting:
            each.cancel()

    assert (response.status_code, response.headers["retry-after"]) == (429, "1")


async def test_what_is_known_of_each_event_is_told_when_the_log_goes_away(client: Any, log: Any, event: Any):
    log.failure, log.failing_from = DeliveryUnknown("x", "no answer"), 1

    response = await client.post([event, event])

    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert [it["outcome"] for it in response.json()["events"]] == ["in the log", "unknown"]
    named = response.json()["events"][0]
    assert {name: named[name] for name in ("id", "time", "sequence")}.items() <= log.events[0].items()


async def test_what_validate_or_a_503_named_is_the_same_event_when_it_is_sent(client: Any, log: Any, event: Any):
    (stamps,) = (await client.post(event, "/v1/events:validate")).json()["events"]
    stamped = {**event, **{name: stamps[name] for name in ("id", "time", "sequence")}}
    log.failure = DeliveryUnknown("x", "no answer")
    (again,) = (await client.post(stamped)).json()["events"]
    log.failure = None
    for _ in range(2):
        await client.post(stamped)

    assert again == {**stamps, "outcome": "unknown"}
    assert log.records[0].value == log.records[1].value


async def test_the_same_id_alone_is_stamped_anew_and_counts_as_newer(client: Any, log: Any, event: Any):
    for _ in range(2):
        await client.post({**event, "id": "0199c1d2-00e0-7000-8000-0000000000ff"})

    first, second = log.events
    assert first["id"] == second["id"]
    assert int(first["sequence"]) < int(second["sequence"])


@pytest.mark.parametrize("failure", [NotDelivered("x", "away"), TopicMissing("collab.conversations")])
async def test_an_event_that_certainly_is_not_in_the_log(client: Any, log: Any, event: Any, failure: Exception):
    log.failure = failure

    response = await client.post(event)

    assert response.json()["events"][0]["outcome"] == "not in the log"


async def test_a_fault_of_ours_quotes_nothing(client: Any, log: Any, event: Any):
    log.failure = RuntimeError("secret")

    response = await client.post(event)

    assert (response.status_code, response.json()["code"]) == (500, "E_INTERNAL")
    assert "secret" not in response.text


async def test_a_token_is_asked_for_where_one_is_set(client: Any, log: Any, event: Any):
    guarded = client_of(client, log, token=TOKEN)

    answers = [
        await guarded.post(event),
        await guarded.post(event, authorization="Bearer wrong"),
        await guarded.post(event, authorization=f"bearer {TOKEN}"),
        await guarded.send("GET", "/livez", base="http://elsewhere"),
    ]

    assert [it.status_code for it in answers] == [401, 401, 202, 200]
    assert answers[0].headers["www-authenticate"].startswith("Bearer")


async def test_without_a_token_a_name_that_is_not_loopback_is_not_served(client: Any, log: Any, event: Any):
    content = {"content": orjson.dumps(event), "headers": {"content-type": EVENT}}

    statuses = [
        (await client.send("POST", "/v1/events", base=base, **content)).status_code
        for base in ("http://rebound.example", "http://localhost:8460", "http://[::1]:8460")
    ]

    assert statuses == [403, 202, 202]


async def test_schemas_of_all_types_are_valid_and_fit_their_samples(client: Any, samples: Any):
    for type_, event in samples.items():
        schema = (await client.send("GET", f"/schemas/{type_}.json?version={event['schemaversion']}")).json()
        Draft202012Validator.check_schema(schema)
        Draft202012Validator(schema).validate(event)
    for wrong in ("collab.none.json", "collab.user.erased.json?version=9", "collab.user.erased.json?version=x"):
        assert (await client.send("GET", f"/schemas/{wrong}")).status_code == 404


async def test_no_such_path_and_no_such_method_are_problems_too(client: Any):
    answers = [await client.send("GET", "/none"), await client.send("GET", "/v1/events")]

    assert [it.json()["status"] for it in answers] == [404, 405]
    assert answers[1].headers["allow"] == "POST"
