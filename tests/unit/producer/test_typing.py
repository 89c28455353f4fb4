"""The SDK as a type checker sees it from outside: right programs pass, wrong lines are named."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
EXAMPLES = [str(file) for file in sorted((ROOT / "examples").glob("*.py"))]
TIMEOUT_S = 240

PROGRAM = """
from datetime import UTC, datetime
from uuid import uuid4

from tailrace.producer import Ack, Draft, EventRefused, Producer, ProducerOptions, Record, Result, SyncProducer
from tailrace.schemas.conversations import Reaction
from tailrace.schemas.directory import UserRef
from tailrace.testing import RecordingProducer, State, given


async def right(user: UserRef, reaction: Reaction) -> list[Result]:
    async with Producer(source="/billing", options=ProducerOptions(delivery_timeout_s=5)) as producer:
        ack: Ack = await producer.publish("collab.user.erased", user, id=uuid4(), time=datetime.now(UTC))
        record: Record = producer.validate("collab.reaction.added", {"emoji": ack.topic})
        future = await producer.submit_record(record)
        offset: int | None = (await future).offset
        assert offset is not None
        return await producer.publish_many([Draft("collab.reaction.added", reaction, {"sequence": 7}), reaction])


def without_a_loop(user: UserRef) -> str | None:
    try:
        with SyncProducer(Producer(source="/billing")) as producer:
            return producer.publish("collab.user.erased", user).event_id
    except EventRefused as refused:
        return refused.path


def tested() -> State:
    stand_in: Producer = RecordingProducer()
    record = stand_in.validate("collab.user.erased", {"user_id": "x"})
    return given([{"type": "collab.user.erased", "data": {"user_id": record.event_id}}], now=datetime.now(UTC))


async def wrong(producer: Producer, user: UserRef) -> None:
    await producer.publish("collab.user.erased", user, sequence="7")  # wrong: sequence is a number
    await producer.publish("collab.user.erased", user, tenant="x")  # wrong: no such attribute
    await producer.publish(7)  # wrong: no event
    Producer()  # wrong: no source
    (await producer.publish(user)).offset + 1  # wrong: offset may be None
    producer.publish(user).event_id  # wrong: not awaited
    UserRef(user=1)  # wrong: no such field
    given([], now="today")  # wrong: no time
"""


def test_a_program_is_checked_line_by_line_and_the_examples_pass(tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = true\n")
    # A cache of its own: sharing one, this and `make check` would each undo the other's for their options.
    cache = ROOT / ".mypy_cache" / "outside"

    options = ["--config-file", str(config), "--cache-dir", str(cache)]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(program), *EXAMPLES],
        cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip

    wrong = {number for number, line in enumerate(PROGRAM.splitlines(), 1) if "# wrong:" in line}
    found = {int(number) for number in re.findall(r"program\.py:(\d+): error", checked.stdout)}
    assert found == wrong, checked.stdout + checked.stderr
    assert "examples/" not in checked.stdout
