"""How fast the search worker is, beside a bare bulk loader of the same documents.

Usage: .venv/bin/python bench/search_worker.py [--events 40000] [--runs 5] [--shards 1] [--storm 10000]

Makes a database of its own on the servers that the settings name, and indices under a prefix of its own; both go at
the end. PostgreSQL applies the log first, which is not timed. Then, in turn, every second round the other way round,
  worker  the search worker over a log in memory: decode, find what is dirty, read whole documents,
          write them with their versions, move the progress
  loader  the same documents, which it holds as Python dicts: encode with orjson, send, one request after the other; no
          log, no database, no versions
  loader x2, helper  the same with two requests at a time; the client's own `async_bulk`
each into fresh indices, until everything is written; then both refresh, which is timed apart. A first round, in which
Elasticsearch warms up, does not count. Rates are documents a second, costs CPU seconds for 100,000 documents.

Behind it, a storm: so many reactions on one message, over five seconds and all at once, through both workers with
their default settings; how often its document was written is printed.
"""

import argparse
import asyncio
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import Final

import orjson
import structlog
import uvloop
from memory_log import MemoryLog
from searching import Bench, Load, Run, by_hand, by_helper, running, until_applied, with_bench

from tailrace.consumers.batch import Record, TopicPartition
from tailrace.consumers.search.layout import Write
from tailrace.projections.registry import SEARCH
from tailrace.settings import Settings
from tailrace.telemetry import tune_garbage_collector
from tailrace.workload import generate, named_profile

PARTITIONS = 8
LOADERS: Final[Mapping[str, Load]] = {"loader": by_hand, "loader x2": partial(by_hand, requests=2), "helper": by_helper}
STORM_S = 5.0
STORM_STEP = 20
APPENDED_MS = int(datetime(2026, 11, 21, tzinfo=UTC).timestamp() * 1000)


def log_of(settings: Settings, events: int) -> list[Record]:
    """What the search worker reads of a workload."""
    topics = {settings.topic(short) for short in SEARCH.topics}
    ends: dict[TopicPartition, int] = {}
    made = []
    profile = named_profile("messages", end=datetime(2026, 11, 20, tzinfo=UTC), events=events)
    for number, one in enumerate(generate(profile)):
        if one.fault == "poison" or one.key is None or settings.topic(one.topic) not in topics:
            continue
        partition = TopicPartition(settings.topic(one.topic), uuid.UUID(one.key.decode()).int % PARTITIONS)
        offset = ends.get(partition, 0)
        ends[partition] = offset + 1
        made.append(Record(*partition, offset, APPENDED_MS + number, one.key, one.value))
    return made


async def compare(bench: Bench, records: Sequence[Record], runs: int) -> None:
    """Print the rates of both, what they cost, and the ratio of each round."""
    log = MemoryLog({TopicPartition(r.topic, r.partition) for r in records}, records)
    tables = bench.tables(log)
    async with running(tables):
        await until_applied(tables, len(records))
    tune_garbage_collector()  # as in a worker's process
    _, writes = await bench.worker(records)
    rounds: list[dict[str, Run]] = []
    for number in range(runs):
        found: dict[str, Run] = {}
        if not number % 2:
            found["worker"], writes = await bench.worker(records)
        for name, load in LOADERS.items():
            found[name] = await bench.loader(name, writes, load)
        if number % 2:
            found["worker"], writes = await bench.worker(records)
        rounds.append(found)
    print(f"{len(writes):,} documents of {len(records):,} records, {runs} rounds")
    print(f"{'':12}{'documents/s':>12}{'until refreshed':>18}{'CPU: client':>14}{'backends':>10}{'Elasticsearch':>15}")
    for name in ("worker", *LOADERS):
        print(_line([one[name] for one in rounds], name))
    for name in LOADERS:
        for until, seconds in (("written", _written), ("refreshed", _shown)):
            ratios = [seconds(one[name]) / seconds(one["worker"]) for one in rounds]
            each = " ".join(f"{ratio:.2f}" for ratio in ratios)
            print(f"worker beside {name:12}until {until:10}{median(ratios):.2f} ({each})")


