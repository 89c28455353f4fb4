"""Does the search jobs beside live indexing, on connections of its own."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import asyncpg
import structlog
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from tailrace.consumers.search.bulk import BulkWriter, MissingIndexError, OutageError
from tailrace.consumers.search.indices import Indices
from tailrace.consumers.search.jobs import Job, LostLeaseError, Tools, claim, fail, finish, walk, write_all
from tailrace.consumers.search.layouts import Layouts
from tailrace.consumers.search.moving import move
from tailrace.consumers.search.reading import Database
from tailrace.consumers.search.rebuilding import rebuild
from tailrace.errors import TailraceError
from tailrace.settings import ElasticsearchSettings

log = structlog.get_logger()

POLL_S: Final = 0.5
AGAIN_S: Final = 2.0

PASSING: Final = (OutageError, MissingIndexError, TransportError, asyncpg.PostgresConnectionError,
                  asyncpg.InterfaceError, asyncpg.OperatorInterventionError, asyncpg.TransactionRollbackError,
                  asyncpg.TooManyConnectionsError, OSError, TimeoutError)  # fmt: skip


def make_tools(
    client: AsyncElasticsearch,
    database: Database,
    settings: ElasticsearchSettings,
    watch: Callable[[Job, int], None] = lambda _job, _documents: None,
) -> Tools:
    """Tools of one runner of jobs."""
    indices = Indices(client, settings)
    layouts = Layouts(database, indices, settings)
    return Tools(database, indices, layouts, BulkWriter(client, settings), settings.job_documents_per_s, watch)


async def perform(tools: Tools, job: Job, settings: ElasticsearchSettings) -> bool:
    """Do a claimed job to its end; False where it was asked for again meanwhile."""
    if job.kind == "move":
        await move(tools, job, settings)
    elif job.kind == "rebuild":
        await rebuild(tools, job)
    else:
        await walk(tools, job, lambda layout, found: write_all(tools, layout, found))
    return await finish(tools, job)


class Beside:
    """Takes one job after the other until told to stop; several workers share them."""

    def __init__(self, tools: Tools, client: AsyncElasticsearch, settings: ElasticsearchSettings, owner: str) -> None:
        self._tools = tools
        self._client = client
        self._settings = settings
        self._owner = owner
        self._job: Job | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set; the job at hand is given back where it is, for whoever comes next."""
        working = asyncio.create_task(self._work(), name="search jobs")
        await stopping.wait()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        if self._job is not None:
            # Else it waited for its lease to end. Where PostgreSQL does not answer, it does.
            with suppress(*PASSING):
                await self._give_back(self._job)
        await self._tools.database.close()
        await self._client.close()

    async def _work(self) -> None:
        while True:
            pause = POLL_S
            try:
                while job := await claim(self._tools, self._owner):
                    await self._one(job)
            except PASSING as error:
                log.warning("search_job_waits", error=type(error).__name__)
                self._tools.database.discard()
                self._tools.layouts.forget()
                pause = AGAIN_S
            await asyncio.sleep(pause)

    async def _one(self, job: Job) -> None:
        log.info("search_job_begun", kind=job.kind, subject=job.subject)
        self._job = job
        try:
            done = await perform(self._tools, job, self._settings)
            log.info("search_job_ended", kind=job.kind, subject=job.subject, done=done)
        except LostLeaseError:
            log.warning("search_job_taken_over", kind=job.kind, subject=job.subject)
        except (TailraceError, ApiError) as error:
            await fail(self._tools, job, str(error) if isinstance(error, TailraceError) else type(error).__name__)
        except PASSING:
            await self._give_back(job)
            raise
        self._job = None

    async def _give_back(self, job: Job) -> None:
        self._tools.database.discard()
        await self._tools.database.fetch("release_job", job.kind, job.subject, job.owner)
