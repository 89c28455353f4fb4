"""Work that is too long for a batch: it goes on page by page beside live indexing, and where it stopped.

Every page is read as it is now and written with its version, so pages, live batches and repeats of both may come in
any order. A page counts only if the layout is still the one it was written by.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog

from tailrace.consumers.search.bulk import BulkWriter, MissingIndexError
from tailrace.consumers.search.indices import Indices
from tailrace.consumers.search.layout import Document, Layout
from tailrace.consumers.search.layouts import Layouts
from tailrace.consumers.search.reading import Database
from tailrace.consumers.search.walks import WALKS, Position, next_page
from tailrace.errors import TailraceError

log = structlog.get_logger()

PAGE_DOCUMENTS: Final = 1_000
PAGE_S: Final = 5
"""A slower pace has smaller pages, of so many seconds: the lease is renewed with each."""
LEASE_S: Final = 60
"""A job whose owner did not show a page for so long may be taken over; its cursor says where it was."""


Visit = Callable[[Layout, Sequence[Document]], Awaitable[int]]
"""Does something with a page of documents; returns how many were rejected."""


class LostLeaseError(TailraceError):
    """Somebody else took this job over."""


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. `stored` is its position as JSON says it."""

    kind: str
    subject: str
    owner: str
    stored: dict[str, Any]

    @property
    def walk(self) -> str:
        """Name of the walk that goes through its documents."""
        return self.subject if self.has_everything else self.kind

    @property
    def has_everything(self) -> bool:
        """Whether it goes through all documents of an alias, which is its subject."""
        return self.kind in {"refill", "rebuild"}


@dataclass
class Tools:
    """What a job works with, apart from the connections of live indexing. `documents_per_s` bounds its pace.

    `watch` is told the job and how many documents its last page had.
    """

    database: Database
    indices: Indices
    layouts: Layouts
    writer: BulkWriter
    documents_per_s: int
    watch: Callable[[Job, int], None] = lambda _job, _documents: None


async def claim(tools: Tools, owner: str, kind: str | None = None, subject: str | None = None) -> Job | None:
    """Take the oldest job that waits or was left by its owner, or only the one named; None: there is none."""
    rows = await tools.database.fetch("claim_job", owner, LEASE_S, kind, subject)
    if not rows:
        return None
    row = rows[0]
    job = Job(row["kind"], row["subject"], owner, orjson.loads(row["position"]))
    if row["documents_estimate"] is None:
        await count_anew(tools, job)
    return job


async def count_anew(tools: Tools, job: Job) -> None:
    """Let the job's progress begin at nothing, with an estimate of what is ahead."""
    found = await tools.database.fetch(f"estimate_{job.walk}", *([] if job.has_everything else [job.subject]))
    # A rebuild copies and then compares.
    estimate = found[0][0] * (2 if job.kind == "rebuild" else 1)
    await tools.database.fetch("estimate_job", job.kind, job.subject, job.owner, estimate)


async def walk(tools: Tools, job: Job, visit: Visit, name: str = "walk") -> None:
    """Go through the documents of the job from its position on, to the end. Raises `LostLeaseError`.

    `visit` is called for each page, again where the layout changed meanwhile. `name` tells several walks of one job
    apart.
    """
    position: Position | None = Position.read(job.stored.get(name, {}))
    size = min(PAGE_DOCUMENTS, PAGE_S * tools.documents_per_s)
    loop = asyncio.get_running_loop()
    while position is not None:
        began = loop.time()
        layout = await tools.layouts.current()
        async with tools.database.snapshot():
            found, following = await next_page(tools.database, job.walk, job.subject, position, size)
        rejected = await visit(layout, found)
        stored = {"stage": len(WALKS[job.walk])} if following is None else following.document()
        if not await _advance(tools, job, layout, {name: stored}, (len(found), rejected)):
            continue
        job.stored[name] = stored
        position = following
        tools.watch(job, len(found))
        await asyncio.sleep(max(0.0, len(found) / tools.documents_per_s - (loop.time() - began)))


async def write_all(tools: Tools, layout: Layout, found: Sequence[Document], only: int | None = None) -> int:
    """Write documents wherever they belong, or to one generation only; returns how many were rejected."""
    writes = layout.writes(found, only)
    try:
        rejected = await tools.writer.send(writes)
    except MissingIndexError as error:
        await tools.layouts.make(error.indices)
        rejected = await tools.writer.send(writes)
    for one, reason in rejected:
        log.error("document_rejected", index=one.target, document=one.id, reason=reason)
    return len(rejected)


async def _advance(tools: Tools, job: Job, layout: Layout, change: dict[str, Any], counts: tuple[int, int]) -> bool:
    """Store where the job is; False, with nothing stored, where the layout changed: the page is written again."""
    await tools.layouts.check_cluster()
    async with tools.database.transaction():
        rows = await tools.database.fetch("hold_layout_epoch")
        if rows[0][0] != layout.epoch:
            tools.layouts.forget()
            return False
        await store(tools, job, change, counts)
        return True


async def store(tools: Tools, job: Job, change: dict[str, Any], counts: tuple[int, int] = (0, 0)) -> None:
    """Put `change` into the stored position and renew the lease. Raises `LostLeaseError`."""
    text = orjson.dumps({**job.stored, **change}).decode()
    rows = await tools.database.fetch("advance_job", job.kind, job.subject, job.owner, text, *counts, LEASE_S)
    if not rows:
        raise LostLeaseError(f"the job {job.kind} {job.subject} is another worker's now")
    job.stored.update(change)


async def finish(tools: Tools, job: Job) -> bool:
    """End the job; False where it was asked for again meanwhile and begins anew."""
    rows = await tools.database.fetch("finish_job", job.kind, job.subject, job.owner)
    return bool(rows) and rows[0]["state"] == "done"


async def fail(tools: Tools, job: Job, reason: str) -> None:
    """End the job as failed; it is tried again when somebody asks for it."""
    log.error("search_job_failed", kind=job.kind, subject=job.subject, reason=reason)
    await tools.database.fetch("fail_job", job.kind, job.subject, job.owner, reason)
