"""The search indices at sizes that tests do not have: a user and a channel of a million messages, a large workspace.

Usage, with Kafka, PostgreSQL and Elasticsearch up, migrated, and the topics made; it leaves everything there:
  .venv/bin/python bench/search_at_size.py fill     # a million messages; --help says what can be fewer
  .venv/bin/tailrace worker run postgres search     # in another terminal, until `tailrace wait` returns
  .venv/bin/python bench/search_at_size.py names    # rename, kill the worker, rename back; then the channel
  .venv/bin/python bench/search_at_size.py move     # past 10,000 members and back, under eyes
  .venv/bin/python bench/search_at_size.py search   # latencies, and cursors to the end

`names` and `move` start the workers themselves and post 20 messages a second meanwhile. Printed are seconds, the jobs
as `tailrace indices ls` has them, how long new messages took to be found, and resident MiB of the search worker.
"""

import argparse
import asyncio
import itertools
import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import uvloop
from elasticsearch import AsyncElasticsearch

from tailrace.addresses import resolve
from tailrace.errors import TailraceError
from tailrace.operations.indices import overview
from tailrace.projections.documents import shared_number
from tailrace.schemas.catalogue import EVENT_TYPES, key_of
from tailrace.search import Options, SearchClient, Searcher, Sort
from tailrace.settings import load_settings
from tailrace.workload import publish_records
from tailrace.workload.records import Generated

DAY_US = 86_400_000_000
DAYS = 360
LIVE_PER_S = 20
LOOK_S = 0.05
REPORT_S = 5
MILLISECOND = len("2026-11-21T20:06:39.123")
WORDS = [
    "budget", "release", "nightly", "import", "supplier", "invoice", "ticket", "draft", "review", "meeting", "survey",
    "deck", "parser", "outage", "lunch", "printer", "contract", "payroll", "the", "and", "for", "with", "before",
]  # fmt: skip
QUERIES = [
    "release", "nightly import", '"nightly import"', "n123", "rel*", "from:@ana invoice", "in:#small ticket",
    "after:2026-06 before:2026-08 supplier", "the", "",
]  # fmt: skip

settings = load_settings()
dice = random.Random(7)


def id_of(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"bench:{name}"))


