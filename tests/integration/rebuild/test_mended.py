"""A rebuild that differs from the live tables: it is not shown until the log says that it is right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from contract_events import Given, id_of
from kafka_topics import Raw, publish
from rebuilt import Instance
from worker_process import caught_up, workers

from tailrace.addresses import resolve
from tailrace.errors import PreconditionError
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.operations.topics import apply_topics
from tailrace.rebuilding.rebuild import drop
from tailrace.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture
async def filled(settings_for: Callable[[str], Settings], tmp_path: Path) -> Instance:
    """Tables that a worker has filled: a channel, two messages, a reaction that waits and a record that is refused."""
    settings = settings_for("mended")
    settings.kafka.partitions, settings.kafka.partitions_small = 2, 1
    with connection(settings) as conn:
        migrate(conn, settings)
    await apply_topics(settings, resolve(settings).kafka)
    given = Given()
    story = [given.workspace(), given.user(), given.channel(), given.joined(), given.posted("m1"), given.posted("m2")]
    await publish(settings, [*story, given.reacted(message_id="m9"), Raw("conversations", b"c1", b"no event")])
    async with workers(settings, tmp_path) as start:
        worker = await start()
        await caught_up(settings)
        await worker.stop()
    return Instance(settings, tmp_path)


READ_BY_ANALYSTS = ("analytics.daily_active_users", "collab.users", "analytics.user_activity")
"""By the migrations, by what somebody granted since, and not any more, because somebody revoked it."""


def rows(instance: Instance, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(resolve(instance.settings).postgres, autocommit=True) as conn:
        cursor = conn.execute(query, arguments or None)
        return cursor.fetchall() if cursor.description else []


async def test_damage_is_found_shown_and_mended_and_what_the_log_does_not_say_stays(filled: Instance) -> None:
    rows(filled, "UPDATE collab.messages SET content = 'forged' WHERE message_id = %s", id_of("m1"))
    rows(filled, "DELETE FROM collab.channel_members")
    rows(filled, "UPDATE runtime.dead_letters SET resolved_at = now(), resolution = 'discarded', resolved_by = 'eve'")
    rows(filled, "UPDATE runtime.parked_events SET parked_at = '2026-01-01'")
    rows(filled, "CREATE SCHEMA reports; CREATE VIEW reports.texts AS SELECT content FROM collab.messages")
    rows(filled, "GRANT SELECT ON collab.users TO tailrace_analyst")
    rows(filled, "REVOKE SELECT ON analytics.user_activity FROM tailrace_analyst")
    letters = rows(filled, "SELECT * FROM runtime.dead_letters")

    await filled.run("rebuild", "postgres", "--reason", "wrong rows", exit_code=10)
    refused = await filled.run("rebuild", "status")
    forged = rows(filled, "SELECT content FROM collab.messages WHERE message_id = %s", id_of("m1"))
    switched = await filled.run("rebuild", "switch", "--verify", "--reason", "the log is right")
    status = await filled.run("rebuild", "status")

    found = refused["versions"][-1]["comparison"]["differing"]
    assert set(found) == {"collab.messages", "collab.channel_members"}
    assert found["collab.messages"] | {"keys": []} == {
        "live": 2, "beside": 2, "only_live": 1, "only_beside": 1, "keys": []
    }  # fmt: skip
    assert id_of("m1") in found["collab.messages"]["keys"][0]
    assert (refused["live"], forged) == (1, [("forged",)])
    assert (switched["verified"], status["live"]) == (0, 2)
    assert [cut["finished_at"] is not None for cut in status["cutovers"]] == [True]
    assert rows(filled, "SELECT content FROM collab.messages WHERE message_id = %s", id_of("m1")) == [("hello",)]
    assert rows(filled, "SELECT count(*) FROM collab.channel_members") == [(1,)]
    assert rows(filled, "SELECT * FROM runtime.dead_letters") == letters
    assert rows(filled, "SELECT date(parked_at)::text FROM runtime.parked_events") == [("2026-01-01",)]
    assert rows(filled, "SELECT has_table_privilege('tailrace_analyst', 'analytics.daily_active_users', 'SELECT')")[0][
        0
    ]
    assert rows(filled, "SELECT content FROM reports.texts WHERE content = 'forged'") == [("forged",)]

    made = rows(filled, "SELECT runtime.ensure_month('collab.messages', '2031-05-01')")
    assert made == [("collab.messages_2031_05",)]
    with pytest.raises(PreconditionError, match=r"reports\.texts"):
        drop(filled.settings, 1)
    rows(filled, "DROP SCHEMA reports CASCADE")
    assert drop(filled.settings, 1)
    assert rows(filled, "SELECT nspname FROM pg_namespace WHERE nspname ~ '_v[0-9]'") == []
