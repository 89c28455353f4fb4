# ruff: noqa: INP001, T201 - an example is a program of its own, and talks on its outputs
"""A service that posts what it is told: each line of stdin becomes a message in one channel.

    python examples/service.py --workspace ID --channel ID --user ID < lines.txt

Prints where each message is in the log, as JSON. A line is one message however often the network fails, since the very
same record is sent again, and SIGTERM ends it with everything sent that it has read.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from tailrace.errors import TailraceError
from tailrace.producer import Ack, DeliveryUnknown, NotDelivered, Producer
from tailrace.schemas.conversations import MessagePosted

ATTEMPTS_MAX: Final = 5
"""Tries for one message; each takes up to the producer's `delivery_timeout_s`."""


def message(text: str, workspace: str, channel: str, user: str) -> MessagePosted:
    """Make the data of a message written now; type, key, topic, ids and stamps are the producer's business."""
    return MessagePosted(
        message_id=str(uuid4()),
        channel_id=channel,
        workspace_id=workspace,
        user_id=user,
        content=text,
        message_type="bot",
        mentions=[],
        file_ids=[],
        created_at=datetime.now(UTC),
    )


async def post(producer: Producer, posted: MessagePosted) -> Ack:
    """Publish, and try again where the log may not have it; raises `EventRefused` at once, since that does not mend."""
    record = producer.validate(posted)  # once: a second try under another id would be another event
    for _ in range(ATTEMPTS_MAX - 1):
        try:
            return await (await producer.submit_record(record))
        except (DeliveryUnknown, NotDelivered) as failed:
            print(f"{failed.code}: {failed}, trying again", file=sys.stderr)
    return await (await producer.submit_record(record))


async def lines() -> AsyncIterator[str]:
    """Lines of stdin until its end, or until SIGTERM."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    loop.add_signal_handler(signal.SIGTERM, reader.feed_eof)
    while line := await reader.readline():
        if text := line.decode().strip():
            yield text
    transport.close()


async def serve(producer: Producer, workspace: str, channel: str, user: str) -> None:
    """Post line after line, in order."""
    async with producer:
        async for text in lines():
            ack = await post(producer, message(text, workspace, channel, user))
            place = {"id": ack.event_id, "topic": ack.topic, "partition": ack.partition, "offset": ack.offset}
            print(json.dumps(place), flush=True)


def main(arguments: Iterable[str] | None = None) -> int:
    """Run until stdin ends; the exit code is that of the error that ended it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("workspace", "channel", "user"):
        parser.add_argument(f"--{name}", required=True, metavar="ID")
    options = parser.parse_args(None if arguments is None else list(arguments))
    try:
        asyncio.run(serve(Producer(source="/examples/service"), options.workspace, options.channel, options.user))
    except TailraceError as error:
        print(f"{error}\n  fix  {error.fix or '-'}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
