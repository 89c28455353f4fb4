"""What the tables of the contract hold after an import, by the model that `tailrace verify` compares with."""

from typing import Any

from msgspec.structs import replace

from tailrace.verification.fold import fold


def rows(result: Any, table: str) -> list[dict[str, Any]]:
    return list(fold(result.events)[table].values())


def test_importing_again_changes_nothing(export: Any, run: Any):
    root = export.message(0, "root", reactions=[{"name": "tada", "users": ["U2", "U1"], "count": 2}])
    export.message(5, "reply", thread_ts=root, edited={"user": "U1", "ts": "1600000009.000000"})
    export.message(6, files=[{"id": "F1", "name": "a", "mimetype": "text/plain", "size": 1}], pinned_to=["C1"])
    export.message(7, user="U2", subtype="channel_leave")
    once = run(export).events
    twice = [*once, *(replace(event, offset=len(once) + event.offset) for event in once)]

    assert fold(twice) == fold(once)


def test_a_thread_has_its_replies_its_reactions_in_order_and_its_file(export: Any, run: Any):
    reactions = [{"name": "tada", "users": ["U2", "U1"], "count": 2}, {"name": "+1", "users": ["U1"], "count": 1}]
    root = export.message(0, "root", reactions=reactions)
    export.message(5, "reply", thread_ts=root, files=[{"id": "F1", "name": "a", "mimetype": "text/plain", "size": 1}])

    result = run(export)
    first, reply = sorted(rows(result, "messages"), key=lambda row: row["content"], reverse=True)

    assert (first["reply_count"], first["last_reply_at"].timestamp()) == (1, 1_600_000_005)
    assert list(first["reactions"].items()) == [
        ("🎉", [result.user_id("bob"), result.user_id("ada")]),
        ("👍", [result.user_id("ada")]),
    ]
    assert reply["has_files"] is True


def test_an_edit_of_an_ordinary_export_shows_without_a_history(export: Any, run: Any):
    export.message(0, "final", edited={"user": "U2", "ts": "1600000060.000000"})

    (row,) = rows(run(export), "messages")

    assert (row["content"], row["edited_at"].timestamp()) == ("final", 1_600_000_060)
    assert (row["edit_count"], row["edit_history"]) == (0, [])


def test_an_edit_log_becomes_the_history(export: Any, run: Any):
    ts = export.message(0, "two", edited={"user": "U2", "ts": "1600000060.000000"})
    log = {"type": "message", "subtype": "message_changed", "ts": "1600000060.5"}
    after = {"ts": ts, "text": "two", "edited": {"user": "U2", "ts": "1600000060.000000"}}
    export.days["general/2020-09-13.json"].append({**log, "message": after, "original": {"ts": ts, "text": "one"}})

    (row,) = rows(run(export), "messages")

    assert (row["content"], row["edit_count"], row["edit_history"][0]["content"]) == ("two", 1, "one")


def test_a_deactivated_account_is_no_member_of_anything(export: Any, run: Any):
    export.users[1] |= {"deleted": True, "updated": 1_550_000_000}
    export.message(0)

    result = run(export)

    assert {row["username"]: row["status"] for row in rows(result, "users")} == {"ada": "active", "bob": "suspended"}
    assert rows(result, "workspaces")[0]["member_count"] == 1
    assert rows(result, "channels")[0]["member_count"] == 1


def test_system_messages_and_tombstones_count_in_no_rollup(export: Any, run: Any):
    export.message(0, "counted")
    export.message(1, user="U2", subtype="channel_join")
    export.message(2, user="USLACKBOT", subtype="tombstone")

    assert [row["message_count"] for row in rows(run(export), "analytics.daily_active_users")] == [1]
