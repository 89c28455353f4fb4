"""Small exports of Mattermost and Zulip, written by hand from the documented formats, and what is made of them."""

import json
import tarfile
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from msgspec.structs import replace

from tailrace.history.mattermost import MattermostOptions, mattermost_events
from tailrace.history.mattermost_export import MattermostExport
from tailrace.history.report import Report
from tailrace.history.zulip import ZulipOptions, zulip_events
from tailrace.history.zulip_export import ZulipExport
from tailrace.schemas.decode import decode
from tailrace.schemas.event import Event
from tailrace.verification.fold import fold

BASE_MS = 1_600_000_000_000


def user(name: str, *channels: str, team: str = "acme", **more: Any) -> dict[str, Any]:
    teams = [
        {"name": team, "roles": "team_user", "channels": [{"name": it, "roles": "channel_user"} for it in channels]}
    ]
    return {"username": name, "email": f"{name}@acme.test", "roles": "system_user", "teams": teams, **more}


@dataclass
class MattermostFile:
    """Team acme with #town-square and the private #plans, Ada (admin) and Bob."""

    tmp: Path
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.add("version", None, version=1, info={"generator": "mmctl", "version": "9.0.0"})
        self.add("team", {"name": "acme", "display_name": "Acme", "type": "O"})
        for name, kind in (("town-square", "O"), ("plans", "P")):
            self.add("channel", {"team": "acme", "name": name, "display_name": name.title(), "type": kind})
        ada = user("ada", "town-square", "plans", nickname="Ada L", locale="de", position="Analyst")
        ada["teams"][0]["roles"] = "team_admin team_user"
        self.add("user", ada)
        self.add("user", user("bob", "town-square", first_name="Bob", last_name="B"))

    def add(self, kind: str, value: Any, **more: Any) -> None:
        self.lines.append({"type": kind, **({kind: value} if value is not None else {}), **more})

    def post(self, ms: int = 0, message: str = "hello", by: str = "ada", in_: str = "town-square", **more: Any) -> None:
        post = {"team": "acme", "channel": in_, "user": by, "message": message, "create_at": BASE_MS + ms, **more}
        self.add("post", post)

    def file(self) -> Path:
        path = self.tmp / "export.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines))
        return path

    def zip(self, **attachments: bytes) -> Path:
        path = self.tmp / "export.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(self.file(), "import.jsonl")
            for name, content in attachments.items():
                archive.writestr(f"data/{name}", content)
        return path


@dataclass
class Outcome:
    events: list[Event]
    value: bytes
    report: Report
    tables: Any

    def rows(self, table: str) -> list[dict[str, Any]]:
        return list(self.tables[table].values())

    def keys(self, table: str, column: str) -> dict[str, Any]:
        return {row[column]: key[0] for key, row in self.tables[table].items()}

    def odd(self) -> dict[str, int]:
        return {kind: oddity.count for kind, oddity in self.report.oddities.items()}


def outcome(made: list[Any], report: Report) -> Outcome:
    """What consumers make of the events; every one of them must be taken."""
    lines = [orjson.dumps(event.event) for event in made]
    events = [
        decode(event.topic, event.key.encode(), line, datetime(2026, 1, 1, tzinfo=UTC))
        for event, line in zip(made, lines, strict=True)
    ]
    assert [event for event in events if not isinstance(event, Event)] == []
    placed = [replace(event, partition=0, offset=offset) for offset, event in enumerate(events)]
    assert len({event.id for event in placed}) == len(placed)
    return Outcome(placed, b"\n".join(lines), report, fold(placed))


BASE_S = 1_600_000_000


@dataclass
class ZulipFolder:
    """Realm acme with #general and the private #plans, Ada (owner), Bob and a bot."""

    tmp: Path
    realm: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    per_file: int = 1_000

    def __post_init__(self) -> None:
        person = {"date_joined": BASE_S - 1_000.5, "is_active": True, "is_bot": False, "timezone": ""}
        self.realm = {
            "zerver_realm": [{"id": 2, "string_id": "acme", "name": "Acme", "date_created": BASE_S - 2_000}],
            "zerver_userprofile": [
                {**person, "id": 11, "delivery_email": "ada@acme.test", "full_name": "Ada", "role": 100},
                {**person, "id": 12, "delivery_email": "bob@acme.test", "full_name": "Bob", "role": 400},
                {**person, "id": 13, "email": "ci-bot@acme.test", "full_name": "CI", "role": 400, "is_bot": True},
            ],
            "zerver_userprofile_crossrealm": [{"id": 6, "email": "notification-bot@zulip.com"}],
            "zerver_userprofile_mirrordummy": [],
            "zerver_stream": [
                {"id": 21, "name": "general", "description": "all", "invite_only": False, "date_created": BASE_S - 900},
                {"id": 22, "name": "plans", "description": "", "invite_only": True, "date_created": BASE_S - 800},
            ],
            "zerver_recipient": [
                {"id": 31, "type": 2, "type_id": 21},
                {"id": 32, "type": 2, "type_id": 22},
                {"id": 33, "type": 1, "type_id": 11},
                {"id": 34, "type": 1, "type_id": 12},
                {"id": 35, "type": 3, "type_id": 77},
            ],
            "zerver_subscription": [
                {"id": number, "user_profile": user, "recipient": recipient, "active": (user, recipient) != (12, 32)}
                for number, (user, recipient) in enumerate(
                    [(11, 31), (12, 31), (11, 32), (12, 32), (11, 35), (12, 35), (13, 35)]
                )
            ],
            "zerver_reaction": [],
        }

    def message(self, key: int, content: str = "hello", subject: str = "", **more: Any) -> None:
        message = {"id": key, "sender": 11, "recipient": 31, "subject": subject, "content": content}
        self.messages.append({**message, "date_sent": BASE_S + key + 0.25, **more})

    def react(self, message: int, user: int, name: str, code: str | None = None) -> None:
        kind = "unicode_emoji" if code else "realm_emoji"
        row = {"message": message, "user_profile": user, "emoji_name": name, "emoji_code": code or "1"}
        self.realm["zerver_reaction"].append({"id": len(self.realm["zerver_reaction"]), **row, "reaction_type": kind})

    def folder(self) -> Path:
        folder = self.tmp / "zulip-export-x"
        folder.mkdir(exist_ok=True)
        (folder / "realm.json").write_text(json.dumps(self.realm))
        (folder / "attachment.json").write_text(json.dumps({"zerver_attachment": self.files}))
        for number, first in enumerate(range(0, len(self.messages), self.per_file), start=1):
            some = self.messages[first : first + self.per_file]
            (folder / f"messages-{number:06}.json").write_text(json.dumps({"zerver_message": some}))
        return folder

    def tarball(self) -> Path:
        path = self.tmp / "export.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(self.folder(), "zulip-export-x")
            archive.addfile(tarfile.TarInfo("../../messages-000009.json"))
        return path


def import_mattermost(path: Path, server: str = "mattermost") -> Outcome:
    """Import a bulk export."""
    report = Report()
    with MattermostExport(path) as opened:
        return outcome(list(mattermost_events(opened, MattermostOptions(server), report)), report)


def import_zulip(path: Path) -> Outcome:
    """Import a realm."""
    report = Report()
    with ZulipExport(path) as opened:
        return outcome(list(zulip_events(opened, ZulipOptions(), report)), report)
