import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.schemas.scrub import scrub

Record = dict[str, Any]
Read = Callable[..., Any]
Build = Callable[..., Record]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-20T09:15:00Z", datetime(2026, 11, 20, 9, 15, tzinfo=UTC)),
        ("2026-11-20t09:15:00z", datetime(2026, 11, 20, 9, 15, tzinfo=UTC)),
        ("2026-11-20T09:15:00.5Z", datetime(2026, 11, 20, 9, 15, 0, 500_000, tzinfo=UTC)),
        ("2026-11-20T09:15:00.1234569Z", datetime(2026, 11, 20, 9, 15, 0, 123_456, tzinfo=UTC)),
        ("2026-11-20T09:15:00." + "9" * 40 + "Z", datetime(2026, 11, 20, 9, 15, 0, 999_999, tzinfo=UTC)),
        ("2026-11-20T09:15:00+00:00", datetime(2026, 11, 20, 9, 15, tzinfo=UTC)),
        ("2026-11-20T09:15:00-00:00", datetime(2026, 11, 20, 9, 15, tzinfo=UTC)),
        ("2026-11-20T00:15:00+05:45", datetime(2026, 11, 19, 18, 30, tzinfo=UTC)),
        ("2026-11-20T09:15:00.25-23:59", datetime(2026, 11, 21, 9, 14, 0, 250_000, tzinfo=UTC)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_utc_with_microseconds(text: str, time: datetime, event: Build, read: Read):
    decoded = read(event(time=text, data__created_at=text))
    assert (decoded.time, decoded.data["created_at"]) == (time, time)
    assert decoded.time.tzinfo is UTC
    assert decoded.data["created_at"].tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20",
        "2026-11-20T09:15Z",
        "2026-11-20T09:15:00",
        "2026-11-20 09:15:00Z",
        "2026-11-20T09:15:60Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T09:60:00Z",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-11-20T09:15:00.Z",
        "2026-11-20T09:15:00,5Z",
        "2026-11-20T09:15:00+0100",
        "2026-11-20T09:15:00+01",
        "2026-11-20T09:15:00+24:00",
        "2026-11-20T09:15:00+01:60",
        "2026-11-20T09:15:00Z\n",
        " 2026-11-20T09:15:00Z",
        "20261120T091500Z",
        "2026-W47-5T09:15:00Z",
        "٢٠٢٦-11-20T09:15:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "10000-01-01T00:00:00Z",
        "1795166100",
        "now",
        "",
        1_795_166_100,
        1_795_166_100.5,
        None,
        {},
    ],
)
def test_what_is_no_rfc3339_time_is_e_schema(text: object, event: Build, read: Read):
    for name in ("time", "data__created_at", "data__last_read_at"):
        type_ = "collab.channel.read" if name == "data__last_read_at" else "collab.message.posted"
        refusal = read(event(type_, **{name: text}))
        assert refusal.code == "E_SCHEMA"
        expected = "expected an RFC 3339 time with seconds and offset"
        assert refusal.reason == f"{name.replace('__', '.')}: {expected}"


@pytest.mark.parametrize("field", ["time", "data__created_at"])
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2026-11-21T12:10:00Z", None),
        ("2026-11-21T12:10:00.000000999Z", None),
        ("2026-11-21T12:10:00.000001Z", "E_TIME"),
        ("2026-11-21T13:09:59+01:00", None),
        ("9999-12-31T23:59:59.999999Z", "E_TIME"),
        ("2000-01-01T00:00:00Z", None),
        ("1999-12-31T23:59:59.999999Z", "E_TIME"),
        ("2000-01-01T00:59:59+01:00", "E_TIME"),
        ("1970-01-01T00:00:00Z", "E_TIME"),
        ("0001-01-01T00:00:00Z", "E_TIME"),
        ("2003-05-01T00:00:00Z", None),
    ],
)
def test_time_and_created_at_are_judged_to_the_microsecond(
    field: str, text: str, code: str | None, event: Build, read: Read
):
    decoded = read(event(**{field: text}))
    if code is None:
        assert isinstance(decoded, Event)
    else:
        assert decoded.code == code
        assert decoded.reason.startswith(field.replace("__", ".") + ": ")


