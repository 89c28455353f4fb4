import json
from collections.abc import Callable
from typing import Any

import pytest

from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event

Record = dict[str, Any]
Read = Callable[..., Any]
Build = Callable[..., Record]

UUID = "0199c1d2-0040-7000-8000-0000000000aa"


def padded(record: Record, size: int) -> bytes:
    """The record as JSON of exactly `size` bytes."""
    value = json.dumps(record).encode()
    return value[:-1] + b" " * (size - len(value)) + b"}"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"\x00",
        b"hello",
        b"{",
        b"{'specversion': '1.0'}",
        b'{"a": 1,}',
        b'{"a": 1} {"a": 2}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\x00"}',
        b'{"a": "\\x"}',
        b'{"a": "\\ud8zz"}',
        b'{"a": ' + b"9" * 5_000 + b"}",
        b"[" * 500_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"\x00\x00\x00\x00\x01\x10avro",
    ],
    ids=lambda value: repr(value[:24]),
)
def test_what_is_no_utf8_json_is_e_decode(value: bytes):
    assert decode("conversations", b"k", value, None).code == "E_DECODE"


@pytest.mark.parametrize("value", [b"null", b"1", b'"text"', b"[]", b"{}", b'[{"specversion":"1.0"}]', b"1e400"])
def test_json_that_is_no_cloudevent_is_e_schema(value: bytes):
    assert decode("conversations", b"k", value, None).code == "E_SCHEMA"


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity"])
def test_a_number_that_is_no_json_is_e_decode_wherever_it_stands(literal: bytes, event: Build, read: Read):
    for record in (event(extra="@"), event(data__extra="@"), event(data__formatted_content={"a": ["@"]})):
        value = json.dumps(record).encode().replace(b'"@"', literal)
        key = record["data"]["channel_id"].encode()
        assert read(value, key=key).code == "E_DECODE"


def test_a_text_about_nan_and_infinity_is_just_a_text(event: Build, read: Read):
    decoded = read(event(data__content="NaN, Infinity and -Infinity"))
    assert decoded.data["content"] == "NaN, Infinity and -Infinity"


def test_one_mebibyte_passes_and_one_byte_more_is_e_size(event: Build):
    record = event()
    key = record["data"]["channel_id"].encode()
    assert isinstance(decode("conversations", key, padded(record, 1_048_576), None), Event)
    assert decode("conversations", key, padded(record, 1_048_577), None).code == "E_SIZE"


@pytest.mark.parametrize("attribute", ["specversion", "id", "source", "type", "subject", "time", "sequence", "data"])
def test_a_required_attribute_that_is_missing_or_null_is_e_schema(attribute: str, event: Build, read: Read):
    missing = event()
    key = missing["data"]["channel_id"].encode()
    del missing[attribute]
    for record in (missing, event(**{attribute: None})):
        refusal = read(json.dumps(record).encode(), key=key)
        assert refusal.code == "E_SCHEMA"
        assert refusal.reason.startswith(f"{attribute}: ")


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("specversion", "0.3"),
        ("specversion", 1.0),
        ("id", "0199C1D2-0040-7000-8000-0000000000AA"),
        ("id", "{0199c1d2-0040-7000-8000-0000000000aa}"),
        ("id", "urn:uuid:0199c1d2-0040-7000-8000-0000000000aa"),
        ("id", "0199c1d2004070008000000000000aa"),
        ("id", f"{UUID}\n"),
        ("id", 7),
        ("type", ""),
        ("type", 7),
        ("source", ""),
        ("source", {}),
        ("subject", ""),
        ("subject", 7),
        ("sequence", 7),
        ("sequence", ""),
        ("sequence", "-1"),
        ("sequence", "+1"),
        ("sequence", " 1"),
        ("sequence", "1_000"),
        ("sequence", "1.0"),
        ("sequence", "0x1f"),
        ("sequence", "٣"),
        ("sequence", "9223372036854775808"),
        ("sequence", "9" * 5_000),
        ("schemaversion", 0),
        ("schemaversion", -1),
        ("schemaversion", "1"),
        ("schemaversion", True),
        ("schemaversion", 1.0),
        ("workspaceid", "acme"),
        ("workspaceid", ""),
        ("correlationid", 7),
        ("causationid", {}),
        ("data", "text"),
        ("data", []),
    ],
)
def test_an_attribute_of_another_form_is_e_schema_and_named(attribute: str, value: object, event: Build, read: Read):
    key = event()["data"]["channel_id"].encode()
    refusal = read(json.dumps(event(**{attribute: value})).encode(), key=key)
    assert (refusal.code, refusal.reason.split(":")[0]) == ("E_SCHEMA", attribute)


