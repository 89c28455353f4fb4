"""What the demo publishes: a made-up company's traffic, or the history of a Slack export."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from tailrace.addresses import resolve
from tailrace.demo.children import in_thread
from tailrace.history.report import Report
from tailrace.history.slack import SlackOptions, slack_events
from tailrace.history.slack_export import read_slack_export
from tailrace.producer import Failed, Producer, Refused
from tailrace.schemas.catalogue import INBOUND
from tailrace.settings import Settings
from tailrace.workload import Generated, Profile, Published, Summary, generate, named_profile, publish_records

PUBLISH_S: Final = 20.0
"""How long publishing takes, where the machine is fast enough: the worker has to die and return meanwhile."""
STEP_S: Final = 0.05
END_BEFORE_NOW: Final = timedelta(minutes=5)
"""Events from the future would be refused, and clocks may differ."""
POSTED: Final = "collab.message.posted"
BOT: Final = b'"message_type":"bot"'


@dataclass(frozen=True, slots=True)
class Request:
    """What the demo is asked for. `seed` None: one that this log has not seen; `export` takes the generator's place."""

    events: int = 55_000
    seed: int | None = None
    export: Path | None = None


class Traffic(Protocol):
    """Something to publish, once."""

    total: int
    """Records, about."""

    @property
    def published(self) -> int:
        """Records handed over so far."""

    async def publish(self) -> Published:
        """Put everything into the log; returns when the broker has it."""

    def story(self) -> list[tuple[str, str]]:
        """Label and text of the report's lines about what was published."""

    def refusals(self) -> dict[str, int]:
        """How many records have to become dead letters, by code."""

    def document(self) -> dict[str, Any]:
        """Everything known about it, ready for JSON."""


def generated_traffic(settings: Settings, request: Request, *, records_before: int, now: datetime) -> Traffic:
    """Return a company's traffic that ends shortly before `now` (aware), on a log that has ever held so many records.

    A log only grows, so a seed made of its length is a new one each time.
    """
    seed = 1 + records_before if request.seed is None else request.seed
    profile = named_profile("demo", start=now.replace(second=0, microsecond=0), events=request.events, seed=seed)
    return GeneratedTraffic(settings, replace(profile, start=profile.start - timedelta(profile.days) - END_BEFORE_NOW))


class GeneratedTraffic:
    """A company made from a seed, with everything that goes wrong between producers and a log."""

    def __init__(self, settings: Settings, profile: Profile) -> None:
        self._settings = settings
        self._profile = profile
        self._summary = Summary()
        self._inbound = 0
        self.total = int(profile.events * (1 + profile.duplicates)) + profile.poison

    @property
    def published(self) -> int:
        """Records taken from the generator."""
        return self._summary.records

    async def publish(self) -> Published:
        """Publish as fast as `PUBLISH_S` asks for; poison goes in as it is, which the SDK would refuse."""
        return await publish_records(
            resolve(self._settings).kafka,
            self._records(),
            settings=self._settings,
            rate=self.total / PUBLISH_S,
        )

    def _records(self) -> Iterator[Generated]:
        """The company's records; what its bots post comes from producers without the SDK, through the gateway.

        Under keys of their own, but one for each channel: what is in one partition of `inbound` keeps its order.
        """
        for record in generate(self._profile, self._summary):
            is_bot = record.type == POSTED and record.fault is None and BOT in (record.value or b"")
            if not is_bot:
                yield record
                continue
            self._inbound += 1
            yield record._replace(topic=INBOUND, key=b"hook-" + (record.key or b""))

    def story(self) -> list[tuple[str, str]]:
        """The company, and its records by kind."""
        p, s = self._profile, self._summary
        end = p.start + timedelta(days=p.days)
        company = f"{p.workspaces} workspaces, {p.users} people, {p.days} days up to {end:%Y-%m-%d %H:%M} UTC"
        kinds = [
            f"{s.records:,} records: {s.events:,} events, {s.faults['swapped']:,} of them in the wrong order",
            f"and {s.faults['late']:,} late; {s.faults['duplicate']:,} sent twice;",
            f"{s.faults['poison']} poisonous, {sum(self.refusals().values())} of which must be refused;",
            f"{self._inbound:,} through the inbound gateway",
        ]
        return [("company", f"{company}, made from seed {p.seed}"), ("published", " ".join(kinds))]

    def refusals(self) -> dict[str, int]:
        """What the generator's poison has to become."""
        return self._summary.refusals

    def document(self) -> dict[str, Any]:
        """Counts by type, topic and fault."""
        p = self._profile
        made = {"source": "generated", "profile": p.name, "seed": p.seed, "start": p.start, "days": p.days}
        company = {"workspaces": p.workspaces, "users": p.users, "inbound": self._inbound}
        return {**made, **company, **self._summary.as_document()}