@pytest.mark.parametrize(
    ("type_", "field"),
    [
        ("collab.message.edited", "edited_at"),
        ("collab.message.edited", "message_created_at"),
        ("collab.channel_member.joined", "muted_until"),
        ("collab.channel.read", "last_read_at"),
        ("collab.file.uploaded", "expires_at"),
        ("collab.invitation.created", "expires_at"),
        ("collab.notification.raised", "created_at"),
    ],
)
@pytest.mark.parametrize("text", ["1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
def test_no_other_time_is_judged(type_: str, field: str, text: str, event: Build, read: Read):
    assert isinstance(read(event(type_, **{f"data__{field}": text})), Event)


def test_without_an_append_time_only_the_lower_limit_is_judged(event: Build):
    key = event()["data"]["channel_id"].encode()
    assert isinstance(
        decode("conversations", key, json.dumps(event(time="9000-01-01T00:00:00Z")).encode(), None), Event
    )
    assert decode("conversations", key, json.dumps(event(time="1999-01-01T00:00:00Z")).encode(), None).code == "E_TIME"


@pytest.mark.parametrize(
    ("text", "sequence"),
    [("0", 0), ("1", 1), ("00000000000000000042", 42), ("9223372036854775807", 2**63 - 1), ("0" * 4_000 + "7", 7)],
)
def test_the_sequence_is_a_number_in_a_string(text: str, sequence: int, event: Build, read: Read):
    assert read(event(sequence=text)).sequence == sequence


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (rb"a\u0000b", "a\ufffdb"),
        (rb"\ud83d", "\ufffd"),
        (rb"\uDE00", "\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd😀"),
        (rb"\ude00\ud83d", "\ufffd\ufffd"),
        (rb"\ud83dx\ude00", "\ufffdx\ufffd"),
        (rb"\ud83d\\ude00", "\ufffd\\ude00"),
        (rb"\ud83d\u0041", "\ufffdA"),
        (rb"\ud83d\u0000", "\ufffd\ufffd"),
        (rb"\ud83d\ude00", "😀"),
        (rb"\uD83D\uDE00\u0000", "😀\ufffd"),
        (rb"\\u0000", r"\u0000"),
        (rb"\\\u0000", "\\\ufffd"),
        (rb"\\ud83d\ud83d", "\\ud83d\ufffd"),
        (rb"\u00000", "\ufffd0"),
        (rb"\u0001\u007f\u0085", "\x01\x7f\x85"),
        (rb"\ufffe\uffff", "\ufffe\uffff"),
        (rb"\"\u0000\"", '"\ufffd"'),
        ("żółć 👍🏽 \u200d".encode(), "żółć 👍🏽 \u200d"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_nul_and_lone_surrogates_become_u_fffd_and_nothing_else_does(
    escaped: bytes, text: str, event: Build, read: Read
):
    record = event(data__content="@", data__formatted_content={"@": [{"@": "@"}]}, source="s@")
    key = record["data"]["channel_id"].encode()
    decoded = read(json.dumps(record).encode().replace(b"@", escaped), key=key)
    assert decoded.data["content"] == text
    assert decoded.data["formatted_content"] == {text: [{text: text}]}
    assert decoded.source == f"s{text}"


def test_a_lone_surrogate_hides_no_other_fault(event: Build, read: Read):
    key = event()["data"]["channel_id"].encode()
    for fault, code in (({"data__user_id": "x"}, "E_SCHEMA"), ({"time": "1970-01-01T00:00:00Z"}, "E_TIME")):
        record = json.dumps(event(data__content="@", **fault)).encode()
        assert read(record.replace(b"@", rb"\ud83d"), key=key).code == code
    broken = json.dumps(event(data__content="@")).encode().replace(b"@", rb"\ud83d")[:-1]
    assert read(broken, key=key).code == "E_DECODE"


def test_scrubbing_leaves_what_python_escapes_of_any_text_as_it_is():
    text = "".join(chr(code) for code in [*range(1, 0xD800, 37), *range(0xE000, 0x110000, 997)]) + '\\"\n\\u0000'
    assert scrub(json.dumps(text).encode()) == json.dumps(text).encode()


def test_of_equal_keys_the_last_wins(event: Build, read: Read):
    record = json.dumps(event()).encode()
    key = event()["data"]["channel_id"].encode()
    twice = record.replace(b'"content":', b'"content": 5, "content": "first", "content":')
    assert read(twice, key=key).data == read(record, key=key).data
    assert read(record.replace(b'"subject":', b'"subject": null, "subject":'), key=key) == read(record, key=key)
    last_is_bad = record.replace(b'"mentions":', b'"content": null, "mentions":')
    assert read(last_is_bad, key=key).reason == "data.content: expected a string"


def test_unknown_attributes_and_fields_are_dropped(event: Build, read: Read):
    plain = read(event())
    odd = {"": 1, "user": {"a": [1e300]}, "__class__": "x", "traceparent": None}
    assert read(event(**odd)) == plain
    assert read(event(**{f"data__{name}": value for name, value in odd.items()})) == plain


def test_numbers_in_free_objects_are_what_a_store_can_hold(event: Build, read: Read):
    kept = {"a": [0, -1, 2**63, 2**64 - 1, -(2**63), 0.5, 1e308, True, None], "b": {}}
    assert read(event(data__formatted_content=kept)).data["formatted_content"] == kept
    wide = read(event(data__formatted_content={"a": [2**64, -(2**63) - 1, 10**300]})).data["formatted_content"]
    assert wide == {"a": [float(2**64), float(-(2**63)), 1e300]}
    assert all(isinstance(number, float) for number in wide["a"])
    assert orjson.dumps(wide)


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"1" * 400, b"1" * 400 + b".5"])
def test_a_number_that_no_double_holds_is_e_schema_in_a_free_object_and_dropped_outside(
    number: bytes, event: Build, read: Read
):
    key = event()["data"]["channel_id"].encode()
    inside = json.dumps(event(data__formatted_content={"a": ["@"]})).encode().replace(b'"@"', number)
    refusal = read(inside, key=key)
    reason = "data.formatted_content: expected only numbers that fit a double"
    assert (refusal.code, refusal.reason) == ("E_SCHEMA", reason)
    outside = json.dumps(event(data__unknown="@")).encode().replace(b'"@"', number)
    assert isinstance(read(outside, key=key), Event)


def test_a_free_object_may_be_deep_but_not_bottomless(event: Build, read: Read):
    key = event()["data"]["channel_id"].encode()
    for depth, code in ((190, None), (250, "E_DECODE"), (20_000, "E_DECODE")):
        nested = b'{"a":' * depth + b"1" + b"}" * depth
        record = json.dumps(event(data__formatted_content="@")).encode().replace(b'"@"', nested)
        decoded = read(record, key=key)
        assert decoded.code == code if code else orjson.dumps(decoded.data["formatted_content"]) == nested


def test_texts_of_a_mebibyte_are_kept_whole(event: Build, read: Read):
    text = "ü" * 500_000
    key = event()["data"]["channel_id"].encode()
    value = json.dumps(event(data__content=text), ensure_ascii=False).encode()
    assert read(value, key=key).data["content"] == text
