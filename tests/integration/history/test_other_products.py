"""Mattermost and Zulip in a real log and applied: imported, killed on the way, resumed, imported again."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from exports import BASE_MS, MattermostFile, ZulipFolder, import_mattermost, import_zulip
from kafka_topics import read_all
from worker_process import caught_up, command, environment, eventually, workers

from tailrace.addresses import resolve
from tailrace.operations.database import connection
from tailrace.operations.migrations import migrate
from tailrace.operations.topics import apply_topics
from tailrace.settings import Settings
from tailrace.verification.verify import verify

POSTS = 2_500
RUN_TIMEOUT_S = 60
COUNTS = """
SELECT (SELECT count(*) FROM collab.users), (SELECT count(*) FROM collab.channels),
       (SELECT count(*) FROM collab.messages), (SELECT count(*) FROM collab.messages WHERE reply_count > 0),
       (SELECT count(*) FROM collab.reactions), (SELECT count(*) FROM collab.files)
"""
KINDS = (
    ("users", "bots"),
    ("channels", "groups", "dms", "mpims"),
    ("messages",),
    ("threads",),
    ("reactions",),
    ("files",),
)


def mattermost(folder: Path) -> Path:
    export = MattermostFile(folder)
    for number in range(POSTS // 2):
        at = BASE_MS + number * 1_000
        reply = {"user": "bob", "message": "re", "create_at": at + 5, "edit_at": at + 9 if number % 50 == 0 else 0}
        reactions = [{"user": "ada", "create_at": at + 7, "emoji_name": "+1"}] if number % 10 == 0 else None
        more = {"replies": [reply] if number % 2 else None, "reactions": reactions, "is_pinned": number % 500 == 0}
        export.post(number * 1_000, f"post {number}", attachments=[{"path": f"{number % 40}/a.txt"}], **more)
    export.add("direct_post", {"channel_members": ["ada", "bob"], "user": "bob", "message": "hi", "create_at": BASE_MS})
    return export.zip()


def zulip(folder: Path) -> Path:
    export = ZulipFolder(folder, per_file=100)
    for key in range(1, 400):
        export.message(key, f"m{key} @**Bob**", f"topic {key % 7}", sender=11 + key % 3)
        export.react(key, 12, "tada", "1f389")
    export.message(400, "direct", recipient=34)
    return export.tarball()


async def run(settings: Settings, *arguments: str, kill_when: Path | None = None) -> tuple[int, Any]:
    """Run an import; gives its exit code and report. It is killed as soon as a file is there."""
    process = await asyncio.create_subprocess_exec(
        *command("import", *arguments, "-o", "json"),
        env=environment(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if kill_when:
        await eventually(kill_when.exists, f"{kill_when} is there")
        process.kill()
    async with asyncio.timeout(RUN_TIMEOUT_S):
        printed, _ = await process.communicate()
    return process.returncode or 0, json.loads(printed) if printed else None


def found(reports: Sequence[Any]) -> tuple[int, ...]:
    return tuple(sum(report["found"].get(kind, 0) for report in reports for kind in kinds) for kinds in KINDS)


async def test_what_was_exported_is_in_the_tables_however_often_it_is_imported(settings: Settings, tmp_path: Path):
    with connection(settings) as conn:
        migrate(conn, settings)
    settings.kafka.partitions, settings.kafka.partitions_small = 2, 1
    await apply_topics(settings, resolve(settings).kafka)
    (tmp_path / "m").mkdir()
    (tmp_path / "z").mkdir()
    first = ("mattermost", str(mattermost(tmp_path / "m")))
    second = ("zulip", str(zulip(tmp_path / "z")))
    state = tmp_path / "state"

    killed, _ = await run(settings, *first, "--resume", str(state), "--rate", "1000", kill_when=state)
    resumed, one = await run(settings, *first, "--resume", str(state))
    whole, two = await run(settings, *second)
    made = [*import_mattermost(Path(first[1])).events, *import_zulip(Path(second[1])).events]
    topics = [await read_all(settings, topic) for topic in ("directory", "conversations", "files")]
    ids = [json.loads(record.value)["id"] for records in topics for record in records]

    assert (killed, resumed, whole) == (-9, 0, 0)
    assert 0 < one["sent"]["written"] < one["events_total"]
    assert one["sent"]["refused"] == two["sent"]["refused"] == 0
    assert set(ids) == {event.id for event in made}

    async with workers(settings, tmp_path) as start:
        worker = await start()
        await caught_up(settings)
        with psycopg.connect(resolve(settings).postgres) as reading:
            once = reading.execute(COUNTS).fetchone()
        assert (await asyncio.to_thread(verify, settings, limit=3)).differences == 0
        for arguments in (first, second):
            await run(settings, *arguments)
        await caught_up(settings)
        with psycopg.connect(resolve(settings).postgres) as reading:
            twice = reading.execute(COUNTS).fetchone()
        verified = await asyncio.to_thread(verify, settings, limit=3)
        assert await worker.stop() == 0

    assert once == twice == found([one, two])
    assert verified.differences == 0, json.dumps(verified.document(), indent=1)
