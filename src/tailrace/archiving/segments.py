"""Segments: their form, how they come into the folder exactly once, and how they are read back.

A segment's file is named after its offsets and its checksum and is of no meaning by itself. Its manifest is named after
its first offset alone and is linked into place, which fails where there is one: of two runs, or of a run and what a
crash left, exactly one counts, and nothing is ever overwritten.
"""

import base64
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import cramjam
import orjson

from tailrace.errors import PreconditionError

FORMAT: Final = 1
MANIFEST: Final = ".manifest.json"
DATA: Final = ".jsonl.zst"
UNFINISHED: Final = ".unfinished-"
LEVEL: Final = 6
DIGITS: Final = 20

Headers = tuple[tuple[str, bytes | None], ...]


class ArchivedRecord(NamedTuple):
    """A record as Kafka gave it. `timestamp` is the broker's append time in milliseconds since 1970."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a segment holds: the records of [first_offset, end_offset) of one partition (full topic name).

    `records` may be fewer than offsets. Times are append times in milliseconds. `sha256` is of the file as it lies
    there, `last_record_sha256` of its last record alone: it tells this log from another under the same name.
    """

    topic: str
    partition: int
    first_offset: int
    end_offset: int
    records: int
    first_timestamp: int
    last_timestamp: int
    bytes: int
    compressed_bytes: int
    sha256: str
    last_record_sha256: str
    file: str
    written_at: str
    format: int = FORMAT

    @property
    def place(self) -> tuple[str, int]:
        """(topic, partition)."""
        return self.topic, self.partition


def folder_of(folder: Path, topic: str, partition: int) -> Path:
    """Where the segments of a partition lie."""
    return folder / topic / str(partition)


def digest_of(record: ArchivedRecord) -> str:
    """SHA-256 of everything that is kept of a record."""
    return hashlib.sha256(_line(record)).hexdigest()


def write(
    folder: Path, topic: str, records: Sequence[ArchivedRecord], span: range, written_at: str
) -> tuple[Manifest, bool]:
    """Put a segment of these records, all there are in a span of offsets, into the archive.

    Gives the manifest that counts, which is another run's where that was first, and whether it is ours. Raises OSError.
    """
    first = records[0]
    place = folder_of(folder, topic, first.partition)
    place.mkdir(parents=True, exist_ok=True)
    lines = b"".join(map(_line, records))
    data = bytes(cramjam.zstd.compress(lines, level=LEVEL))
    sha256 = hashlib.sha256(data).hexdigest()
    name = f"{span.start:0{DIGITS}}-{span.stop - 1:0{DIGITS}}-{sha256[:16]}{DATA}"
    manifest = Manifest(
        topic,
        first.partition,
        span.start,
        span.stop,
        len(records),
        records[0].timestamp,
        records[-1].timestamp,
        len(lines),
        len(data),
        sha256,
        hashlib.sha256(_line(records[-1])).hexdigest(),
        name,
        written_at,
    )
    _link(place / name, data)
    said = orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2)
    is_ours = _link(_manifest_path(place, span.start), said)
    return load(_manifest_path(place, span.start)), is_ours


def _manifest_path(place: Path, first_offset: int) -> Path:
    return place / f"{first_offset:0{DIGITS}}{MANIFEST}"


def _link(path: Path, content: bytes) -> bool:
    """Make a file with this content, whole or not at all; False where there is one of that name."""
    handle, name = tempfile.mkstemp(prefix=UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            Path(path).hardlink_to(name)
        except FileExistsError:
            return False
        _sync_folder(path.parent)
        return True
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load(path: Path) -> Manifest:
    """Read a manifest. Raises `PreconditionError` for one that cannot be read, or of a newer form."""
    try:
        said: dict[str, Any] = orjson.loads(path.read_bytes())
        if said["format"] > FORMAT:
            raise PreconditionError(f"{path}: written by a newer version of tailrace", fix="upgrade")
        return Manifest(**said)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PreconditionError(
            f"{path}: no manifest ({type(error).__name__})", fix="tailrace archive verify"
        ) from error


def manifests(folder: Path, topic: str, partition: int) -> list[Manifest]:
    """Manifests of a partition, by first offset; none where the folder is not there."""
    return [load(path) for path in sorted(folder_of(folder, topic, partition).glob(f"*{MANIFEST}"))]


def places(folder: Path) -> list[tuple[str, int]]:
    """(topic, partition) of every partition that has segments."""
    found = {(path.parent.parent.name, int(path.parent.name)) for path in folder.glob(f"*/*/*{MANIFEST}")}
    return sorted(found)


def unfinished(folder: Path) -> int:
    """How many files runs left behind that were killed; they are of no meaning."""
    return sum(1 for _ in folder.glob(f"*/*/{UNFINISHED}*"))


def file_of(folder: Path, manifest: Manifest) -> Path:
    """Path of a segment's file."""
    return folder_of(folder, *manifest.place) / manifest.file


def read(folder: Path, manifest: Manifest) -> Iterator[ArchivedRecord]:
    """A segment's records. Raises `PreconditionError` where the file is not the one that was written."""
    path = file_of(folder, manifest)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PreconditionError(f"{path}: {type(error).__name__}", fix="tailrace archive verify") from error
    if hashlib.sha256(data).hexdigest() != manifest.sha256:
        raise PreconditionError(f"{path}: its checksum is another", fix="tailrace archive verify")
    yield from _records(bytes(cramjam.zstd.decompress(data)).split(b"\n"), manifest.partition)


def _line(record: ArchivedRecord) -> bytes:
    """One record as a line: text where the bytes are UTF-8, else base64, so that every byte comes back."""
    said: dict[str, Any] = {"o": record.offset, "t": record.timestamp}
    for name, content in (("k", record.key), ("v", record.value)):
        _put(said, name, content)
    if record.headers:
        said["h"] = [
            [name, None if content is None else base64.b64encode(content).decode()] for name, content in record.headers
        ]
    return orjson.dumps(said) + b"\n"


def _put(said: dict[str, Any], name: str, content: bytes | None) -> None:
    if content is None:
        said[name] = None
        return
    try:
        said[name] = content.decode("utf-8")
    except UnicodeDecodeError:
        said[f"{name}b"] = base64.b64encode(content).decode()


def _take(said: dict[str, Any], name: str) -> bytes | None:
    if name in said:
        return None if said[name] is None else said[name].encode("utf-8")
    return base64.b64decode(said[f"{name}b"])


def _records(lines: Iterable[bytes], partition: int) -> Iterator[ArchivedRecord]:
    for line in lines:
        if line:
            said = orjson.loads(line)
            headers = tuple(
                (name, None if content is None else base64.b64decode(content)) for name, content in said.get("h", ())
            )
            yield ArchivedRecord(partition, said["o"], said["t"], _take(said, "k"), _take(said, "v"), headers)
