"""The consumer runtime: claim, fetch, decode, apply, in bounded steps.

One loop fetches and decodes, one for each lane applies, so that decoding the next batch overlaps with the store's work
on this one, and one lane's folding with the store's work on another's. What is in hand of a partition is in one lane,
so its records stay in order; lanes are to each other what two workers with partitions of their own are. A partition is
read only after its progress was claimed, and each claim has an epoch: a batch that was decoded under an older claim is
dropped, not applied.
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from tailrace.consumers.applying import RECORDS, SECONDS, Applier
from tailrace.consumers.batch import Batch, Outcome, Record, Span, TopicPartition
from tailrace.consumers.batches import Reader, add_records
from tailrace.consumers.control import UNCONTROLLED, Control
from tailrace.consumers.crash_points import crash_point
from tailrace.consumers.errors import BrokenLogError, HaltError, LogUnreachableError, OutOfRangeError
from tailrace.consumers.lanes import Gathered, Lane, home
from tailrace.consumers.log import Log
from tailrace.consumers.progress import Claim, check_fingerprint, check_position, damaged
from tailrace.consumers.sink import Sink
from tailrace.probes import Histogram
from tailrace.schemas.decode import decode_all
from tailrace.settings import WorkerSettings

log = structlog.get_logger()

IDLE_WAIT_MS = 200
SHORT_WAIT_MS = 10
RECLAIM_WAIT_S = 1.0
HALTED_WAIT_S = 5.0
"""After so long a halted partition is looked at again: somebody may have lifted the halt."""
BROKEN_TRIES_MAX = 3
"""After so many a damaged batch counts as one that will stay so: what was wrong was neither the network nor a cache."""
COMMIT_INTERVAL_S = 2.0
FETCH_RECORDS_MAX = 1_000
YIELD_EVERY_RECORDS = 100
"""Both bound how long an answer of the store may lie unread (about 2 ms and 1 ms); a batch asks it thirty questions,
and while it waits for the next one it does nothing."""


@dataclass
class _Reading:
    """A claimed partition.

    `position` is the next offset to decode; `verify` the claim until its record was seen; `broken` how often the next
    batch could not be read. `looked_at` is the position when it was looked at last, and `stuck_since` the time from
    which on it stood there though the log goes further.
    """

    claim: Claim
    position: int
    verify: bool
    broken: int = 0
    looked_at: int = -1
    stuck_since: float | None = None

    @property
    def reads_from(self) -> int:
        """Where to read: once more what was applied last, whose fingerprint tells this log from another."""
        return self.position - 1 if self.verify else self.position


@dataclass
class Worker:
    """One projection's worker. `run` returns when `stopping` is set and everything decoded is applied.

    `more_sinks` are further sinks of the same store, on connections of their own: a lane each, beside that of `sink`.
    """

    log: Log
    sink: Sink
    settings: WorkerSettings
    owner: str
    more_sinks: Sequence[Sink] = ()
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    control: Control = UNCONTROLLED
    read: Reader = decode_all
    is_standing: bool = field(default=False, init=False)
    """It was paused, and holds nothing that it could still apply."""

    @property
    def totals(self) -> Outcome:
        """Counts since the start."""
        totals = Outcome()
        for lane in self._lanes:
            totals.add(lane.applier.totals)
        return totals

    @property
    def in_hand(self) -> int:
        """Batches that are decoded and not applied yet."""
        return sum(lane.in_hand for lane in self._lanes)

    @property
    def partitions(self) -> int:
        """How many are claimed."""
        return len(self._reading)

    @property
    def troubles(self) -> tuple[int, str | None]:
        """How often the store failed, and what it was last."""
        appliers = [lane.applier for lane in self._lanes]
        last = next((one.last_trouble for one in appliers if one.last_trouble is not None), None)
        return sum(one.troubles for one in appliers), last

    @property
    def observed(self) -> tuple[Histogram, Histogram]:
        """How long batches took, retries and all, in seconds, and how many records they held."""
        durations_s, sizes = Histogram(SECONDS), Histogram(RECORDS)
        for lane in self._lanes:
            durations_s.add(lane.applier.durations_s)
            sizes.add(lane.applier.sizes)
        return durations_s, sizes

    def __post_init__(self) -> None:
        self._shorts = {full: short for short, full in self.sink.topics.items()}
        self._reading: dict[TopicPartition, _Reading] = {}
        self._unclaimed: set[TopicPartition] = set()
        self._halted: set[TopicPartition] = set()
        self._halted_again_at = 0.0
        self._wakes: dict[TopicPartition, frozenset[str]] = {}
        self._claim_again_at = 0.0
        self._lanes = [
            Lane(sink, Applier(sink, self.settings, self._lost), self.settings.batches_in_flight_max)
            for sink in (self.sink, *self.more_sinks)
        ]
        self._room = asyncio.Event()
        """A lane took a batch, or is done with one."""
        self._draining = False
        self._committed_at = 0.0
        self._held = False

    async def run(self) -> None:
        """Work until told to stop. Raises when nothing moves for `stall_timeout_s` or a loop fails."""
        await self.log.start(sorted(self._shorts), self._on_assigned, self._on_revoked)
        applying = [asyncio.create_task(self._apply_loop(lane), name="apply") for lane in self._lanes]
        fetching = asyncio.create_task(self._fetch_loop(), name="fetch")
        try:
            await asyncio.wait({fetching, *applying}, return_when=asyncio.FIRST_COMPLETED)
            if fetching.done() and not fetching.exception():
                await self._drain()
        finally:
            for task in (fetching, *applying):
                task.cancel()
            results = await asyncio.gather(fetching, *applying, return_exceptions=True)
            await self._commit(force=True)
            await self.log.stop()
            for lane in self._lanes:
                await lane.sink.close()
        for result in results:
            if isinstance(result, Exception):
                raise result

    # ── rebalance ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_assigned(self, partitions: set[TopicPartition]) -> None:
        self._draining = False
        self._reading = {}
        self._unclaimed = set(partitions)
        self._halted = set()
        self._claim_again_at = 0.0
        log.info("partitions_assigned", partitions=len(partitions))

    async def _on_revoked(self, partitions: set[TopicPartition]) -> None:
        """Finish what is decoded, within the drain time; what is left is fenced by the next owner's claim."""
        self._unclaimed -= partitions
        self._halted -= partitions
        if not partitions:
            return
        self._draining = True
        log.info("partitions_revoked", partitions=len(partitions))
        await self._drain()
        crash_point("drained")
        await self._commit(force=True)
        for partition in partitions:
            self._reading.pop(partition, None)

    async def _drain(self) -> None:
        """Wait until what is decoded is applied. What is not in time stays in the log; nothing of it was applied."""
        try:
            joined = asyncio.gather(*(lane.join() for lane in self._lanes))
            await asyncio.wait_for(joined, self.settings.drain_timeout_s)
        except TimeoutError:
            log.warning("drain_timed_out")

    def _lost(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop reading partitions that somebody else moved or that were halted; claim again, later."""
        lost = {tp for tp in partitions if self._reading.pop(tp, None) is not None}
        self.log.hold(lost)
        self._unclaimed |= lost
        self._claim_again_at = asyncio.get_running_loop().time() + RECLAIM_WAIT_S

    async def _claim(self) -> None:
        """Claim what was assigned. The store says where each partition stands; nothing is read before that."""
        self._look_at_halted()
        wanted = frozenset(self._unclaimed)
        if not wanted or asyncio.get_running_loop().time() < self._claim_again_at:
            return
        self._claim_again_at = asyncio.get_running_loop().time() + RECLAIM_WAIT_S
        try:
            beginnings, _ = await self.log.bounds(wanted)
            claims = await self.sink.progress.claim(beginnings, self.owner)
            beginnings, ends = await self.log.bounds(wanted)  # anew: what is now claimed cannot be ahead of these ends
        except LogUnreachableError as error:
            log.warning("claim_failed", error=error.kind)
            return
        except Exception as error:
            if not self.sink.is_retryable(error):
                raise
            self.sink.discard()
            log.warning("claim_failed", error=type(error).__name__)
            return
        crash_point("claimed")
        positions: dict[TopicPartition, int] = {}
        for partition in wanted & self._unclaimed:
            claim = claims[partition]
            self._unclaimed.discard(partition)
            if claim.halted_code is not None:
                if partition not in self._halted:
                    log.warning("partition_halted", **partition._asdict(), code=claim.halted_code)
                    self._halted.add(partition)
                continue
            self._halted.discard(partition)
            try:
                check_position(claim, beginnings, ends)
            except HaltError as error:
                await self._halt(error)
                continue
            verify = claim.fingerprint is not None and claim.next_offset > beginnings[partition]
            self._reading[partition] = _Reading(claim, claim.next_offset, verify)
            positions[partition] = self._reading[partition].reads_from
        self.log.read_from(positions)
        log.info("partitions_claimed", partitions=len(positions))

    def _look_at_halted(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._halted and now >= self._halted_again_at:
            self._halted_again_at = now + HALTED_WAIT_S
            self._unclaimed |= self._halted

    async def _halt(self, error: HaltError) -> None:
        """Hold the partition, and write down why; where the store does not answer, the next claim finds it again."""
        partition = error.partition
        log.error("partition_halted", **partition._asdict(), code=error.code)
        self._halted.add(partition)
        self._halted_again_at = asyncio.get_running_loop().time() + HALTED_WAIT_S
        self._reading.pop(partition, None)
        self.log.hold({partition})
        try:
            await self.sink.progress.halt(partition, error.code, error.reason)
        except Exception as failure:
            if not self.sink.is_retryable(failure):
                raise
            self.sink.discard()
            log.warning("halt_failed", **partition._asdict(), error=type(failure).__name__)
            if partition in self._halted:  # else it was taken from us meanwhile, and to claim it would fence its owner
                self._halted.discard(partition)
                self._unclaimed.add(partition)
                self._claim_again_at = asyncio.get_running_loop().time() + RECLAIM_WAIT_S

    # ── fetch and decode ───────────────────────────────────────────────────────────────────────────────────────────

    async def _fetch_loop(self) -> None:
        while not self.stopping.is_set():
            if self.control.is_paused:
                await self._stand()
                continue
            self._go_on()
            await self._claim()
            batches = self._woken() or await self._next_batches()
            await asyncio.gather(*(lane.put(mine) for lane, mine in batches.items()))
            self._check_stall()

    async def _stand(self) -> None:
        """Paused: what is in hand is applied, nothing is read. Then claims are dropped: positions may be moved now."""
        self.log.hold(self._reading)
        self._held = True
        if not self.in_hand:
            self._lost(list(self._reading))
            self.is_standing = True
        # Nothing comes of it; but a member of a group that asks for nothing is taken for dead.
        await self._fetch(IDLE_WAIT_MS, FETCH_RECORDS_MAX)

    def _go_on(self) -> None:
        """After a pause that was over before the claims were dropped: read on."""
        if self._held:
            self._held = self.is_standing = False
            self.log.read_from({tp: reading.reads_from for tp, reading in self._reading.items()})

    def wake(self, refused: Mapping[TopicPartition, frozenset[str]]) -> None:
        """Let go on what waits behind these refused events, by partition; nothing else must hold it any more."""
        self._wakes |= refused

    def _is_alone(self, partition: TopicPartition) -> bool:
        return self._shorts[partition.topic] in self.sink.alone

    def _woken(self) -> dict[Lane, list[Batch]]:
        """Batches without records, behind all that is decoded: they move no position, and go on with what waited."""
        wakes, self._wakes = self._wakes, {}
        woken: dict[Lane, list[Batch]] = {}
        for tp, ids in wakes.items():
            if (reading := self._reading.get(tp)) is not None and not self._draining:
                span = Span(reading.claim.epoch, reading.position, reading.position, None, None, None)
                lane = home(self._lanes, tp, alone=self._is_alone(tp))
                woken.setdefault(lane, []).append(Batch(spans={tp: span}, wake=ids))
        return woken

    async def _wait_for_room(self, wait_ms: int) -> None:
        self._room.clear()
        with contextlib.suppress(TimeoutError):  # bounded, for whoever stops or pauses the worker meanwhile
            await asyncio.wait_for(self._room.wait(), wait_ms / 1000)

    async def _next_batches(self) -> dict[Lane, list[Batch]]:
        """Gather while more is here, until the batches are full; else until their lanes are idle or they are of age."""
        loop = asyncio.get_running_loop()
        gathered = Gathered(self._lanes, self.settings.batch_max_events)
        count = size = 0
        deadline = loop.time() + self.settings.batch_max_age_ms / 1000
        while count < gathered.records_max and size < self.settings.batch_max_bytes:
            wanted = min(gathered.records_max - count, FETCH_RECORDS_MAX)
            takeable = gathered.takeable(self._reading, self._is_alone)
            fetched: dict[TopicPartition, list[Record]] = {}
            if takeable is None:
                fetched = await self._fetch(SHORT_WAIT_MS if count else IDLE_WAIT_MS, wanted)
            elif gathered.has_enough and not takeable:
                break
            elif takeable:  # not for long: what the full lanes hold may be takeable any moment
                fetched = await self._fetch(SHORT_WAIT_MS, wanted, takeable)
            else:
                await self._wait_for_room(SHORT_WAIT_MS if count else IDLE_WAIT_MS)
            for partition, records in fetched.items():
                usable = await self._usable(partition, records)
                if usable:
                    count += len(usable)
                    size += sum(len(record.value or b"") for record in usable)
                    await self._decode(gathered, partition, usable)
            more = sum(map(len, fetched.values())) >= wanted
            idle = not any(lane.in_hand for lane in gathered.lanes)
            aged = loop.time() >= deadline and not any(lane.is_full for lane in gathered.lanes)
            if self.stopping.is_set() or (not fetched and not count) or (count and not more and (idle or aged)):
                break
        return gathered.batches()

    async def _fetch(
        self, wait_ms: int, records_max: int, of: Collection[TopicPartition] | None = None
    ) -> dict[TopicPartition, list[Record]]:
        try:
            return await self.log.fetch(wait_ms, records_max, of)
        except OutOfRangeError as error:
            self._lost(error.partitions)  # the next claim finds out why and halts them
        except BrokenLogError as error:
            await self._broken(error.partition)
        except LogUnreachableError as error:
            log.warning("fetch_failed", error=error.kind)
            await asyncio.sleep(RECLAIM_WAIT_S)  # the client reconnects by itself; do not ask it in a tight loop
        return {}

    async def _broken(self, partition: TopicPartition) -> None:
        """Ask again for a damaged batch, and halt at it once everything before it is applied."""
        log.warning("batch_damaged", **partition._asdict())
        reading = self._reading.get(partition)
        if reading is not None:
            reading.broken += 1
            if reading.broken >= BROKEN_TRIES_MAX and not self.in_hand:
                await self._halt(damaged(partition, reading.position))
                return
        await asyncio.sleep(RECLAIM_WAIT_S)

    async def _usable(self, partition: TopicPartition, records: list[Record]) -> list[Record]:
        """The records that the claim is waiting for. What was fetched before a seek is passed over."""
        reading = self._reading.get(partition)
        if reading is None or self._draining:
            return []
        reading.broken = 0
        if reading.verify:
            reading.verify = False
            if records[0].offset == reading.position - 1:
                try:
                    check_fingerprint(reading.claim, records[0])
                except HaltError as error:
                    await self._halt(error)
                    return []
        return [record for record in records if record.offset >= reading.position]

    async def _decode(self, gathered: Gathered, partition: TopicPartition, records: list[Record]) -> None:
        short = self._shorts[partition.topic]
        batch = gathered.batch(partition, alone=short in self.sink.alone)
        for start in range(0, len(records), YIELD_EVERY_RECORDS):
            reading = self._reading.get(partition)
            if reading is None:
                return
            part = records[start : start + YIELD_EVERY_RECORDS]
            epoch, expected = reading.claim.epoch, reading.position
            add_records(batch, partition, short, part, epoch=epoch, expected=expected, read=self.read)
            reading.position = part[-1].offset + 1
            await asyncio.sleep(0)  # lets the applier's answers in; a whole batch takes longer than a round trip

    def _check_stall(self) -> None:
        """Raise `TimeoutError` where a partition stands still though the log goes on, and nothing here is to blame.

        Each partition by itself: what others bring must not hide it. And only what was seen standing: the end of a log
        in steady use is ahead of us at nearly every moment.
        """
        now = asyncio.get_running_loop().time()
        is_waiting_for_store = self.in_hand > 0
        for tp, reading in self._reading.items():
            stood = reading.position == reading.looked_at and not is_waiting_for_store
            reading.looked_at = reading.position
            if not stood or (self.log.high_water(tp) or 0) <= reading.position:
                reading.stuck_since = None
            elif reading.stuck_since is None:
                reading.stuck_since = now
            elif now - reading.stuck_since > self.settings.stall_timeout_s:
                where = f"{tp.topic}/{tp.partition}"
                raise TimeoutError(f"records of {where} are waiting but none arrive; restart this process")

    # ── apply ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _apply_loop(self, lane: Lane) -> None:
        while True:
            batches = await lane.take()
            self._room.set()
            try:
                for batch in batches:
                    await lane.applier.apply(batch, {tp: r.claim.epoch for tp, r in self._reading.items()})
            finally:
                lane.done(batches)
                self._room.set()
            await self._commit()

    async def _commit(self, *, force: bool = False) -> None:
        now = asyncio.get_running_loop().time()
        if force or now - self._committed_at >= COMMIT_INTERVAL_S:
            self._committed_at = now
            positions: dict[TopicPartition, int] = {}
            for lane in self._lanes:
                reached, lane.applier.reached = lane.applier.reached, {}
                positions |= reached
            await self.log.commit(positions)
            crash_point("told_kafka")
