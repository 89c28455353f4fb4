"""Dead letters as one transaction meets them: those it writes, those that its records settle, who waits behind them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from tailrace.consumers.batch import Batch, Record
from tailrace.consumers.batches import append_time
from tailrace.consumers.postgres.parking import Parking, headers_json, waiting_for
from tailrace.consumers.postgres.session import Session
from tailrace.consumers.redriven import Place, place_of, redriven_from
from tailrace.projections.waiting import Line, Subject, subject_of
from tailrace.schemas.event import Event, Refusal
from tailrace.schemas.refusals import OWN_FAULTS

KEPT_BYTES_MAX: Final = 32 * 2**20
"""Of a refused value, should one come that `unpacking` did not shorten: it might fit no column, and a dead letter that
cannot be written would hold its partition for ever."""


class _Refused(NamedTuple):
    """A record to be kept as a dead letter. `subject` is what waits behind it, None where nothing does."""

    record: Record
    refusal: Refusal
    subject: str | None


@dataclass
class Letters:
    """What a transaction has to know of dead letters.

    `line` says who waits behind whom, `woken` the events that nothing holds any more. `records` are the raw records of
    events that come from `parked_events`, by id, `done` those of them that wait no more. A sink that keeps no order,
    because it writes what PostgreSQL holds, says `blocks=False`: nothing waits behind its letters.
    """

    session: Session
    projection: str
    topics: Mapping[str, str]
    batch: Batch
    blocks: bool = True
    line: Line = field(default_factory=Line)
    woken: list[Event] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    _own: dict[str, _Refused] = field(default_factory=dict)
    _spoilt: list[_Refused] = field(default_factory=list)
    _by_place: dict[Place, Place] = field(default_factory=dict)
    _by_event: dict[str, Place] = field(default_factory=dict)

    # ── before ──

    async def load(self) -> None:
        """Find the open letters that concern the batch; usually one statement that finds none."""
        spans = [(*tp, span.expected, span.reached) for tp, span in sorted(self.batch.spans.items())]
        columns = tuple(zip(*spans, strict=True))
        if columns and (await self.session.fetch("has_letters", self.projection, *columns[:3]))[0][0]:
            await self._load_open(columns)
        await self._load_redriven()
        if self.batch.wake:
            self.woken = [event for _, event in await self._behind(self.batch.wake)]

    async def _load_open(self, spans: Sequence[Sequence[Any]]) -> None:
        shorts = {full: short for short, full in self.topics.items()}
        for row in await self.session.fetch("open_letters", self.projection, *spans):
            place = row["topic"], row["partition"], row["offset"]
            self._by_place[place] = place
            if self.blocks and row["subject"] is not None:
                subject: Subject = shorts[row["topic"]], row["subject"]
                self.line.blocked.setdefault(subject, row["event_id"])
                self._by_event[row["event_id"]] = place
        if tried_again := {event.id for event in self.batch.events} & self._by_event.keys():
            for refused, event in await self._behind(tried_again):
                self.line.waiting.setdefault(refused, []).append(event)

    async def _load_redriven(self) -> None:
        """Letters that the batch's records say they are redriven from. Anybody can write a header: it must be so."""
        claimed = {
            (record.topic, record.partition, record.offset): (record, letter)
            for record in self.batch.records.values()
            if len(record.headers) > 1 and (letter := redriven_from(record)) is not None
        }
        if not claimed:
            return
        places = tuple(zip(*{letter for _, letter in claimed.values()}, strict=True))
        rows = await self.session.fetch("redriven_letters", self.projection, *places)
        found = {(row["topic"], row["partition"], row["offset"]): row for row in rows}
        for place, (record, letter) in claimed.items():
            row = found.get(letter)
            same_partition = (record.topic, record.partition) == letter[:2]
            if row is not None and same_partition and (row["key"], row["raw"]) == (record.key, record.value):
                self._by_place[place] = letter

    async def _behind(self, refused: Iterable[str]) -> list[tuple[str, Event]]:
        """(refused event, event behind it) in the order of the log."""
        behind: list[tuple[str, Event]] = []
        for found in await waiting_for(self.session, self.projection, self.topics, refused):
            self.records[found.event_id] = found.record
            if isinstance(found.decoded, Event):
                behind.append((found.waits_for, found.decoded))
            else:  # its contract was tightened while it waited
                self._spoilt.append(_Refused(found.record, found.decoded, None))
                self.done.add(found.event_id)
        return sorted(behind, key=lambda pair: (pair[1].topic, pair[1].partition, pair[1].offset))

    # ── meanwhile ──

    def parking(self, events: Iterable[Event] = (), deferred: list[str] | None = None) -> Parking:
        """Parking for the application of these events; those of them that were parked are parked no more."""
        held = self.records  # of hardly any batch is anything held
        released = {e.id: held[e.id] for e in events if e.id in held} if held else {}
        return Parking(self.session, self.projection, self.topics, self.record_of, released, deferred=deferred)

    def record_of(self, event: Event) -> Record:
        """The raw record of an event, whether it comes from the batch or from `parked_events`."""
        return self.batch.records.get(place_of(event, self.topics)) or self.records[event.id]

    def refuse(self, event: Event, refusal: Refusal) -> None:
        """Make the event a dead letter by a fault of ours; what comes later of its subject waits behind it.

        Of several records of one event the first is the letter's.
        """
        record = self.record_of(event)
        first = self._own.get(event.id)
        if first is None or _place(record) < _place(first.record):
            self._own[event.id] = _Refused(record, refusal, subject_of(event)[1] if self.blocks else None)
        if self.blocks:
            self.line.refuse(event)

    def accept(self, event_ids: Iterable[str]) -> None:
        """These events are applied; one that was refused a moment ago may have passed together with others."""
        for event_id in self._own.keys() & event_ids:
            del self._own[event_id]

    # ── after ──

    async def write(self) -> int:
        """Write what was refused, settle the letters whose records came again, hold who waits; returns the refused."""
        letters = self._by_place | dict(self._tried_again())
        added: list[_Refused] = []
        again: dict[Place, _Refused] = {}
        for one in self._all_refused():
            place = _place(one.record)
            letter = self._by_event.get(one.refusal.event_id or "") if one.subject else None
            letter = letter or letters.get(place, place)
            if letter == place:
                added.append(one)
            else:
                again[letter] = one
        await self._add(added)
        await self._refuse_again(again)
        await self._resolve(self._settled(letters, again.keys() | {_place(one.record) for one in added}))
        if done := sorted((self.done | self._own.keys()) & self.records.keys()):
            await self.session.fetch("unpark", self.projection, done)
        if self.line.held:
            parking = self.parking()
            for event, behind in self.line.held.values():
                parking.hold(event, behind)
            await parking.write()
        return len(added) + len(again)

    def _all_refused(self) -> Iterator[_Refused]:
        for record, refusal in self.batch.refusals:
            yield _Refused(record, refusal, None)
        yield from self._spoilt
        yield from self._own.values()

    def _tried_again(self) -> Iterator[tuple[Place, Place]]:
        for event in self.batch.events if self._by_event else ():
            letter = self._by_event.get(event.id)
            place = place_of(event, self.topics)
            if letter is not None and letter[:2] == place[:2]:
                yield place, letter

    def _settled(self, letters: Mapping[Place, Place], refused: Collection[Place]) -> dict[Place, int]:
        """Letters that were applied, each with the first offset at which it was."""
        held = {place_of(event, self.topics) for event, _ in self.line.held.values()}
        open_still = {letters[place] for place in letters.keys() & held} | set(refused)
        settled: dict[Place, int] = {}
        for place, letter in sorted(letters.items()):
            if place in self.batch.records and letter not in open_still:
                settled.setdefault(letter, place[2])
        return settled

    async def _add(self, refused: Sequence[_Refused]) -> None:
        if not refused:
            return
        await self.session.fetch(
            "keep_letters",
            self.projection,
            [one.record.topic for one in refused],
            [one.record.partition for one in refused],
            [one.record.offset for one in refused],
            [one.record.key for one in refused],
            [str(one.refusal.code) for one in refused],
            [one.refusal.reason for one in refused],
            [_kept(one.record.value) for one in refused],
            [headers_json(one.record) for one in refused],
            [one.refusal.event_type for one in refused],
            [one.refusal.event_id for one in refused],
            [one.refusal.workspace_id for one in refused],
            [append_time(one.record) for one in refused],
            [one.subject for one in refused],
        )

    async def _refuse_again(self, again: Mapping[Place, _Refused]) -> None:
        if again:
            await self.session.fetch(
                "refuse_again",
                self.projection,
                *zip(*again, strict=True),
                [str(one.refusal.code) for one in again.values()],
                [one.refusal.reason for one in again.values()],
                [one.subject for one in again.values()],
                [one.record.offset for one in again.values()],
            )

    async def _resolve(self, settled: Mapping[Place, int]) -> None:
        if settled:
            places = zip(*settled, strict=True)
            await self.session.fetch("resolve_letters", self.projection, *places, list(settled.values()))


def _kept(value: bytes | None) -> bytes | None:
    return value if value is None or len(value) <= KEPT_BYTES_MAX else value[:KEPT_BYTES_MAX]


def _place(record: Record) -> Place:
    return record.topic, record.partition, record.offset


async def settle_for_follower(
    session: Session,
    projection: str,
    topics: Mapping[str, str],
    batch: Batch,
    refused: Iterable[tuple[Record, Refusal]] = (),
) -> int:
    """Keep the dead letters of a sink that writes what PostgreSQL holds, in the transaction that moves its progress.

    Call it after `advance` succeeded. Kept are `refused`, what the store did not take, and those refusals of the batch
    that are faults of ours (the contract's are recorded once, by the projection `postgres`). Nothing waits behind them,
    and letters whose records came again are resolved. Returns how many were refused.
    """
    own = [*refused, *((record, why) for record, why in batch.refusals if why.code in OWN_FAULTS)]
    letters = Letters(session, projection, topics, replace(batch, refusals=own), blocks=False)
    await letters.load()
    return await letters.write()
