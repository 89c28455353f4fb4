"""What a stream refused is in the topic only; whoever asks for dead letters finds it beside the others."""

import json
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer
from worker_process import tailrace

from tailrace.addresses import resolve
from tailrace.operations.dead_letters import Selector, find, show
from tailrace.operations.gathering import gather
from tailrace.schemas.dead_letters import DeadLetter, dead_letter_headers
from tailrace.settings import Settings

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


async def publish(live: Settings, *letters: tuple[str, int]) -> None:
    """Letters of (projection, offset), as streams and the relay write them, and a record of somebody else."""
    producer = AIOKafkaProducer(bootstrap_servers=resolve(live).kafka)
    await producer.start()
    try:
        for projection, offset in letters:
            letter = DeadLetter(
                live.kafka.topic_prefix + "inbound", 2, offset, (("own", b"\xff"),), "E_DECODE", "value: no JSON",
                projection, 3, AT, AT,
            )  # fmt: skip
            headers = dead_letter_headers(letter)
            await producer.send_and_wait(live.topic("dead-letters"), b"\xff\x00", b"key", headers=headers)
        await producer.send_and_wait(live.topic("dead-letters"), b"of nobody", headers=[("tr-projection", b"x")])
    finally:
        await producer.stop()


async def test_letters_of_streams_are_gathered_once_and_those_of_workers_not(live: Settings):
    await publish(live, ("gateway", 7), ("postgres", 8), ("gateway", 7))
    assert (await gather(live), await gather(live)) == (1, 0)
    await publish(live, ("trends", 9))

    code, printed = await tailrace(live, "dlq", "ls", "-o", "json")
    document = json.loads(printed)
    assert (code, document["total"], document["by_code"]) == (0, 2, {"E_DECODE": 2})
    assert {letter["projection"] for letter in document["dead_letters"]} == {"gateway", "trends"}
    page = find(live, Selector(projection="gateway"), limit=5)
    (letter,) = page.letters
    assert (letter.offset, letter.attempts, letter.first_failed_at, letter.append_time) == (7, 3, AT, AT)
    contents = show(live, letter.id)
    assert (contents.key, contents.value, contents.headers) == (b"key", b"\xff\x00", (("own", b"\xff"),))
