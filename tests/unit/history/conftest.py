"""Small Slack exports, written by hand: an export is its files, by name."""

import asyncio
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from tailrace.history.report import Report
from tailrace.history.sending import JsonLines, send
from tailrace.history.slack import SlackOptions, slack_events
from tailrace.history.slack_export import ExportLimits, read_slack_export
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event

TEAM = "T0ACME"
CREATED = 1_500_000_000
DAY = "2020-09-13"
BASE = 1_600_000_000
"""14:26:40 on that day."""


@dataclass
class Export:
    """An export with two people, Ada (owner) and Bob, and the channel #general that both are in."""

    tmp: Path
    users: list[Any] = field(
        default_factory=lambda: [
            {
                "id": "U1",
                "team_id": TEAM,
                "name": "ada",
                "is_primary_owner": True,
                "is_owner": True,
                "is_admin": True,
                "tz": "Europe/London",
                "profile": {"display_name": "Ada", "email": "ada@acme.test", "title": "Analyst"},
            },
            {"id": "U2", "team_id": TEAM, "name": "bob", "profile": {"real_name": "Bob B", "email": "bob@acme.test"}},
        ]
    )
    lists: dict[str, list[Any]] = field(
        default_factory=lambda: {
            "channels.json": [
                {
                    "id": "C1",
                    "name": "general",
                    "created": CREATED,
                    "creator": "U1",
                    "is_general": True,
                    "members": ["U1", "U2"],
                }
            ]
        }
    )
    days: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, bytes] = field(default_factory=dict)

    @property
    def channel(self) -> dict[str, Any]:
        return self.lists["channels.json"][0]

    def message(self, offset: float = 0, text: str = "hello", *, folder: str = "general", **fields: Any) -> str:
        """Add a message `offset` seconds after BASE; returns its ts."""
        ts = f"{BASE + offset:.6f}"
        item = {"type": "message", "user": "U1", "text": text, "ts": ts, **fields}
        day = datetime.fromtimestamp(BASE + offset, UTC).strftime("%Y-%m-%d")
        self.days.setdefault(f"{folder}/{day}.json", []).append(item)
        return ts

    def files(self) -> dict[str, bytes]:
        named = {"users.json": self.users, **self.lists, **self.days}
        return {name: json.dumps(value).encode() for name, value in named.items()} | self.extra

    def folder(self, inside: str = "export") -> Path:
        for name, raw in self.files().items():
            path = self.tmp / inside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
        return self.tmp / inside.split("/", maxsplit=1)[0]

    def zip(self, inside: str = "") -> Path:
        path = self.tmp / "export.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, raw in self.files().items():
                archive.writestr(f"{inside}{name}", raw)
        return path


@dataclass
class Imported:
    """The events of an import, decoded as a consumer decodes them, their bytes, and the report."""

    events: list[Event]
    value: bytes
    report: Report

    def of(self, name: str) -> list[Event]:
        return [event for event in self.events if event.type == f"collab.{name}"]

    def one(self, name: str) -> Event:
        (event,) = self.of(name)
        return event

    def data(self, name: str) -> list[dict[str, Any]]:
        return [event.data for event in self.of(name)]

    def user_id(self, username: str) -> str:
        return next(data["user_id"] for data in self.data("user.registered") if data["username"] == username)

    def odd(self) -> dict[str, int]:
        return {kind: oddity.count for kind, oddity in self.report.oddities.items()}


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export(tmp_path)


@pytest.fixture
def run() -> Callable[..., Imported]:
    """Imports an export, from a folder unless a path is given; every event must be one that a consumer takes."""

    def import_(source: Export | Path, options: SlackOptions | None = None, limits: ExportLimits | None = None) -> Any:
        path = source if isinstance(source, Path) else source.folder()
        report, file = Report(), io.BytesIO()
        with read_slack_export(path, limits) as opened:
            asyncio.run(send(events := list(slack_events(opened, options or SlackOptions(), report)), JsonLines(file)))
        lines = file.getvalue().splitlines()
        decoded = [
            decode(event.topic, event.key.encode(), line, datetime(2026, 1, 1, tzinfo=UTC))
            for event, line in zip(events, lines, strict=True)
        ]
        assert [event for event in decoded if not isinstance(event, Event)] == []
        assert [orjson.loads(line)["id"] for line in lines] == [event.event["id"] for event in events]
        for offset, event in enumerate(decoded):
            event.partition, event.offset = 0, offset
        return Imported(decoded, file.getvalue(), report)

    return import_


@pytest.fixture
def imported(export: Export, run: Callable[..., Imported]) -> Callable[[], Imported]:
    """Imports the test's export."""
    return lambda: run(export)