@pytest.mark.parametrize(
    ("type_", "field", "value"),
    [
        ("collab.message.posted", "message_id", UUID.upper()),
        ("collab.message.posted", "message_type", "Text"),
        ("collab.message.posted", "content", 5),
        ("collab.message.posted", "mentions", [UUID, "ben"]),
        ("collab.message.posted", "mentions", UUID),
        ("collab.message.posted", "file_ids", {}),
        ("collab.message.posted", "formatted_content", []),
        ("collab.message.posted", "formatted_content", "{}"),
        ("collab.message.posted", "created_at", "yesterday"),
        ("collab.message.posted", "thread_id", ""),
        ("collab.channel.read", "mark_unread", 1),
        ("collab.channel.read", "mark_unread", None),
        ("collab.channel.created", "is_general", "true"),
        ("collab.channel_member.joined", "role", "owner"),
        ("collab.workspace_member.joined", "role", "king"),
        ("collab.user.status_changed", "status", "away"),
        ("collab.workspace.created", "max_members", "5"),
        ("collab.workspace.created", "max_members", 5.0),
        ("collab.workspace.created", "max_members", True),
        ("collab.workspace.created", "max_members", 2**31),
        ("collab.workspace.created", "max_members", -(2**31) - 1),
        ("collab.file.uploaded", "file_size", 2**63),
        ("collab.file.uploaded", "file_size", 10**400),
        ("collab.file.uploaded", "tags", ["a", 1]),
        ("collab.integration.installed", "scopes", "a,b"),
        ("collab.integration.installed", "channel_id", "general"),
        ("collab.trend.window_closed", "messages", 2**63),
    ],
)
def test_a_field_of_another_type_is_e_schema_and_named(type_: str, field: str, value: object, event: Build, read: Read):
    refusal = read(event(type_, **{f"data__{field}": value}))
    assert refusal.code == "E_SCHEMA"
    assert refusal.reason.startswith(f"data.{field}")


@pytest.mark.parametrize(
    ("type_", "field", "value"),
    [
        ("collab.workspace.created", "max_members", 2**31 - 1),
        ("collab.file.uploaded", "file_size", 2**63 - 1),
        ("collab.file.uploaded", "file_size", 0),
        ("collab.presence.changed", "status", "in a cave"),
        ("collab.file.uploaded", "mime_type", "odd"),
        ("collab.user.registered", "email", "no e-mail address"),
        ("collab.user.registered", "timezone", "Atlantis/Central"),
        ("collab.message.posted", "content", ""),
        ("collab.message.posted", "client_msg_id", ""),
        ("collab.message.posted", "mentions", [UUID, UUID]),
    ],
)
def test_beyond_its_type_a_field_is_not_judged(type_: str, field: str, value: object, event: Build, read: Read):
    assert read(event(type_, **{f"data__{field}": value})).data[field] == value


def test_the_reason_names_every_field_but_at_most_five(event: Build, read: Read):
    refusal = read(event(data__content=None, data__mentions=[1, 2], data__user_id="x"))
    assert refusal.reason == (
        "data.user_id: expected a UUID in canonical lower case; data.content: expected a string; "
        "data.mentions[0]: expected a string; data.mentions[1]: expected a string"
    )
    refusal = read(event(data__mentions=list(range(9))))
    assert refusal.reason.endswith("data.mentions[4]: expected a string; and 4 more")


