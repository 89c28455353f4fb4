"""An export as a whole: the same one always makes the same events, in an order that can be published."""

from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.history.report import KINDS_MAX, Report
from tailrace.history.slack import SlackOptions, slack_events
from tailrace.history.slack_export import read_slack_export


def fill(export: Any):
    """One of everything."""
    export.users.append({"id": "U3", "team_id": "T0ACME", "name": "eve", "deleted": True, "updated": 1_550_000_000})
    export.lists["groups.json"] = [{"id": "G1", "name": "secret", "created": 1_500_000_001, "members": ["U1"]}]
    export.lists["dms.json"] = [{"id": "D1", "created": 1_500_000_002, "members": ["U1", "U2"]}]
    export.lists["mpims.json"] = [
        {"id": "G2", "name": "mpdm-ada--bob--eve-1", "created": 1_500_000_003, "members": ["U1", "U2", "U3"]}
    ]
    root = export.message(0, "root <@U2>", reactions=[{"name": "tada", "users": ["U2", "U9"], "count": 2}])
    export.message(5, "reply", thread_ts=root, edited={"user": "U1", "ts": "1600000009.000000"})
    export.message(86_400, "joined", user="U3", subtype="channel_join")
    export.message(86_401, files=[{"id": "F1", "name": "a", "mimetype": "text/plain", "size": 1}], pinned_to=["C1"])
    export.message(1, "psst", folder="secret")
    export.message(2, "hi", folder="D1")
    export.message(3, "all", folder="mpdm-ada--bob--eve-1")
    return export


def test_a_second_import_makes_the_same_bytes(export: Any, run: Any):
    assert run(fill(export)).value == run(export).value


def test_an_event_has_an_id_of_its_own(export: Any, run: Any):
    events = run(fill(export)).events

    assert [event_id for event_id, count in Counter(event.id for event in events).items() if count > 1] == []


def test_a_longer_export_of_the_same_workspace_repeats_the_ids_of_the_shorter(export: Any, run: Any):
    before = {event.id for event in run(fill(export)).events}
    export.message(200_000, "later")

    assert before - {event.id for event in run(export).events} == set()


def test_a_message_edited_between_two_exports_is_edited_by_the_second(export: Any, run: Any):
    export.message(0, "draft")
    first = run(export)
    export.days.clear()
    export.message(0, "final", edited={"user": "U1", "ts": "1600000500.000000"})
    second = run(export)

    assert second.one("message.posted").id == first.one("message.posted").id
    assert second.one("message.edited").sequence > first.one("message.posted").sequence
    assert second.one("message.edited").data["content"] == "final"


def test_everything_is_introduced_before_it_is_named(export: Any, run: Any):
    known: dict[str, set[str]] = {name: set() for name in ("user", "channel", "message", "file")}
    for event in run(fill(export)).events:
        name = event.type.removeprefix("collab.")
        made = {"user.registered": "user", "channel.created": "channel", "message.posted": "message"}
        if name in made or name == "file.uploaded":
            thing = made.get(name, "file")
            known[thing].add(event.data[f"{thing}_id"])
        if name.startswith("workspace"):
            continue
        for thing, ids in known.items():
            assert event.data.get(f"{thing}_id") in {None, *ids}, (name, thing)
        assert set(event.data.get("mentions") or ()) <= known["user"]
        assert event.data.get("thread_id") in {None, *known["message"]}


def test_sequences_of_a_subject_rise(export: Any, run: Any):
    last: dict[tuple[str, str], int] = {}
    for event in run(fill(export)).events:
        register = (event.type.split(".")[1], event.subject)
        if register[0] in {"message", "channel", "user", "workspace_member", "channel_member"}:
            assert event.sequence >= last.get(register, 0), register
            last[register] = event.sequence


