"""Records as no producer of ours would write them, on a real broker, each between good neighbours.

What is refused becomes one dead letter with its code, in the table and in the topic; what the contract allows is
applied, however strange; the neighbours are applied and the worker goes on.
"""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from contract_events import CloudEvent, Given, at, id_of, in_world
from kafka_topics import Raw, publish, read_all, record_of
from read_models import ReadModels, Tables
from worker_process import PARTITIONS, caught_up, tailrace, workers

from tailrace.addresses import resolve
from tailrace.operations.topics import apply_topics
from tailrace.verification.verify import verify

Place = tuple[str, int, int]

MIB = 2**20
HEADERS = (("content-type", b"application/cloudevents+json"), ("trace", b"\x00\xff"))
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def words(size: int) -> str:
    """Distinct words, more than one of PostgreSQL's text vectors holds."""
    numbers = iter(range(36**3, 36**4))
    made = ("".join(LETTERS[n // 36**k % 36] for k in range(4)) for n in numbers)
    text = " ".join(word for _, word in zip(range(size // 5 + 1), made, strict=False))
    return text[:size]


def rare(size: int) -> str:
    """Pairs of letters of four bytes, of which the index holds each letter and each pair."""
    return "".join(f"{chr(0x20000 + n)}-{chr(0x2A000 - n)} " for n in range(size // 4))


def noise(size: int) -> str:
    """Letters that no compression makes fit into an index entry."""
    return "".join(random.Random(1).choices(LETTERS, k=size))


def bytes_of(event: CloudEvent, **changes: Any) -> bytes:
    return json.dumps(in_world(event) | changes).encode()


def filled(event: CloudEvent, field: str, size: int, fill: Callable[[int], str]) -> CloudEvent:
    """The event with so long a text in a field that the record has exactly `size` bytes."""
    empty = len(record_of(event | {"data": event["data"] | {field: ""}}).value or b"")
    return event | {"data": event["data"] | {field: fill(size - empty)}}


def nested(depth: int) -> dict[str, Any]:
    return {"in": nested(depth - 1)} if depth else {}


@dataclass(frozen=True)
class Refused:
    """A record that must not be applied."""

    name: str
    code: str
    make: Callable[[Given], Raw]


def _value(change: Callable[[CloudEvent], bytes]) -> Callable[[Given], Raw]:
    def make(given: Given) -> Raw:
        return Raw("conversations", id_of("c1").encode(), change(given.posted("bad")), HEADERS)

    return make


def _changed(**changes: Any) -> Callable[[Given], Raw]:
    return _value(lambda event: bytes_of(event, **changes))


def _data(**changes: Any) -> Callable[[Given], Raw]:
    return _value(lambda event: bytes_of(event, data=in_world(event)["data"] | changes))


def _keyed(key: bytes | None, topic: str = "conversations") -> Callable[[Given], Raw]:
    return lambda given: Raw(topic, key, bytes_of(given.posted("bad")), HEADERS)


def _without(name: str) -> Callable[[Given], Raw]:
    return _value(lambda event: json.dumps({k: v for k, v in in_world(event).items() if k != name}).encode())


REFUSED = (
    Refused("bytes", "E_DECODE", _value(lambda _: b"\xff\xfe\x00\x80")),
    Refused("nothing", "E_DECODE", _value(lambda _: b"")),
    Refused("truncated", "E_DECODE", _value(lambda event: bytes_of(event)[:-20])),
    Refused("surrogate bytes", "E_DECODE", _value(lambda e: bytes_of(e).replace(b"hello", b"\xed\xa0\x80"))),
    Refused("not a number", "E_DECODE", _value(lambda e: bytes_of(e).replace(b'"hello"', b"NaN"))),
    Refused("byte order mark", "E_DECODE", _value(lambda event: b"\xef\xbb\xbf" + bytes_of(event))),
    Refused("a list", "E_SCHEMA", _value(lambda _: b"[]")),
    Refused("no time", "E_SCHEMA", _without("time")),
    Refused("a number for text", "E_SCHEMA", _data(content=5)),
    Refused("null for text", "E_SCHEMA", _data(content=None)),
    Refused("unknown kind", "E_SCHEMA", _data(message_type="hologram")),
    Refused("id in capitals", "E_SCHEMA", _data(user_id="0191D000-0000-7000-8000-0000000000AB")),
    Refused("a number for sequence", "E_SCHEMA", _changed(sequence=7)),
    Refused("sequence beyond 63 bits", "E_SCHEMA", _changed(sequence=str(2**63))),
    Refused("unknown type", "E_UNKNOWN_TYPE", _changed(type="collab.message.teleported")),
    Refused("wrong topic", "E_UNKNOWN_TYPE", _keyed(id_of("c1").encode(), "files")),
    Refused("version of the future", "E_VERSION", _changed(schemaversion=99)),
    Refused("key of another", "E_KEY", _keyed(id_of("c2").encode())),
    Refused("key that is no text", "E_KEY", _keyed(b"\xff\x00")),
    Refused("null key", "E_KEY", _keyed(None)),
    Refused("1970", "E_TIME", _changed(time="1970-01-01T00:00:00Z")),
    Refused("far future", "E_TIME", _data(created_at="2999-01-01T00:00:00Z")),
    Refused("one byte over", "E_SIZE", lambda given: record_of(filled(given.posted("bad"), "content", MIB + 1, noise))),
    Refused("nearly two MiB", "E_SIZE", _value(lambda _: b"x" * (2 * MIB - 2_000))),
)

LEGAL: dict[str, Callable[[Given], list[CloudEvent]]] = {
    "1 MiB of distinct words": lambda given: [filled(given.posted("long"), "content", MIB, words)],
    "1 MiB of one word": lambda given: [filled(given.posted("word"), "content", MIB, noise)],
    "edited to 1 MiB of distinct words": lambda given: [
        given.posted("grown", "short", thread_id="long"),
        filled(given.edited("", "grown"), "content", MIB, words),
        given.reacted("👍", "grown"),
    ],
    "an emoji of 5,000 letters": lambda given: [given.reacted(noise(5_000), "long")],
    "a client id of 5,000 letters": lambda given: [given.posted("client", client_msg_id=noise(5_000))],
    "a file name of 1 MiB": lambda given: [filled(given.uploaded("f1"), "filename", MIB, words)],
    "1 MiB found in a file": lambda given: [
        given.uploaded("f2"),
        filled(given.file("processed", "f2"), "extracted_text", MIB, words),
    ],
    "the largest text vector of its length found in a file": lambda given: [
        given.uploaded("f5"),
        given.file("processed", "f5", extracted_text=rare(80_000)),
    ],
    "an e-mail address of 5,000 letters": lambda given: [given.user("long", email=noise(5_000), username=noise(5_000))],
    "a channel name of 5,000 letters": lambda given: [given.channel("c9", name=noise(5_000))],
    "a kind of activity of 5,000 letters": lambda given: [given.activity(event_type=noise(5_000))],
    "a subject of 5,000 letters": lambda given: [given.edited("parked", "unknown") | {"subject": noise(5_000)}],
    "times at both ends of the calendar": lambda given: [
        given.uploaded("f3", expires_at="9999-12-31T23:59:59.999999Z"),
        given.joined("old", "c1", muted_until="0001-01-01T00:00:00Z"),
        given.read("m1", "12:00", "old", last_read_at="0001-01-01T00:00:00Z"),
        given.posted("dated"),
        given.edited("edited", "dated", edited_at="9999-12-31T23:59:59.999999Z"),
    ],
    "NUL and lone surrogates": lambda given: [
        given.posted("nul", "\x00 and \ud83d", formatted_content={"\x00": "\udc00"}),
        given.reacted("\x00", "nul"),
        given.channel("c8", name="\ud800"),
    ],
    "numbers at their ends": lambda given: [
        given.workspace(max_members=2**31 - 1, settings={"big": 2**64, "small": -(2**63), "real": 1e308}),
        given.uploaded("f4", file_size=2**63 - 1, seq=2**63 - 1),
    ],
    "nested as deep as is read": lambda given: [given.posted("deep", formatted_content=nested(150))],
    "fields and attributes nobody knows": lambda given: [given.posted("extra", surprise=[1]) | {"surprise": {}}],
}


@dataclass(frozen=True)
class Aftermath:
    """What was there when everything had been read. Places are (full topic, partition, offset)."""

    tables: Tables
    differences: dict[str, Any]
    letters: dict[Place, dict[str, Any]]
    relayed: list[Any]
    places: dict[str, set[Place]]
    sent: dict[str, Raw]
    neighbours: set[str]
    projection: dict[str, Any]
    exit_code: int


@pytest.fixture(scope="module")
async def after(fresh_models: Callable[[str], ReadModels], tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    """Everything bad and strange in one log, a good message after each, read by one worker."""
    models, given = fresh_models("bad_input"), Given()
    settings = models.settings
    settings.kafka.partitions, settings.kafka.partitions_small = PARTITIONS, 1
    await apply_topics(settings, resolve(settings).kafka)
    parts: dict[str, list[CloudEvent | Raw]] = {name: [*make(given)] for name, make in LEGAL.items()}
    parts |= {refused.name: [refused.make(given)] for refused in REFUSED}
    parts["null value"] = [Raw("conversations", id_of("c1").encode(), None)]
    records: list[CloudEvent | Raw] = [given.channel("c1")]
    spans: dict[str, range] = {}
    for name, part in parts.items():
        spans[name] = range(len(records), len(records) + len(part))
        records += [*part, given.posted(f"n{len(spans)}")]
    places = await publish(settings, records)
    async with workers(settings, tmp_path_factory.mktemp("bad_input")) as start:
        worker = await start()
        await caught_up(settings)
        exit_code = await worker.stop()
    _, printed = await tailrace(settings, "status", "-o", "json")
    rows = models.execute("SELECT * FROM runtime.dead_letters")
    return Aftermath(
        tables=models.worlds()[0],
        differences=(await asyncio.to_thread(verify, settings, limit=3)).document(),
        letters={(row["topic"], row["partition"], row["offset"]): row for row in rows},
        relayed=await read_all(settings, "dead-letters"),
        places={name: {places[number] for number in span} for name, span in spans.items()},
        sent={name: part[0] for name, part in parts.items() if isinstance(part[0], Raw)},
        neighbours={f"n{number + 1}" for number in range(len(spans))},
        projection=json.loads(printed)["projections"]["postgres"],
        exit_code=exit_code,
    )


async def test_the_neighbours_are_applied_and_the_worker_ends_well(after: Aftermath):
    assert after.neighbours <= after.tables.messages()
    assert after.exit_code == 0
    assert after.projection["state"] == "current"


@pytest.mark.parametrize("name", LEGAL)
async def test_what_the_contract_allows_is_no_dead_letter(after: Aftermath, name: str):
    assert {place: after.letters[place]["reason"] for place in after.places[name] & after.letters.keys()} == {}


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.name)
async def test_what_is_refused_is_one_dead_letter_in_the_table(after: Aftermath, refused: Refused):
    (place,) = after.places[refused.name]
    letter, sent = after.letters[place], after.sent[refused.name]

    assert letter["code"] == refused.code
    assert (bytes(letter["raw"]), letter["key"]) == (sent.value, sent.key)
    assert (letter["attempts"], letter["resolved_at"]) == (1, None)
    assert letter["first_failed_at"] is not None
    assert "hello" not in letter["reason"]


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.name)
async def test_and_one_record_in_the_topic_with_every_header(after: Aftermath, refused: Refused):
    (place,) = after.places[refused.name]
    topic, partition, offset = place
    letter, sent = after.letters[place], after.sent[refused.name]
    (record,) = (
        r
        for r in after.relayed
        if dict(r.headers)["kafka_dlt-original-offset"] == offset.to_bytes(8, "big")
        and dict(r.headers)["kafka_dlt-original-partition"] == partition.to_bytes(4, "big")
        and dict(r.headers)["kafka_dlt-original-topic"] == topic.encode()
    )
    headers = dict(record.headers)

    assert (record.key, record.value) == (sent.key, sent.value)
    assert record.headers[: len(sent.headers)] == sent.headers
    assert headers["tr-code"] == refused.code.encode()
    assert headers["tr-reason"] == letter["reason"].encode()
    assert (headers["tr-projection"], headers["tr-attempt"]) == (b"postgres", b"1")
    assert datetime.fromisoformat(headers["tr-first-failed-at"].decode()) == letter["first_failed_at"]
    assert headers["__connect.errors.topic"] == topic.encode()
    assert (headers["__connect.errors.partition"], headers["__connect.errors.offset"]) == (
        str(partition).encode(),
        str(offset).encode(),
    )
    assert headers["__connect.errors.exception.message"] == letter["reason"].encode()
    assert headers["kafka_dlt-exception-message"] == letter["reason"].encode()
    assert len(headers["kafka_dlt-original-timestamp"]) == 8


async def test_nothing_else_is_a_dead_letter(after: Aftermath):
    refused = set().union(*(after.places[refused.name] for refused in REFUSED))

    assert after.letters.keys() == refused
    assert after.projection["dead_letters"] == len(after.letters)
    assert len(after.relayed) == len(after.letters)


async def test_the_strange_is_stored_as_it_was_said(after: Aftermath):
    assert after.tables.message("long")["content"] == words(len(after.tables.message("long")["content"]))
    assert len(after.tables.message("grown")["content"]) > MIB - 1_000
    assert after.tables.message("grown")["reactions"] == {"👍": ["ana"]}
    assert after.tables.message("nul")["content"] == "\ufffd and \ufffd"
    assert after.tables.message("client")["client_msg_id"] == noise(5_000)
    assert after.tables.message("deep")["formatted_content"] == nested(150)
    numbers = after.tables.row("workspaces", "w1")["settings"]
    assert {name: float(number) for name, number in numbers.items()} == {
        "big": 2.0**64,
        "small": -(2.0**63),
        "real": 1e308,
    }
    assert after.tables.file("f4")["file_size"] == 2**63 - 1
    assert after.tables.file("f3")["expires_at"] == at("9999-12-31T23:59:59.999999")


async def test_the_tables_equal_the_log(after: Aftermath):
    assert after.differences["differences"] == 0