class SlackTraffic:
    """A Slack export, published through the SDK as `tailrace import slack` does it, at the demo's pace."""

    def __init__(self, settings: Settings, path: Path, total: int) -> None:
        self._settings = settings
        self._path = path
        self._report = Report()
        self._refused = 0
        self.published = 0
        self.total = total

    @classmethod
    async def open(cls, settings: Settings, path: Path) -> "SlackTraffic":
        """Read the export once, to know how much there is; raises where it is none (exit 4 or 6)."""
        return cls(settings, path, await in_thread(lambda: _count(path)))

    async def publish(self) -> Published:
        """Publish the history; raises what the SDK raises where the log cannot be reached."""
        began = time.monotonic()
        producer = Producer(self._settings, source="/demo", bootstrap_servers=resolve(self._settings).kafka)
        async with producer:
            async for result in producer.publish_stream(self._paced(began)):
                if isinstance(result, Failed):
                    raise result.error
                self._refused += isinstance(result, Refused)
                self.published += not isinstance(result, Refused)
        return Published(self.published, 0, time.monotonic() - began)

    async def _paced(self, began: float) -> AsyncIterator[dict[str, Any]]:
        rate = max(1, self.total) / PUBLISH_S
        with read_slack_export(self._path) as export:
            for count, event in enumerate(slack_events(export, _options(export.team_id, self._path), self._report), 1):
                yield event.event
                ahead = began + count / rate - time.monotonic()
                if ahead > STEP_S:
                    await asyncio.sleep(ahead)

    def story(self) -> list[tuple[str, str]]:
        """What the export holds and what was made of it."""
        found = {label: (count, events) for label, count, events in self._report.compared()}
        history = ", ".join(
            f"{found[label][0]:,} {label}" for label in ("people and bots", "conversations", "messages", "reactions")
        )
        lines = [("export", f"{self._path.name}: {history}")]
        refused = f"; the contract refused {self._refused:,}" if self._refused else ""
        lines.append(("published", f"{self.published:,} events{refused}"))
        if odd := sum(oddity.count for oddity in self._report.oddities.values()):
            kinds = len(self._report.oddities)
            lines.append(("assumed", f"{odd:,} things of {kinds} kinds; `tailrace import slack --dry-run` names them"))
        if self._report.unreadable_count:
            lines.append(("left out", f"{self._report.unreadable_count:,} files that cannot be read"))
        return lines

    def refusals(self) -> dict[str, int]:
        """None: the SDK keeps out of the log what does not fit."""
        return {}

    def document(self) -> dict[str, Any]:
        """The import's report."""
        sent = {"records": self.published, "refused": self._refused}
        return {"source": "slack", "path": self._path, **self._report.document(), **sent}


def _options(team_id: str | None, path: Path) -> SlackOptions:
    """An export whose people name no team gets the file's name as workspace, the same at every run."""
    return SlackOptions(workspace=path.stem if team_id is None else None)


def _count(path: Path) -> int:
    with read_slack_export(path) as export:
        return sum(1 for _ in slack_events(export, _options(export.team_id, path), Report()))
