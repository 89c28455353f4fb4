"""The archive as readers see it: for each partition one run of records without gaps."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tailrace.archiving.segments import ArchivedRecord, Manifest, manifests, read
from tailrace.errors import PreconditionError
from tailrace.settings import Settings

FOLDER: Final = "archive"


def folder(settings: Settings, to: Path | None = None) -> Path:
    """Where the archive is: what is given, else the setting, else beside the embedded servers' data."""
    return to or settings.archive.dir or settings.data_dir / FOLDER


@dataclass(slots=True)
class Archive:
    """Segments of an instance's topics. Topics are named without prefix."""

    settings: Settings
    path: Path

    def segments(self, topic: str, partition: int) -> list[Manifest]:
        """Of the partition, in order."""
        return manifests(self.path, self.settings.topic(topic), partition)

    def first_offset(self, topic: str, partition: int) -> int | None:
        """Where the archive begins; None where it has nothing of the partition."""
        held = self.segments(topic, partition)
        return held[0].first_offset if held else None

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[ArchivedRecord]:
        """Records of [start, end) in order.

        Raises `PreconditionError` where the archive has a gap there, ends before it, or holds a damaged file.
        """
        reached = start
        for manifest in self.segments(topic, partition):
            if manifest.end_offset <= reached or reached >= end:
                continue
            if manifest.first_offset > reached:
                break
            for record in read(self.path, manifest):
                if reached <= record.offset < end:
                    yield record
            reached = manifest.end_offset
        if reached < end:
            raise PreconditionError(
                f"{self.settings.topic(topic)}/{partition}: offsets {reached} to {end - 1} are in neither Kafka nor the"
                f" archive at {self.path}",
                fix="tailrace archive verify",
            )


def open_archive(settings: Settings, to: Path | None = None) -> Archive | None:
    """The archive; None where there is none yet."""
    path = folder(settings, to)
    return Archive(settings, path) if path.is_dir() else None
