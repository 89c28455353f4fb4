"""Records as JSON Lines."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any, BinaryIO, Final

import orjson

from tailrace.workload.records import Generated

CHUNK_LINES: Final = 256


def event_line(record: Generated) -> bytes | None:
    """Return the event as one line, newline included; None for poison, which need not be JSON."""
    return None if record.fault == "poison" or record.value is None else record.value + b"\n"


def record_line(record: Generated) -> bytes:
    """Return the whole record as one line: topic, key, and the value as text, or in Base64 where it is not UTF-8.

    A poison record also says its class and what has to become of it.
    """
    line: dict[str, Any] = {"topic": record.topic, "key": None if record.key is None else record.key.decode()}
    try:
        line["value"] = None if record.value is None else record.value.decode()
    except UnicodeDecodeError:
        line["value_base64"] = b64encode(record.value or b"").decode()
    if record.poison:
        line |= {"poison": record.poison, "expected": record.expected}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def write_lines(records: Iterable[Generated], stream: BinaryIO, *, whole: bool = False) -> int:
    """Write a line per event, or per record when `whole`; returns how many records gave no line.

    Raises BrokenPipeError when nobody reads any more.
    """
    skipped = 0
    lines: list[bytes] = []
    for record in records:
        line = record_line(record) if whole else event_line(record)
        if line is None:
            skipped += 1
            continue
        lines.append(line)
        if len(lines) >= CHUNK_LINES:
            stream.write(b"".join(lines))
            lines.clear()
    stream.write(b"".join(lines))
    stream.flush()
    return skipped
