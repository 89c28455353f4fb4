"""SEMANTICS, cases 23 to 29: reactions."""

import pytest
from contract_events import Given, at, in_world
from read_models import ReadModels, log_of
from worlds import Tell

DAY = at("12:00").date()


async def test_23_a_reaction_before_its_message_waits_for_it(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(given.posted("m1"), given.reacted("🎉", user_id="bo", time="12:30"))

    assert rows.message()["reactions"] == {"🎉": ["bo"]}
    assert rows.row("message_reactions", "m1", "bo", "🎉")["added_at"] == at("12:30")
    assert rows.parked() == set()


async def test_23_a_reaction_whose_message_never_comes_counts_nowhere(given: Given, told: Tell):
    rows = await told(given.reacted("🎉", id="waiting", time="12:30"))

    assert rows.parked() == {"waiting"}
    assert rows.counts("daily_active_users", "w1", DAY) == (0, 0, 0, 0)


async def test_24_a_reaction_added_twice_is_one_and_stands_where_it_was_added_last(
    given: Given, told_in_any_order: Tell
):
    rows = await told_in_any_order(
        given.posted("m1", seq=1, time="12:00"),
        given.reacted("🎉", user_id="ana", seq=2, time="12:01"),
        given.reacted("🎉", user_id="bo", seq=3, time="12:02"),
        given.reacted("🎉", user_id="ana", seq=4, time="12:03"),
    )

    assert rows.message()["reactions"] == {"🎉": ["bo", "ana"]}
    assert rows.row("message_reactions", "m1", "ana", "🎉")["added_at"] == at("12:03")
    assert rows.counts("daily_active_users", "w1", DAY) == (2, 1, 2, 0)


async def test_25_a_remove_without_an_add_is_nothing(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(given.posted("m1", time="12:00"), given.unreacted("🎉", user_id="bo"))

    assert rows.message()["reactions"] == {}
    assert rows.reactions() == set()
    assert rows.counts("daily_active_users", "w1", DAY) == (1, 1, 0, 0)


async def test_25_a_remove_of_higher_sequence_wins_over_the_add_but_the_add_was_given(
    given: Given, told_in_any_order: Tell
):
    rows = await told_in_any_order(
        given.posted("m1", seq=1, time="12:00"),
        given.unreacted("🎉", user_id="bo", seq=3, time="12:03"),
        given.reacted("🎉", user_id="bo", seq=2, time="12:02"),
    )

    assert rows.message()["reactions"] == {}
    assert rows.reactions() == set()
    assert rows.counts("user_activity", "w1", "bo", DAY) == (0, 1, 0, 0)


async def test_25_the_last_user_removed_leaves_no_key(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", seq=1),
        given.reacted("🎉", user_id="bo", seq=2),
        given.reacted("👀", user_id="bo", seq=3),
        given.unreacted("🎉", user_id="bo", seq=4),
    )

    assert rows.message()["reactions"] == {"👀": ["bo"]}


async def test_27_emoji_are_stored_canonically(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", seq=1),
        given.reacted("👍", user_id="ana", seq=2),
        given.reacted("+1", user_id="bo", seq=3),
        given.reacted(":thumbsup:", user_id="cy", seq=4),
        given.reacted("👍🏽", user_id="ana", seq=5),
        given.reacted("❤", user_id="ana", seq=6),
        given.reacted("❤\ufe0f", user_id="bo", seq=7),
        given.reacted(":Party:", user_id="ana", seq=8),
    )

    assert rows.message()["reactions"] == {
        "👍": ["ana", "bo", "cy"],
        "👍🏽": ["ana"],
        "❤": ["ana", "bo"],
        ":party:": ["ana"],
    }


async def test_27_two_spellings_by_one_user_are_one_reaction(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", seq=1),
        given.reacted("👍", seq=2),
        given.reacted("+1", seq=3),
        given.unreacted(":thumbsup:", seq=4),
    )

    assert rows.message()["reactions"] == {}


async def test_28_a_reaction_on_a_deleted_message_shows_only_in_its_row(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", seq=1, time="12:00"),
        given.about("deleted", seq=2),
        given.reacted("🎉", user_id="bo", seq=3),
    )

    assert rows.message()["reactions"] == {"🎉": ["bo"]}
    assert rows.reactions() == set()
    assert rows.counts("daily_active_users", "w1", DAY) == (2, 1, 1, 0)


async def test_28_a_restored_message_shows_its_reactions(given: Given, told_in_any_order: Tell):
    rows = await told_in_any_order(
        given.posted("m1", seq=1),
        given.about("deleted", seq=2),
        given.reacted("🎉", user_id="bo", seq=3),
        given.about("restored", seq=4),
    )

    assert rows.reactions() == {("m1", "bo", "🎉")}


@pytest.mark.slow
async def test_29_ten_thousand_reactions_on_one_message(given: Given, models: ReadModels):
    users = [f"u{n}" for n in range(2_500)]
    emoji = ["👍", "🎉", "👀", "❤"]
    events = [given.posted("m1", time="12:00", user_id="u0")]
    events += [given.reacted(one, user_id=user, time="12:30") for user in users for one in emoji]
    log = log_of(map(in_world, events), models.settings)

    models.clear()
    await models.apply(log[start : start + 2_000] for start in range(0, len(log), 2_000))

    (tables,) = models.worlds().values()
    assert tables.message()["reactions"] == dict.fromkeys(emoji, users)
    assert tables.counts("daily_active_users", "w1", DAY) == (2_500, 1, 10_000, 0)
    assert models.differences(log) == {}