def test_the_report_counts_what_is_in_the_export_and_what_was_made_of_it(export: Any, run: Any):
    result = run(fill(export))
    rows = {label: (found, events) for label, found, events in result.report.compared()}

    assert rows["people and bots"] == (3, 4)
    assert rows["conversations"] == (4, 4)
    assert rows["messages"] == (7, 7)
    assert rows["replies among them"] == (1, None)
    assert rows["edits"] == rows["files"] == rows["shares of files"] == rows["pins"] == (1, 1)
    assert rows["reactions"] == (2, 2)
    assert rows["deactivated accounts"] == (1, 1)
    document = result.report.document()
    assert document["events_total"] == len(result.events)
    assert orjson.loads(orjson.dumps(document)) == document
    assert {entry["kind"]: entry["count"] for entry in document["not_understood"]} == {
        "pin_without_time": 1,
        "user_not_in_users": 1,
        "user_without_email": 1,
    }


def test_the_report_holds_nothing_of_what_people_wrote(export: Any, run: Any):
    fill(export).message(9, "my <!secret|password> is hunter2")

    text = orjson.dumps(run(export).report.document())

    assert b"hunter2" not in text
    assert b"acme.test" not in text
    assert b"unknown_reference_in_text" in text


def test_kinds_named_by_the_export_do_not_fill_the_report_without_end():
    report = Report()
    for number in range(KINDS_MAX + 50):
        report.odd(f"subtype {number}", "somewhere")

    assert len(report.oddities) == KINDS_MAX + 1
    assert report.oddities["other"].count == 50


def test_progress_counts_day_files(export: Any):
    told = []
    with read_slack_export(fill(export).folder()) as opened:
        list(slack_events(opened, SlackOptions(), Report(), lambda done, total: told.append((done, total))))

    assert told == [(done, 5) for done in range(6)]


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["U1", "1600000000.5", "tombstone", "channel_join", "message_changed", "bot_message", "<@U1>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
MESSAGE_FIELDS = [
    "type",
    "subtype",
    "user",
    "text",
    "ts",
    "thread_ts",
    "edited",
    "reactions",
    "files",
    "file",
    "comment",
    "blocks",
    "attachments",
    "pinned_to",
    "pinned_info",
    "client_msg_id",
    "bot_id",
    "bot_profile",
    "user_profile",
    "username",
    "inviter",
    "message",
    "previous_message",
    "original",
    "deleted_ts",
]
LIST_FIELDS = [
    "name",
    "created",
    "creator",
    "members",
    "topic",
    "purpose",
    "pins",
    "updated",
    "is_im",
    "is_archived",
    "is_general",
    "properties",
]
USER_FIELDS = [
    "team_id",
    "name",
    "profile",
    "updated",
    "deleted",
    "is_bot",
    "is_admin",
    "tz",
    "locale",
    "enterprise_user",
]


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    messages=st.lists(st.dictionaries(st.sampled_from(MESSAGE_FIELDS), junk, max_size=6), max_size=6),
    conversation=st.dictionaries(st.sampled_from(LIST_FIELDS), junk, max_size=5),
    user=st.dictionaries(st.sampled_from(USER_FIELDS), junk, max_size=5),
)
def test_whatever_stands_in_the_fields_every_event_is_one_of_the_contract(
    export: Any, run: Any, messages: Any, conversation: Any, user: Any
):
    good = {"type": "message", "user": "U1", "text": "hello", "ts": "1600000000.000001"}
    export.days = {
        "general/2020-09-13.json": [good, *({**good, "ts": "1600000000.000002", **item} for item in messages)]
    }
    export.lists["channels.json"] = [
        {"id": "C1", "name": "general", "members": ["U1"]},
        {"id": "C2", "name": "odd", **conversation},
    ]
    export.users[1] = {"id": "U2", "name": "bob", **user}

    result = run(export, SlackOptions(workspace="Acme", team_id="T0ACME"))

    assert result.of("message.posted")
    assert run(export, SlackOptions(workspace="Acme", team_id="T0ACME")).value == result.value