def rfc3339(unix_us: int) -> str:
    second, micro = divmod(unix_us, 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{micro:06d}Z"


def now_us() -> int:
    return time.time_ns() // 1_000


def event(kind: str, at_us: int | None, **data: Any) -> Generated:
    """One event of now, or of a moment in the past."""
    at_us = at_us or now_us()
    type_ = f"collab.{kind}"
    value = {
        "specversion": "1.0", "id": str(uuid.uuid4()), "type": type_, "source": "/bench", "subject": "-",
        "time": rfc3339(at_us), "sequence": str(at_us << 11), "data": data,
    }  # fmt: skip
    return Generated(EVENT_TYPES[type_].topic, key_of(type_, data).encode(), orjson.dumps(value), type_)


def user(name: str, at_us: int | None = None, kind: str = "registered", called: str | None = None) -> Generated:
    called = called or name
    profile = {"username": called, "display_name": called.title(), "timezone": "UTC", "language": "en"}
    return event(f"user.{kind}", at_us, user_id=id_of(name), email=f"{name}@example.org", **profile)


def member(workspace: str, name: str, at_us: int | None = None) -> Generated:
    ids = {"workspace_id": id_of(workspace), "user_id": id_of(name)}
    return event("workspace_member.joined", at_us, role="member", **ids)


def left(workspace: str, name: str) -> Generated:
    return event("workspace_member.left", None, workspace_id=id_of(workspace), user_id=id_of(name))


def channel(workspace: str, name: str, at_us: int | None = None) -> Generated:
    return event("channel.created", at_us, **profile_of(workspace, name, name))


def changed(workspace: str, name: str, called: str, channel_type: str = "public") -> Generated:
    return event("channel.updated", None, **profile_of(workspace, name, called) | {"channel_type": channel_type})


def profile_of(workspace: str, name: str, called: str) -> dict[str, Any]:
    profile = {"channel_id": id_of(name), "workspace_id": id_of(workspace), "name": called, "channel_type": "public"}
    allowed = dict.fromkeys(("allow_threads", "allow_file_upload", "allow_external_sharing"), True)
    return profile | allowed | {"is_general": False, "created_by": id_of("ana")}


def posted(workspace: str, where: str, who: str, text: str, at_us: int | None = None) -> Generated:
    at_us = at_us or now_us()
    ids = {"workspace_id": id_of(workspace), "channel_id": id_of(where), "user_id": id_of(who)}
    message = {"content": text, "message_type": "text", "mentions": [], "file_ids": [], "created_at": rfc3339(at_us)}
    return event("message.posted", at_us, message_id=str(uuid.uuid4()), **ids, **message)


def text() -> str:
    return " ".join(dice.choices(WORDS, k=dice.randrange(6, 24))) + f" n{dice.randrange(50_000)}"


def companies(messages: int, members: int, channels: int, spread: int) -> Iterator[Generated]:
    """`big-co`, where ana wrote all of #big; `wide-co` with many members and many small channels."""
    begin = now_us() - (DAYS + 5) * DAY_US
    clock = iter(range(begin - DAY_US, begin, 1_000))
    for workspace in ("big-co", "wide-co"):
        profile = {"settings": {}, "plan_type": "business", "max_members": 100_000, "subscription_status": "active"}
        names = {"workspace_id": id_of(workspace), "name": workspace, "slug": workspace, "owner_id": id_of("ana")}
        yield event("workspace.created", next(clock), **names, **profile, sso_enabled=False, require_2fa=False)
    for name in ("ana", "bo"):
        yield from (user(name, next(clock)), member("big-co", name, next(clock)))
    yield from (channel("big-co", name, next(clock)) for name in ("big", "small"))
    for n in range(messages):
        yield posted("big-co", "big", "ana", text(), begin + n * DAYS * DAY_US // messages)
    for n in range(members):
        yield from (user(f"u{n}", next(clock)), member("wide-co", f"u{n}", next(clock)))
    yield from (channel("wide-co", f"c{n}", next(clock)) for n in range(channels))
    for n in range(spread):
        where, who = f"c{dice.randrange(channels)}", f"u{dice.randrange(members)}"
        yield posted("wide-co", where, who, text(), begin + n * DAYS * DAY_US // spread)


async def publish(*records: Generated) -> None:
    await publish_records(resolve(settings).kafka, records, settings=settings)


def quantiles(values: list[float]) -> str:
    ordered = sorted(values)
    return f"p50 {ordered[len(ordered) // 2]:.3f} p99 {ordered[int(len(ordered) * 0.99)]:.3f} s of {len(ordered):,}"


class Run:
    """Workers, a stream of new messages, and what somebody who looks all the time sees."""

    def __init__(self, workspace: str) -> None:
        self.workspace = workspace
        self.client = AsyncElasticsearch(resolve(settings).elasticsearch, request_timeout=60)
        self.alias = f"{settings.elasticsearch.index_prefix}messages"
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.waiting: dict[str, float] = {}
        self.found: list[float] = []
        self._began = time.monotonic()

    def say(self, *what: Any) -> None:
        print(f"{time.monotonic() - self._began:7.1f}", *what, flush=True)

    def start(self, name: str) -> None:
        tailrace = Path(sys.executable).with_name("tailrace")
        self.workers[name] = subprocess.Popen([tailrace, "worker", "run", name], stderr=subprocess.DEVNULL)

    def kill(self, name: str) -> None:
        self.workers[name].kill()
        self.workers[name].wait()
        self.start(name)
        self.say("killed and started again")

    @asynccontextmanager
    async def going_on(self, *watchers: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        for name in ("postgres", "search"):
            self.start(name)
        tasks = [asyncio.ensure_future(one()) for one in (self._post, self._look, self._report, *watchers)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for worker in self.workers.values():
                worker.terminate()
                worker.wait()
            await self.client.close()
            self.say("new messages were found after", quantiles(self.found))

    async def _post(self) -> None:
        await publish_records(resolve(settings).kafka, self._posts(), settings=settings, rate=LIVE_PER_S)

    def _posts(self) -> Iterator[Generated]:
        for n in itertools.count():
            record = posted(self.workspace, *self._place(n), f"marklive {text()}")
            self.waiting[orjson.loads(record.value or b"")["data"]["message_id"]] = time.monotonic()
            yield record

    def _place(self, n: int) -> tuple[str, str]:
        if self.workspace == "wide-co":
            return f"c{n % 50}", f"u{n % 900}"
        return ("small", "bo") if n % 4 else ("big", "ana")

    async def _look(self) -> None:
        while True:
            query = {"terms": {"message_id": list(self.waiting)[:500]}}
            answer = await self.client.search(index=self.alias, query=query, size=500, source=False)
            for hit in answer["hits"]["hits"]:
                if since := self.waiting.pop(hit["_id"], None):
                    self.found.append(time.monotonic() - since)
            await asyncio.sleep(LOOK_S)

    async def _report(self) -> None:
        while True:
            for job in (await overview(settings)).jobs:
                done = f"{job['documents']:,} of {job['documents_estimate'] or 0:,}"
                self.say(job["kind"], job["subject"], job["state"], done, f"search worker {self._resident()} MiB")
            await asyncio.sleep(REPORT_S)

    def _resident(self) -> int:
        lines = Path(f"/proc/{self.workers['search'].pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS")), 0)

    async def until_done(self) -> None:
        """Until no job is open, and it stays so while what was just published is applied."""
        quiet = 0
        while quiet < REPORT_S:
            await asyncio.sleep(1)
            quiet = 0 if (await overview(settings)).jobs else quiet + 1

    async def names(self, field: str) -> dict[str, int]:
        """How many of #big's messages show which name."""
        await self.client.indices.refresh(index=self.alias)
        names = {"terms": {"field": field, "missing": "–"}}
        asked = {"size": 0, "query": {"term": {"channel_id": id_of("big")}}, "aggs": {"names": names}}
        answer = await self.client.search(index=self.alias, **asked)
        return {one["key"]: one["doc_count"] for one in answer["aggregations"]["names"]["buckets"]}


async def names() -> None:
    run = Run("big-co")
    async with run.going_on():
        await asyncio.sleep(10)
        await publish(user("ana", kind="updated", called="anna"))
        await asyncio.sleep(30)
        run.kill("search")
        await asyncio.sleep(90)
        await publish(user("ana", kind="updated"))
        await run.until_done()
        run.say("users are called", await run.names("username"))
        await publish(changed("big-co", "big", "large"))
        await run.until_done()
        run.say("the channel is called", await run.names("channel_name"))
        for kind in ("private", "public"):
            await publish(changed("big-co", "big", "large", kind))
            await run.until_done()
            run.say(f"{kind}: no job is left")


async def move() -> None:
    run = Run("wide-co")
    wrong: Counter[str] = Counter()
    async with run.going_on(lambda: count(run, wrong), lambda: newest(run, wrong)):
        pg = await asyncpg.connect(resolve(settings).postgres)
        members = await pg.fetchval(
            f"SELECT member_count FROM {settings.postgres.schema_collab}.workspaces WHERE workspace_id = $1",  # noqa: S608
            id_of("wide-co"),
        )
        await pg.close()
        await asyncio.sleep(15)
        high, low = settings.elasticsearch.own_index_members, settings.elasticsearch.own_index_members_low
        for n in range(members, high + 1):
            await publish(user(f"u{n}"), member("wide-co", f"u{n}"))
        await run.until_done()
        run.say(f"{high + 1:,} members: {(await overview(settings)).routes}; {dict(wrong)}")
        await publish(*(left("wide-co", f"u{n}") for n in range(low - 1, high + 1)))
        await run.until_done()
        home = f"messages_shared_{shared_number(id_of('wide-co'))}"
        run.say(f"{low - 1:,} members: {(await overview(settings)).routes}, home is {home}; {dict(wrong)}")


async def count(run: Run, wrong: Counter[str]) -> None:
    """Look whether every old message is counted once, whichever place shows it."""
    first = None
    # Not those that an earlier run may have left to be applied by these workers.
    before = rfc3339(now_us() - DAY_US)
    ours = [{"term": {"workspace_id": id_of("wide-co")}}, {"range": {"created_at": {"lt": before}}}]
    while True:
        query = {"bool": {"filter": ours}}
        answer = await run.client.search(index=run.alias, query=query, size=0, track_total_hits=True)
        total = answer["hits"]["total"]["value"]
        first = first or total
        wrong["counts"] += total != first
        wrong["failed shards"] += answer["_shards"]["failed"]
        wrong["(looks)"] += 1
        await asyncio.sleep(LOOK_S)


async def newest(run: Run, wrong: Counter[str]) -> None:
    """Look whether what was once found among the newest is found, once, for as long as it is among them."""
    seen: dict[str, str] = {}
    async with await SearchClient.connect(settings) as client:
        while True:
            asked = Options(sort=Sort.TIME, size=100)
            page = await client.search("marklive", Searcher(id_of("wide-co"), id_of("u5")), asked)
            # To the millisecond, as Elasticsearch orders them: of one millisecond some may be on the next page.
            hits = {hit.id: hit.source["created_at"][:MILLISECOND] for hit in page.hits}
            since = min(hits.values(), default="") if len(page.hits) == asked.size else ""
            wrong["twice"] += len(page.hits) - len(hits)
            if missing := sum(at > since and one not in hits for one, at in seen.items()):
                wrong["missing"] += missing
                run.say(f"{missing} of {len(seen)} missing")
            seen.update(hits)
            await asyncio.sleep(LOOK_S)


async def search() -> None:
    searcher = Searcher(id_of("big-co"), id_of("bo"))
    async with await SearchClient.connect(settings) as client:
        for query in QUERIES:
            for sort in Sort:
                took = []
                for _ in range(50):
                    began = time.perf_counter()
                    page = await client.search(query, searcher, Options(sort=sort))
                    took.append(time.perf_counter() - began)
                print(f"{query or '(everything)':40} {sort:10} {quantiles(took)}, of {page.total:,}")
        for sort in Sort:
            took, ids, after = [], Counter[str](), None
            while len(took) < 1_000 and (after or not took):
                began = time.perf_counter()
                page = await client.search("release", searcher, Options(sort=sort, size=100, after=after))
                took.append(time.perf_counter() - began)
                ids.update(hit.id for hit in page.hits)
                after = page.next
            twice = sum(count > 1 for count in ids.values())
            print(f"pages of 100 by {sort}: {quantiles(took[:100])} at first, {quantiles(took[-100:])} at last", end="")
            print(f", {len(ids):,} found, {twice} of them twice")


async def main(arguments: argparse.Namespace) -> None:
    if arguments.step == "fill":
        made = companies(arguments.messages, arguments.members, arguments.channels, arguments.spread)
        done = await publish_records(resolve(settings).kafka, made, settings=settings)
        print(f"{done.records:,} records, {done.rate:,.0f}/s")
    else:
        await {"names": names, "move": move, "search": search}[arguments.step]()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["fill", "names", "move", "search"])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--members", type=int, default=9_990)
    parser.add_argument("--channels", type=int, default=5_000)
    parser.add_argument("--spread", type=int, default=100_000, help="messages in these channels")
    try:
        uvloop.run(main(parser.parse_args()))
    except TailraceError as error:
        sys.exit(str(error))