def test_an_unknown_type_is_e_unknown_type(event: Build, read: Read):
    for type_ in ("collab.message.sent", "message.posted", "COLLAB.MESSAGE.POSTED", "collab.message.posted\x00"):
        assert read(event(type=type_), key=b"k").code == "E_UNKNOWN_TYPE"


@pytest.mark.parametrize("topic", ["directory", "signals", "dead-letters", "collab.conversations", "no-such-topic"])
def test_a_known_type_on_a_topic_that_does_not_carry_it_is_e_unknown_type(topic: str, event: Build, read: Read):
    assert read(event(), topic=topic).code == "E_UNKNOWN_TYPE"


def test_the_inbound_topic_takes_any_type_under_any_key(samples: dict[str, Record]):
    for sample in samples.values():
        for key in (None, b"", b"whatever"):
            assert isinstance(decode("inbound", key, json.dumps(sample).encode(), None), Event)


@pytest.mark.parametrize("version", [2, 99, 10**30])
def test_a_version_from_the_future_is_e_version(version: int, event: Build, read: Read):
    assert read(event(schemaversion=version)).code == "E_VERSION"


@pytest.mark.parametrize("record", [{"schemaversion": 1}, {"schemaversion": None}, {}])
def test_the_version_is_one_when_absent(record: Record, event: Build, read: Read):
    built = event()
    del built["schemaversion"]
    assert read(built | record).schemaversion == 1


@pytest.mark.parametrize("key", [None, b"", b"\xff", b"general", b'"%s"', b"%s ", b"workspace"])
def test_a_key_that_is_not_the_contracts_is_e_key(key: bytes | None, event: Build):
    record = event()
    channel_id = record["data"]["channel_id"].encode()
    wrong = key % channel_id if key and b"%s" in key else key
    refusal = decode("conversations", wrong, json.dumps(record).encode(), None)
    assert (refusal.code, refusal.reason) == ("E_KEY", "key: expected data.channel_id")


def test_the_codes_win_in_the_order_of_the_rulings(event: Build):
    """Each record has all the faults that follow its own in the order, and one fault less than the one before."""
    value = json.dumps(
        event(
            specversion="2",
            type="collab.nothing",
            schemaversion=99,
            time="1999-01-01T00:00:00Z",
            data__content=5,
        )
    ).encode()
    faults = [
        ("E_SIZE", None),
        ("E_DECODE", lambda text: text[:2_000_000].rstrip()),
        ("E_SCHEMA", lambda text: text.removesuffix(b",")),
        ("E_UNKNOWN_TYPE", lambda text: text.replace(b'"2"', b'"1.0"')),
        ("E_VERSION", lambda text: text.replace(b"collab.nothing", b"collab.message.posted")),
        ("E_SCHEMA", lambda text: text.replace(b'"schemaversion": 99', b'"schemaversion": 1')),
        ("E_KEY", lambda text: text.replace(b'"content": 5', b'"content": "5"')),
    ]
    text = value + b"," + b" " * 2_000_000
    for code, mend in faults:
        text = mend(text) if mend else text
        assert decode("conversations", b"wrong", text, None).code == code, code
    key = event()["data"]["channel_id"].encode()
    assert decode("conversations", key, text, None).code == "E_TIME"


def test_a_refusal_names_the_event_as_far_as_it_can_be_named(event: Build, read: Read):
    record = event(data__content=5)
    refusal = read(record)
    assert refusal.event_type == "collab.message.posted"
    assert refusal.event_id == record["id"]
    assert refusal.workspace_id == record["data"]["workspace_id"]


def test_a_refusal_carries_no_name_that_a_store_or_a_terminal_could_stumble_over(event: Build, read: Read):
    for name in ("x" * 201, "collab.\x1b[31m", "coll\u202eab", "a b", "😀"):
        assert read(event(type=name)).event_type is None
    refusal = read(event(id="7", workspaceid="w", data__workspace_id="w"))
    assert (refusal.event_id, refusal.workspace_id) == (None, None)
    assert read(event(data__content=5, data__workspace_id=7)).workspace_id == event()["workspaceid"]
