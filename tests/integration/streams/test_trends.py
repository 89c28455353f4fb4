"""The command that shows the hottest channels, once and live."""

import asyncio
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from channel_life import WORKSPACE, Life, value_of

ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"
"""A terminal's second screen, which leaves the first as it was."""


async def publish(topics, events: list[dict]) -> None:
    for event in events:
        await topics.put("conversations", value_of(event), key=event["data"]["channel_id"].encode())
    await topics.producer.flush()


async def test_the_command_shows_the_hottest_channels(topics, make_workers, eventually):
    # Within one minute, so that the newest window holds all of it.
    begins = datetime.now(UTC).replace(second=5, microsecond=0) - timedelta(minutes=30)
    life = Life(1, begins=begins, step_s=0.1, channels=3)
    events = [*life.founding()]
    for channel, count in zip(life.channels, (3, 20, 8), strict=True):
        posts = [life.posted(channel) for _ in range(count)]
        events += [post | {"data": post["data"] | {"message_type": "text"}} for post in posts]
    workers = make_workers("trends")
    workers.start()
    await publish(topics, events)
    command = [sys.executable, "-c", "from tailrace.cli.main import run; run()", "trends"]
    command += ["--workspace", WORKSPACE, "-o", "json"]

    async def are_shown() -> bool:
        done = await asyncio.to_thread(
            subprocess.run, command, env=workers.environment, capture_output=True, check=True, timeout=30
        )
        return [one["messages"] for one in json.loads(done.stdout)] == [20, 8, 3]

    await eventually(are_shown)
    begun, after = await asyncio.to_thread(watched, command[:-2], workers.environment, life.channels)
    frame = newest_frame(begun)

    assert re.search(r"CHANNEL +WINDOW +MESSAGES +REACTIONS +PEOPLE +SCORE", frame)
    assert frame.index(life.channels[1]) < frame.index(life.channels[2]) < frame.index(life.channels[0])
    assert LEFT in after


def newest_frame(text: str) -> str:
    """What the terminal shows after the text: each frame begins in the corner."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text.rpartition("\x1b[H")[2])


def watched(command: list[str], environment: dict[str, str], channels: list[str]) -> tuple[str, str]:
    """What `--watch` writes to a terminal of 120 columns until it shows all channels, and what after Ctrl-C."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    # The two may be in the environment already, and then count for more than the terminal.
    terminal = {"TERM": "xterm", "COLUMNS": "120", "LINES": "30"}
    watching = subprocess.Popen(
        [*command, "--watch"], env=environment | terminal, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        begun = read_until(ours, lambda text: all(one in newest_frame(text) for one in channels))
        watching.send_signal(signal.SIGINT)
        after = read_until(ours, lambda text: LEFT in text)
        assert watching.wait(30) == 0
    finally:
        watching.kill()
        os.close(ours)
    assert ENTERED in begun
    return begun, after


def read_until(terminal: int, holds: Callable[[str], bool]) -> str:
    text = ""
    deadline = time.monotonic() + 60
    while not holds(text):
        ready, _, _ = select.select([terminal], [], [], 30)
        assert ready, text
        assert time.monotonic() < deadline, text
        text += os.read(terminal, 65_536).decode(errors="replace")
    return text
