"""Fills a new generation of indices beside the live one, and compares it. To show it is somebody's decision."""

from collections.abc import Sequence

import structlog

from tailrace.consumers.search.jobs import Job, Tools, store, walk, write_all
from tailrace.consumers.search.layout import Document, Layout
from tailrace.errors import PreconditionError
from tailrace.projections.documents import document_version

log = structlog.get_logger()


async def rebuild(tools: Tools, job: Job) -> None:
    """Make the generation, copy everything into it while live writes go to both, compare every version, mend the rest.

    The job's stored position ends with `generation`, `compared` and `mended`: how many documents were compared and how
    many of them had been missing or older.
    """
    if "generation" not in job.stored:
        async with tools.database.transaction():
            await tools.database.fetch("begin_generation", job.subject)
            await tools.database.fetch("raise_layout_epoch")
        tools.layouts.forget()
        number = building(await tools.layouts.current(), job.subject)
        await store(tools, job, {"generation": number, "compared": 0, "mended": 0})
        log.info("generation_begun", alias=job.subject, generation=number)
    number = job.stored["generation"]

    async def copy(layout: Layout, found: Sequence[Document]) -> int:
        return await write_all(tools, layout, found, number)

    async def compare(layout: Layout, found: Sequence[Document]) -> int:
        behind = await _behind(tools, layout, found, number)
        if behind:
            log.warning("generation_mended", alias=job.subject, documents=len(behind))
        job.stored["compared"] += len(found)
        job.stored["mended"] += len(behind)
        return await write_all(tools, layout, behind, number)

    await walk(tools, job, copy)
    await walk(tools, job, compare, "comparison")


def building(layout: Layout, alias: str) -> int:
    """Number of the generation that is being built. Raises `PreconditionError` where there is none."""
    for number, state in layout.generations[alias]:
        if state == "building":
            return number
    raise PreconditionError(f"no new generation of {alias} is being built", fix=f"tailrace indices rebuild {alias}")


async def _behind(tools: Tools, layout: Layout, found: Sequence[Document], number: int) -> list[Document]:
    """Documents that the generation lacks, or has in an older version."""
    by_index: dict[str, list[Document]] = {}
    for document in found:
        for index in layout.indices(document, number):
            by_index.setdefault(index, []).append(document)
    behind: dict[str, Document] = {}
    for index, held in by_index.items():
        versions = await tools.indices.versions(index, [document.id for document in held])
        for document in held:
            if versions.get(document.id, -1) < document_version(layout.history_epoch, document.version):
                behind[document.id] = document
    return list(behind.values())
