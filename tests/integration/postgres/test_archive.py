"""SEMANTICS, case 15, and texts that no index holds: messages in collab.messages_archive go on living there."""

import random

from contract_events import CloudEvent, Given, at, in_world
from read_models import Log, Queues, ReadModels, Tables, log_of
from worlds import Tell

WORDS_MAX = 200_000
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def distinct_words(count: int) -> str:
    """Words of four letters, all different: of some hundred thousand the text vector is larger than 1 MiB."""
    return " ".join("".join(ALPHABET[n // 36**k % 36] for k in range(4)) for n in range(count))


LONG = distinct_words(WORDS_MAX)


def archive_everything(models: ReadModels) -> None:
    """What retention does: the messages leave their table for the archive."""
    models.execute(
        "SELECT runtime.ensure_month('collab.messages_archive', m)"
        " FROM (SELECT DISTINCT created_at::date AS m FROM collab.messages) AS months"
    )
    models.execute(
        "WITH moved AS (DELETE FROM collab.messages RETURNING *)"
        " INSERT INTO collab.messages_archive SELECT * FROM moved"
    )


async def archived_in_between(models: ReadModels, before: list[CloudEvent], after: list[CloudEvent]) -> Tables:
    """Apply, archive, apply more event by event, then everything again from the beginning."""
    log = log_of(map(in_world, [*before, *after]), models.settings)
    models.clear()
    await models.apply([log[: len(before)]])
    archive_everything(models)
    await models.apply([[record] for record in log[len(before) :]])
    first = _of(models, log)
    models.rewind()
    await models.apply(iter(Queues(log, random.Random(1), size=3).next, []))
    assert _of(models, log).all == first.all
    return first


def _of(models: ReadModels, log: Log) -> Tables:
    assert models.differences(log) == {}
    return models.worlds()[0]


def where(models: ReadModels) -> dict[str, str]:
    """Table of each message."""
    rows = models.execute(
        "SELECT message_id, 'live' AS t FROM collab.messages"
        " UNION ALL SELECT message_id, 'archive' FROM collab.messages_archive"
    )
    return {row["message_id"]: row["t"] for row in rows}


async def test_15_an_archived_message_is_edited_reacted_to_pinned_and_deleted(models: ReadModels, given: Given):
    rows = await archived_in_between(
        models,
        [given.channel(), given.posted("m1", "one", time="12:00"), given.posted("m2", time="12:30")],
        [
            given.edited("two", "m1", time="12:40"),
            given.reacted("🎉", "m1", "bo"),
            given.about("pinned", "m1"),
            given.about("deleted", "m2", time="12:50"),
        ],
    )

    message = rows.message("m1")
    assert (message["content"], message["edit_count"], message["is_pinned"]) == ("two", 1, True)
    assert message["reactions"] == {"🎉": ["bo"]}
    assert (rows.message("m2")["is_deleted"], rows.message("m2")["deleted_at"]) == (True, at("12:50"))
    assert set(rows["channel_pins"]) == {("c1", "m1")}
    assert rows.channel()["last_message_at"] == at("12:00")
    assert where(models) == {"m1": "archive", "m2": "archive"}


async def test_15_an_archived_root_counts_replies_of_both_tables(models: ReadModels, given: Given):
    rows = await archived_in_between(
        models,
        [given.posted("m1"), given.posted("m2", time="12:10", thread_id="m1")],
        [given.posted("m3", time="12:20", thread_id="m2"), given.posted("m4", time="12:30", thread_id="m1")],
    )

    assert (rows.message("m1")["reply_count"], rows.message("m1")["last_reply_at"]) == (3, at("12:30"))
    assert rows.message("m3")["thread_id"] == "m1"
    assert where(models) == {"m1": "archive", "m2": "archive", "m3": "live", "m4": "live"}


async def test_15_a_repeated_posting_of_an_archived_message_is_a_repeat(models: ReadModels, given: Given):
    rows = await archived_in_between(
        models,
        [given.posted("m1", "first", client_msg_id="c")],
        [
            given.posted("m1", "again", client_msg_id="c"),
            given.posted("m2", client_msg_id="c"),
            given.edited("both", "m2"),
        ],
    )

    assert rows.messages() == {"m1"}
    assert rows.message("m1")["content"] == "both"


async def test_15_files_and_erasure_reach_the_archive(models: ReadModels, given: Given):
    rows = await archived_in_between(
        models,
        [given.posted("m1", "secret", user_id="bo"), given.posted("m2"), given.reacted("👍", "m2", "bo")],
        [given.uploaded("f1"), given.shared("f1", "m2"), given.erased("bo", time="12:30")],
    )

    assert (rows.message("m1")["content"], rows.message("m1")["deleted_at"]) == ("", at("12:30"))
    assert (rows.message("m2")["has_files"], rows.message("m2")["reactions"]) == (True, {})


async def test_15_reactions_on_archived_messages_show(models: ReadModels, given: Given):
    await archived_in_between(models, [given.posted("m1")], [given.reacted("🎉", "m1", "bo")])

    assert models.execute("SELECT message_id, user_id, emoji FROM collab.reactions") == [
        {"message_id": "m1", "user_id": "bo", "emoji": "🎉"}
    ]


async def test_a_text_that_no_index_holds_is_a_message_like_others(models: ReadModels, given: Given):
    events = [
        given.channel("c1", time="11:00"),
        given.posted("m1", LONG, time="12:00"),
        given.posted("m2", "a reply", thread_id="m1", time="12:10"),
        given.reacted("👍", "m1"),
        given.uploaded("f1"),
        given.shared("f1", "m1"),
    ]
    log = log_of(map(in_world, events), models.settings)
    models.clear()
    await models.apply([log])
    models.rewind()
    await models.apply([[record] for record in log])

    assert models.differences(log) == {}
    rows = models.worlds()[0]
    message = rows.message("m1")
    assert (message["content"] == LONG, message["reply_count"], message["has_files"]) == (True, 1, True)
    assert rows.channel()["last_message_at"] == at("12:10")
    assert rows.counts("message_analytics", "w1", "c1", at("12:00")) == (2, 1, len(LONG) + len("a reply"))
    assert where(models) == {"m1": "archive", "m2": "live"}


async def test_a_message_that_grows_too_long_moves_and_stays(models: ReadModels, given: Given):
    events = [
        given.posted("m1", "short", time="2026-09-01T12:00"),
        given.about("pinned"),
        given.edited(LONG),
        given.edited("short again", user_id="bo"),
        given.reacted("👍"),
    ]
    log = log_of(map(in_world, events), models.settings)
    models.clear()
    await models.apply([[record] for record in log])

    assert models.differences(log) == {}
    message = models.worlds()[0].message()
    assert (message["content"], message["edit_count"], message["is_pinned"]) == ("short again", 2, True)
    assert message["reactions"] == {"👍": ["ana"]}
    assert where(models) == {"m1": "archive"}


async def test_an_edit_too_long_that_came_before_its_post(models: ReadModels, given: Given):
    log = log_of(map(in_world, [given.edited(LONG, seq=2), given.posted("m1", seq=1)]), models.settings)
    models.clear()
    await models.apply([[record] for record in log])

    assert models.differences(log) == {}
    assert where(models) == {"m1": "archive"}


async def test_a_long_text_that_an_index_holds_stays_where_messages_are(told: Tell, given: Given, models: ReadModels):
    rows = await told(given.posted("m1", "all work and no play " * 5_000))

    assert len(rows.message()["content"]) == 105_000
    assert set(where(models).values()) == {"live"}


async def test_both_tables_have_the_same_columns_in_the_same_order(models: ReadModels):
    columns = {
        table: models.execute(
            "SELECT attname, atttypid::regtype::text AS type FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            table,
        )
        for table in ("collab.messages", "collab.messages_archive")
    }

    assert columns["collab.messages"] == columns["collab.messages_archive"]