def _written(run: Run) -> float:
    return run.seconds


def _shown(run: Run) -> float:
    return run.seconds + run.refreshed_s


def _line(found: Sequence[Run], name: str) -> str:
    rates = [median(run.documents / seconds(run) for run in found) for seconds in (_written, _shown)]
    costs = [(run.costs.client, run.costs.backends, run.costs.elasticsearch) for run in found]
    client, backends, elasticsearch = (
        median(cost / run.documents * 100_000 for cost, run in zip(column, found, strict=True))
        for column in zip(*costs, strict=True)
    )
    return f"{name:12}{rates[0]:>12,.0f}{rates[1]:>18,.0f}{client:>14.2f}{backends:>10.2f}{elasticsearch:>15.2f}"


async def storm(bench: Bench, reactions: int, seconds: float) -> None:
    """Print how often a message's document is written while so many users react to it within some time."""
    log = _reactions(bench.settings, reactions)
    partitions = {TopicPartition(r.topic, r.partition) for r in log}
    logs = MemoryLog(partitions), MemoryLog(partitions)
    sent: list[list[Write]] = []
    tables, search = bench.tables(logs[0]), await bench.search(logs[1], sent)
    async with running(tables, search):
        for of_one in logs:
            of_one.append(log[:1])
        await until_applied(search, 1)
        before = len(sent)
        began = time.perf_counter()
        for at in range(1, len(log), STORM_STEP):
            for of_one in logs:
                of_one.append(log[at : at + STORM_STEP])
            await asyncio.sleep(max(0.0, began + seconds * at / reactions - time.perf_counter()))
        await until_applied(search, len(log))
    calls = sent[before:]
    when = f"within {seconds:g} s" if seconds else "at once"
    print(
        f"{reactions:,} reactions on one message {when}: its document was written {sum(map(len, calls))} times,"
        f" in {sum(map(bool, calls))} requests"
    )


def _reactions(settings: Settings, count: int) -> list[Record]:
    """A message, and reactions of so many users."""
    message, channel, workspace = (str(uuid.uuid4()) for _ in range(3))
    where = {"message_id": message, "channel_id": channel, "workspace_id": workspace}
    posted = where | {
        "user_id": str(uuid.uuid4()), "content": "Who is in?", "message_type": "text", "mentions": [], "file_ids": [],
        "created_at": "2026-11-20T10:00:00Z",
    }  # fmt: skip
    events = [("message.posted", posted)]
    events += [("reaction.added", where | {"user_id": str(uuid.uuid4()), "emoji": "👍"}) for _ in range(count)]
    made = []
    for number, (kind, data) in enumerate(events):
        event = {
            "specversion": "1.0", "id": str(uuid.uuid4()), "type": f"collab.{kind}", "source": "/bench",
            "subject": message, "time": "2026-11-20T10:00:00Z", "sequence": str(number + 1), "data": data,
        }  # fmt: skip
        topic = settings.topic("conversations")
        made.append(Record(topic, 0, number, APPENDED_MS, channel.encode(), orjson.dumps(event)))
    return made


async def measure(arguments: argparse.Namespace) -> None:
    async def compared(bench: Bench) -> None:
        await compare(bench, log_of(bench.settings, arguments.events), arguments.runs)

    # Throughput is that of a worker that catches up, whose batches are full and wait for nothing.
    await with_bench(compared, shards=arguments.shards, index_interval_ms=0)
    for seconds in (STORM_S, 0.0):
        await with_bench(lambda bench, lasts=seconds: storm(bench, arguments.storm, lasts), shards=arguments.shards)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--storm", type=int, default=10_000)
    uvloop.run(measure(parser.parse_args()))
