"""Moves a workspace's messages to other indices while they are searched and written.

Writes go to both places · the old messages are copied from PostgreSQL · both are counted · the alias changes in one
step, which shows the new place and hides the old one · writes go to the new place only · the old copies go. A crash
anywhere: the job begins that step again.
"""

import asyncio
from dataclasses import replace
from typing import Any, Final

import structlog

from tailrace.consumers.search.jobs import Job, Tools, count_anew, store, walk, write_all
from tailrace.consumers.search.layout import Layout
from tailrace.consumers.search.routing import wanted_route
from tailrace.errors import TailraceError
from tailrace.projections.documents import generation_name, shared_number
from tailrace.settings import ElasticsearchSettings

log = structlog.get_logger()

COPIES_MAX: Final = 5
COUNTS_MAX: Final = 5
"""Of one copy, before it is made again."""
COUNT_PAUSE_S: Final = 1.0
SEARCHES_END_S: Final = 10.0
"""So long a search may go on (`tailrace.search.requests.TIMEOUT`) that was told of the old place."""


async def move(tools: Tools, job: Job, settings: ElasticsearchSettings) -> None:
    """Bring the workspace where it belongs, and on if that changes meanwhile."""
    while True:
        row = await _state(tools, job)
        wanted = wanted_route(
            row["route"], row["member_count"], is_high_volume=row["is_high_volume"], settings=settings
        )
        if job.stored.get("phase") == "clean":
            await _end(tools, job)
        elif row["moving_to"] is not None:
            await _copy_and_switch(tools, job, row)
        elif wanted != row["route"]:
            await _change(tools, "begin_move", job.subject, wanted)
            await store(tools, job, {"walk": {}, "began": row["now"]})
            await count_anew(tools, job)
            log.info("workspace_moves", workspace=job.subject, route=row["route"], to=wanted)
        else:
            return


async def _state(tools: Tools, job: Job) -> Any:
    return (await tools.database.fetch("one_member_count", job.subject))[0]


async def _change(tools: Tools, statement: str, *arguments: Any) -> None:
    async with tools.database.transaction():
        await tools.database.fetch(statement, *arguments)
        await tools.database.fetch("raise_layout_epoch")
    tools.layouts.forget()


async def _copy_and_switch(tools: Tools, job: Job, row: Any) -> None:
    over = replace(tools, writer=tools.writer.over_equals())
    for _ in range(COPIES_MAX):
        await walk(tools, job, lambda layout, found: write_all(over, layout, found))
        if await _counts_agree(tools, job, row):
            break
        await store(tools, job, {"walk": {}})
        await count_anew(tools, job)
    else:
        raise TailraceError("the copy never held as many messages as the original")
    await store(tools, job, {"phase": "clean", "left": row["route"]})
    await _switch(tools, job, row)


async def _switch(tools: Tools, job: Job, row: Any) -> None:
    """Show the new place instead of the old one, with no message fewer in it.

    Both refresh every few seconds, each in its own time: what the old one shows already and the new one not yet would
    disappear for so long. So the old one shows nothing new from before the new one's refresh until the switch.
    """
    layout = await tools.layouts.current()
    old, new = [await _places(tools, layout, job.subject, row[name]) for name in ("route", "moving_to")]
    await tools.indices.hold_refresh(old, held=True)
    try:
        # Elasticsearch answers a change of the interval with one more refresh, in its own time: before this one's end.
        await tools.indices.refresh_indices(old)
        await tools.indices.refresh_indices(new)
        await _change(tools, "switch_move", job.subject, row["moving_to"])
        await tools.layouts.make()
    finally:
        await tools.indices.hold_refresh(old, held=False)


async def _counts_agree(tools: Tools, job: Job, row: Any) -> bool:
    """Whether old messages are as many there as here; new ones come to both while this counts."""
    before = job.stored.get("began") or row["now"]
    for _ in range(COUNTS_MAX):
        layout = await tools.layouts.current()
        counts = [
            await tools.indices.count(await _places(tools, layout, job.subject, route), job.subject, before)
            for route in (row["route"], row["moving_to"])
        ]
        log.info("workspace_counted", workspace=job.subject, here=counts[0], there=counts[1])
        if counts[0] == counts[1]:
            return True
        # What others are just writing comes.
        await store(tools, job, {})
        await asyncio.sleep(COUNT_PAUSE_S)
    return False


async def _places(tools: Tools, layout: Layout, workspace_id: str, route: str) -> list[str]:
    """Full names of the live generation's indices that hold a workspace on a route."""
    live = layout.live("messages")
    if route == "shared":
        return [layout.full(f"messages_shared_{shared_number(workspace_id)}", live)]
    if route == "own":
        return [layout.full(f"messages_workspace_{workspace_id}", live)]
    months = [name for name in await tools.indices.existing(layout.prefix) if f"messages_{workspace_id}_" in name]
    return [name for name in months if layout.generation(name) == live] or [layout.full("messages_none", live)]


async def _end(tools: Tools, job: Job) -> None:
    """Write to the new place only, and take the old copies away. The switch may not have been made yet."""
    left = job.stored["left"]
    row = await _state(tools, job)
    if row["route"] == left and row["moving_to"] is not None:
        await _switch(tools, job, row)
    layout = await tools.layouts.make()
    # Where the worker that switched was killed before it could.
    await tools.indices.hold_refresh(await _places(tools, layout, job.subject, left), held=False)
    if row["moving_to"] is not None:
        await _change(tools, "end_move", job.subject)
    layout = await tools.layouts.current()
    await asyncio.sleep(SEARCHES_END_S)
    if left == "shared":
        for number, _ in layout.generations["messages"]:
            name = generation_name(f"messages_shared_{shared_number(job.subject)}", number)
            await _purge(tools, job, f"{layout.prefix}{name}")
    elif left == "own":
        names = [layout.full(f"messages_workspace_{job.subject}", n) for n, _ in layout.generations["messages"]]
        await tools.indices.drop(names)
    else:
        existing = await tools.indices.existing(layout.prefix)
        await tools.indices.drop([name for name in existing if f"messages_{job.subject}_" in name])
    await store(tools, job, {"phase": None, "left": None})
    log.info("workspace_moved", workspace=job.subject, route=row["route"])


async def _purge(tools: Tools, job: Job, index: str) -> None:
    """Take the workspace's messages out of an index at the pace of jobs; each page renews the lease."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async for documents in tools.indices.purge(index, job.subject):
        await store(tools, job, {})
        await asyncio.sleep(max(0.0, documents / tools.documents_per_s - (loop.time() - began)))
        began = loop.time()
