"""Apply a batch for certain: again after passing faults, less what was lost to others, in halves around poison."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import stamina
import structlog

from tailrace.consumers.batch import Batch, Outcome, Record, Span, TopicPartition
from tailrace.consumers.batches import append_time, without
from tailrace.consumers.errors import FencedError, GaveUpError
from tailrace.consumers.faults import Fault, fault_of
from tailrace.consumers.guard import RefusalGuard
from tailrace.consumers.progress import fingerprint
from tailrace.consumers.sink import Sink
from tailrace.probes import Histogram
from tailrace.settings import WorkerSettings

log = structlog.get_logger()

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
RECORDS: Final = (1, 10, 50, 100, 500, 1_000, 2_000, 5_000, 10_000)


class Applier:
    """Applies batches one after the other. `reached` are the positions applied since somebody last took them."""

    def __init__(
        self, sink: Sink, settings: WorkerSettings, on_lost: Callable[[Iterable[TopicPartition]], None]
    ) -> None:
        self._sink = sink
        self._settings = settings
        self._on_lost = on_lost
        self._guard = RefusalGuard(settings)
        self.busy = False
        self.reached: dict[TopicPartition, int] = {}
        self.totals = Outcome()
        self.troubles = 0
        self.last_trouble: str | None = None
        self.durations_s = Histogram(SECONDS)
        self.sizes = Histogram(RECORDS)

    async def apply(self, batch: Batch, epochs: Mapping[TopicPartition, int]) -> None:
        """Apply the batch less what was decoded under an older claim than `epochs` say."""
        self.busy = True
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            stale = {tp for tp, span in batch.spans.items() if epochs.get(tp) != span.epoch}
            await self._apply_claimed(without(batch, stale, self._sink.topics) if stale else batch)
        finally:
            self.busy = False
            self.durations_s.observe(clock() - begun)
            self.sizes.observe(len(batch.events) + len(batch.refusals))

    async def _apply_claimed(self, batch: Batch) -> None:
        batch.guard = self._guard
        while batch.spans:
            try:
                outcome = await self._with_retries(batch)
            except FencedError as error:
                log.warning("fenced", partitions=len(error.partitions))
                self._on_lost(error.partitions)
                batch = without(batch, error.partitions, self._sink.topics)
            except Exception as error:
                fault = None if self._sink.is_retryable(error) else fault_of(error)
                if fault is None:
                    raise
                await self._around_poison(batch, fault, error)
                return
            else:
                self._note(batch, outcome)
                return

    async def _with_retries(self, batch: Batch) -> Outcome:
        """Apply, again and again while the store cannot be reached, a bounded number of times after other faults.

        A store that is away for hours is no reason to give up: the log keeps, and a restarted worker could do no more.
        """
        async for attempt in stamina.retry_context(
            on=self._sink.is_retryable,
            attempts=None,
            timeout=None,
            wait_initial=0.1,
            wait_max=self._settings.retry_wait_max_s,
        ):
            with attempt:
                try:
                    return await self._sink.apply(batch)
                except Exception as error:
                    if self._sink.is_retryable(error):
                        log.warning("batch_retried", error=type(error).__name__, attempt=attempt.num)
                        self.troubles += 1
                        self.last_trouble = f"batch tried again: {type(error).__name__}"
                        self._sink.discard()
                        if attempt.num >= self._settings.retry_max_attempts and not self._sink.is_unreachable(error):
                            raise GaveUpError(attempt.num, type(error).__name__) from error
                    raise
        raise AssertionError("retry_context either returns or raises")

    async def _around_poison(self, batch: Batch, fault: Fault, error: Exception) -> None:
        """Halve the batch until the event that cannot be applied stands alone; it becomes a dead letter."""
        count = len(batch.events)
        if count == 0:
            raise error  # the store refuses our own dead letters: nothing can be recorded, so nothing may move
        if count > 1:
            for half in split(batch, self._sink.topics):
                await self._apply_claimed(half)
            return
        self._guard.refused(fault)
        event = batch.events[0]
        record = batch.record_of(event, self._sink.topics)
        log.error("event_refused", code=str(fault.code), reason=fault.reason, type=event.type, event_id=event.id)
        refusals = [*batch.refusals, (record, fault.refusal_of(event))]
        await self._apply_claimed(Batch(spans=batch.spans, refusals=refusals, records=batch.records))
        self.totals.faults += 1

    def _note(self, batch: Batch, outcome: Outcome) -> None:
        if not outcome.faults:  # else the sink has counted them, in their order
            self._guard.accepted(len(batch.events))
        self.reached |= {tp: span.reached for tp, span in batch.spans.items()}
        self.totals.add(outcome)


def split(batch: Batch, topics: Mapping[str, str]) -> list[Batch]:
    """Two batches that hold the same records in the same order per partition.

    Each partition is cut at one record, so that the first half's progress is where the second half begins.
    """
    middle = len(batch.events) // 2
    cut: dict[TopicPartition, int] = {}
    for event in batch.events[:middle]:
        cut[TopicPartition(topics[event.topic], event.partition)] = event.offset + 1
    halves = (Batch(), Batch())
    for tp, span in batch.spans.items():
        at = cut.get(tp, span.expected)
        last = _last_before(batch.records.values(), tp, at)
        for half, expected, reached in ((halves[0], span.expected, at), (halves[1], at, span.reached)):
            if expected < reached:
                mark = fingerprint(last) if reached == at and last is not None else span.fingerprint
                time = append_time(last) if reached == at and last is not None else span.append_time
                half.spans[tp] = Span(span.epoch, expected, reached, mark, span.event_time, time)
    for event in batch.events:
        _half(halves, cut, TopicPartition(topics[event.topic], event.partition), event.offset).events.append(event)
    for record, why in batch.refusals:
        half = _half(halves, cut, TopicPartition(record.topic, record.partition), record.offset)
        half.refusals.append((record, why))
    for at_, record in batch.records.items():
        _half(halves, cut, TopicPartition(record.topic, record.partition), record.offset).records[at_] = record
    return [half for half in halves if half.spans]


def _half(halves: tuple[Batch, Batch], cut: Mapping[TopicPartition, int], tp: TopicPartition, offset: int) -> Batch:
    return halves[0] if offset < cut.get(tp, 0) else halves[1]


def _last_before(records: Iterable[Record], tp: TopicPartition, offset: int) -> Record | None:
    found = [r for r in records if (r.topic, r.partition) == tp and r.offset < offset]
    return max(found, key=lambda record: record.offset, default=None)
