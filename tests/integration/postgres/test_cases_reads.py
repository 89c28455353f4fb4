"""SEMANTICS, cases 43 to 51 as far as PostgreSQL holds them: read positions and the newest message of a channel."""

from contract_events import Given, at
from read_models import ReadModels
from worlds import Tell


async def test_43_a_later_read_of_an_earlier_message_moves_nothing_back(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(given.read("m3", "12:30", "bo", seq=1), given.read("m1", "12:10", "bo", seq=2))

    assert (rows.member("bo")["last_read_at"], rows.member("bo")["last_read_message_id"]) == (at("12:30"), "m3")


async def test_43_mark_unread_moves_it_back(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.read("m3", "12:30", "bo", seq=1), given.read("m1", "12:10", "bo", seq=2, mark_unread=True)
    )

    assert (rows.member("bo")["last_read_at"], rows.member("bo")["last_read_message_id"]) == (at("12:10"), "m1")


async def test_43_a_read_after_mark_unread_rises_from_there(given: Given, told: Tell):
    rows = await told(
        given.read("m9", "12:50", "bo", seq=1),
        given.read("m1", "12:10", "bo", seq=2, mark_unread=True),
        given.read("m2", "12:20", "bo", seq=3),
        given.read("m0", "12:05", "bo", seq=4),
    )

    assert (rows.member("bo")["last_read_at"], rows.member("bo")["last_read_message_id"]) == (at("12:20"), "m2")


async def test_43_reads_below_a_mark_unread_are_stale_when_they_come_late(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.read("m1", "12:10", "bo", seq=5, mark_unread=True),
        given.read("m3", "12:30", "bo", seq=3),
        given.read("m4", "12:40", "bo", seq=4),
    )

    assert (rows.member("bo")["last_read_at"], rows.member("bo")["last_read_message_id"]) == (at("12:10"), "m1")


async def test_44_a_read_that_races_its_message_stands(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", time="12:10"), given.read("m1", "12:10", "bo"), given.joined("bo", time="12:00")
    )

    assert (rows.member("bo")["last_read_at"], rows.member("bo")["last_read_message_id"]) == (at("12:10"), "m1")
    assert rows.member("bo")["is_active"] is True


async def test_a_read_of_another_id_of_a_message_is_stored_as_given(given: Given, told: Tell):
    rows = await told(
        given.posted("m1", client_msg_id="c"), given.posted("m2", client_msg_id="c"), given.read("m2", "12:10", "bo")
    )

    assert rows.member("bo")["last_read_message_id"] == "m2"


async def test_46_the_newest_message_deleted_takes_the_channel_back(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.channel(time="11:00"),
        given.posted("m1", time="12:10"),
        given.posted("m2", time="12:20"),
        given.about("deleted", "m2"),
    )

    assert rows.channel()["last_message_at"] == at("12:10")


async def test_46_and_restored_brings_it_forward(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.channel(time="11:00"),
        given.posted("m1", time="12:10"),
        given.posted("m2", time="12:20"),
        given.about("deleted", "m2", seq=8),
        given.about("restored", "m2", seq=9),
    )

    assert rows.channel()["last_message_at"] == at("12:20")


async def test_50_old_messages_imported_into_a_busy_channel_are_not_its_newest(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.channel(time="11:00"),
        given.posted("m1", time="12:30"),
        given.posted("old1", time="12:31", created_at=at("2026-03-01T09:00")),
        given.posted("old2", time="12:32", created_at=at("2026-03-01T09:01")),
    )

    assert rows.visible() == {"m1", "old1", "old2"}
    assert rows.channel()["last_message_at"] == at("12:30")
    assert rows.counts("message_analytics", "w1", "c1", at("12:00")) == (3, 1, 15)


async def test_50_any_type_of_message_is_the_newest_replies_included(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.channel(time="11:00"),
        given.posted("m1", time="12:10"),
        given.posted("m2", time="12:20", message_type="system", thread_id="m1"),
    )

    assert rows.channel()["last_message_at"] == at("12:20")


async def test_51_living_signals_leave_no_row(given: Given, told_in_any_order: Tell, models: ReadModels):
    rows = await told_in_any_order(
        given.event("typing.started", channel_id="c1", user_id="bo"),
        given.event("presence.changed", user_id="bo", workspace_id="w1", status="away", device_type="web"),
        given.event("connection.opened", connection_id="k1", user_id="bo", workspace_id="w1", channels=["c1"]),
        given.event("connection.closed", connection_id="k1", user_id="bo"),
    )

    assert rows.all == {}
    assert models.execute("SELECT 1 FROM runtime.dead_letters") == []


async def test_45_ones_own_message_is_no_read(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.joined("bo", time="12:00"),
        given.read("m1", "12:10", "bo"),
        given.posted("m2", user_id="bo", time="12:20"),
    )

    assert (rows.member("bo")["last_read_at"], rows.member("bo")["last_read_message_id"]) == (at("12:10"), "m1")
