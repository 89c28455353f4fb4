"""The contract's topics in the broker: what is missing, what differs, and how it is mended."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidReplicationFactorError, KafkaError, TopicAlreadyExistsError, for_code

from tailrace.errors import PreconditionError, TailraceError, UnreachableError
from tailrace.schemas.catalogue import TOPICS, TopicSpec
from tailrace.settings import Settings

log = structlog.get_logger(__name__)

RECORD_BYTES_MAX: Final = 2 * 2**20
DEAD_LETTER_BYTES_MAX: Final = 4 * 2**20
"""A dead letter is the record as it came, plus headers that say why it is one."""
DEAD_LETTERS: Final = "dead-letters"
SMALL: Final = frozenset({"inbound", "notifications", "trends", DEAD_LETTERS})
"""Topics that have `partitions_small` partitions."""
DAY_MS: Final = 86_400_000
SEGMENTS_PER_RETENTION: Final = 8
READY_TIMEOUT_S: Final = 30.0
READY_POLL_S: Final = 0.1
CLOSE_TIMEOUT_S: Final = 2.0
_OF_THE_TOPIC: Final = 1
"""DescribeConfigs' source of a value that is set on the topic itself (KIP-226)."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One config of a topic that is not what it should be."""

    name: str
    found: str | None
    wanted: str


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """One topic, as it is and as it should be. `name` is the full name; what was found is None where it is missing."""

    name: str
    retention_days: int | None
    partitions: int
    partitions_found: int | None
    replication: int
    replication_found: int | None
    configs: tuple[Difference, ...] = ()

    @property
    def missing(self) -> bool:
        """The topic is to be created."""
        return self.partitions_found is None

    @property
    def partitions_lacking(self) -> int:
        """So many partitions fewer than wanted."""
        return max(0, self.partitions - self.partitions_found) if self.partitions_found is not None else 0

    @property
    def differences(self) -> tuple[str, ...]:
        """What differs, in words; those of configs are mended, the others are not (partitions only when asked for)."""
        if self.missing:
            return ("missing",)
        found = [f"{config.name}={config.found} → {config.wanted}" for config in self.configs]
        if self.partitions != self.partitions_found:
            found.append(f"{self.partitions_found} partitions → {self.partitions}")
        if self.replication != self.replication_found:
            found.append(f"{self.replication_found} replicas → {self.replication}")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class TopicsPlan:
    """All topics of the contract, in its order."""

    topics: tuple[TopicPlan, ...]

    @property
    def to_create(self) -> tuple[TopicPlan, ...]:
        return tuple(topic for topic in self.topics if topic.missing)

    @property
    def to_configure(self) -> tuple[TopicPlan, ...]:
        return tuple(topic for topic in self.topics if topic.configs)

    @property
    def to_extend(self) -> tuple[TopicPlan, ...]:
        """Topics with fewer partitions than wanted. Adding some moves keys, see `apply_topics`."""
        return tuple(topic for topic in self.topics if topic.partitions_lacking)


async def plan_topics(settings: Settings, bootstrap: str) -> TopicsPlan:
    """Compare the broker's topics with the contract's; changes nothing.

    Raises `UnreachableError` when no broker answers within `kafka.request_timeout_ms`.
    """
    async with _admin(settings, bootstrap) as admin:
        return await _plan(admin, settings)


async def apply_topics(settings: Settings, bootstrap: str, *, add_partitions: bool = False) -> TopicsPlan:
    """Create the topics that are missing, mend configs, and wait until every partition has a leader.

    Returns the plan that was carried out; a second call finds nothing to do. Partitions are added only with
    `add_partitions`: keys then move to other partitions, so the order of a key is lost between what is in the log and
    what comes after. Nothing takes partitions away, and the replication factor of a topic that exists stays.

    Raises `UnreachableError`, and `PreconditionError` where the broker refuses or has no leaders in time.
    """
    async with _admin(settings, bootstrap) as admin:
        plan = await _plan(admin, settings)
        if plan.to_create:
            await _create(admin, settings, plan.to_create)
        if plan.to_configure:
            await _configure(admin, plan.to_configure)
        if add_partitions and plan.to_extend:
            await _extend(admin, plan.to_extend)
        await _wait_until_ready(admin, plan, extended=add_partitions)
    return plan


async def topic_partitions(
    settings: Settings, bootstrap: str, names: Collection[str], *, some: bool = False
) -> list[TopicPartition]:
    """All partitions of these topics (names without prefix), sorted; the topics in it have their full names.

    Raises `PreconditionError` for a topic that does not exist (with `some`: when none of them does),
    `UnreachableError` where no broker answers.
    """
    wanted = {settings.topic(name) for name in names}
    async with _admin(settings, bootstrap) as admin:
        found = {name: parts for name, parts in (await admin.partitions()).items() if name in wanted}
    if (missing := sorted(wanted - found.keys())) and not (some and found):
        raise PreconditionError(f"no such topic: {', '.join(missing)}", fix="tailrace topics apply")
    return sorted(TopicPartition(name, p["partition"]) for name, partitions in found.items() for p in partitions)


def topic_configs(topic: TopicSpec, replication: int) -> dict[str, str]:
    """Return the configs of a topic with so many replicas (CONTRACT 1, rulings 73 and 75)."""
    large = topic.name == DEAD_LETTERS
    configs = {
        "cleanup.policy": "delete",
        "max.message.bytes": str(DEAD_LETTER_BYTES_MAX if large else RECORD_BYTES_MAX),
        "message.timestamp.type": "LogAppendTime",
        # A majority: acknowledged writes then outlive the loss of the others.
        "min.insync.replicas": str(replication // 2 + 1 if replication > 2 else 1),  # noqa: PLR2004 - of 1 or 2 there is none
        "retention.bytes": "-1",
        "retention.ms": "-1",
        "unclean.leader.election.enable": "false",
    }
    if topic.retention_days is not None:
        configs["retention.ms"] = str(topic.retention_days * DAY_MS)
        # Only closed segments are deleted, and by default one may be filled for a week.
        configs["segment.ms"] = str(topic.retention_days * DAY_MS // SEGMENTS_PER_RETENTION)
    return configs


@asynccontextmanager
async def _admin(settings: Settings, bootstrap: str) -> AsyncIterator["_Admin"]:
    timeout_s = settings.kafka.request_timeout_ms / 1_000
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=settings.kafka.request_timeout_ms)
    admin = _Admin(client, bootstrap, timeout_s)
    try:
        await admin.ask(client.start())
        yield admin
    finally:
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await client.close()


class _Admin:
    """aiokafka's admin client with a deadline on every request and with our errors."""

    def __init__(self, client: Any, bootstrap: str, timeout_s: float) -> None:
        self.client = client
        self._bootstrap = bootstrap
        self._timeout_s = timeout_s

    async def ask(self, request: Any) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await request
        except (KafkaError, OSError, TimeoutError) as error:
            raise UnreachableError(
                f"no Kafka broker answers at {self._bootstrap}",
                fix="tailrace up, or set TAILRACE_KAFKA__BOOTSTRAP_SERVERS",
            ) from error

    async def partitions(self) -> dict[str, list[dict[str, Any]]]:
        """Return the partitions of every topic there is.

        All of them, because a broker that creates topics on its own would create those that are asked for by name.
        """
        topics = await self.ask(self.client.describe_topics())
        return {topic["topic"]: topic["partitions"] for topic in topics if not topic["error_code"]}

    async def configs(self, names: Sequence[str]) -> dict[str, dict[str, tuple[str | None, int]]]:
        """Return value and source of every config, by topic."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        configs: dict[str, dict[str, tuple[str | None, int]]] = {}
        for response in await self.ask(self.client.describe_configs(resources)) if resources else []:
            for code, message, _, name, entries in response.resources:
                _raise_for(code, message, name)
                configs[name] = {entry[0]: (entry[1], entry[3]) for entry in entries}
        return configs


async def _plan(admin: _Admin, settings: Settings) -> TopicsPlan:
    partitions = await admin.partitions()
    specs = {settings.topic(topic.name): topic for topic in TOPICS}
    configs = await admin.configs([name for name in specs if name in partitions])
    return TopicsPlan(
        tuple(
            _compared(
                settings, spec, partitions.get(name), {key: found for key, (found, _) in configs.get(name, {}).items()}
            )
            for name, spec in specs.items()
        )
    )


def _compared(
    settings: Settings, spec: TopicSpec, partitions: list[dict[str, Any]] | None, configs: Mapping[str, str | None]
) -> TopicPlan:
    replication = settings.kafka.replication_factor
    found = min((len(partition["replicas"]) for partition in partitions), default=0) if partitions is not None else None
    # By the replicas that are there: more in-sync replicas than that would refuse every write.
    wanted = topic_configs(spec, replication if found is None else found)
    return TopicPlan(
        name=settings.topic(spec.name),
        retention_days=spec.retention_days,
        partitions=settings.kafka.partitions_small if spec.name in SMALL else settings.kafka.partitions,
        partitions_found=None if partitions is None else len(partitions),
        replication=replication,
        replication_found=found,
        configs=()
        if partitions is None
        else tuple(
            Difference(key, configs.get(key), value) for key, value in wanted.items() if configs.get(key) != value
        ),
    )


async def _create(admin: _Admin, settings: Settings, topics: Sequence[TopicPlan]) -> None:
    specs = {settings.topic(topic.name): topic for topic in TOPICS}
    new = [
        NewTopic(
            topic.name,
            topic.partitions,
            topic.replication,
            topic_configs=topic_configs(specs[topic.name], topic.replication),
        )
        for topic in topics
    ]
    response = await admin.ask(admin.client.create_topics(new))
    for name, code, message in response.topic_errors:
        # Somebody else applied at the same time; what differs then is the next plan's.
        if for_code(code) is not TopicAlreadyExistsError:
            _raise_for(code, message, name)
            log.info("topic_created", topic=name)


async def _configure(admin: _Admin, topics: Sequence[TopicPlan]) -> None:
    # The request replaces all that is set on a topic: what is not ours must be sent along, or it would be lost.
    found = await admin.configs([topic.name for topic in topics])
    resources = [
        ConfigResource(
            ConfigResourceType.TOPIC,
            topic.name,
            {key: value for key, (value, source) in found[topic.name].items() if source == _OF_THE_TOPIC}
            | {config.name: config.wanted for config in topic.configs},
        )
        for topic in topics
    ]
    for response in await admin.ask(admin.client.alter_configs(resources)):
        for code, message, _, name in response.resources:
            _raise_for(code, message, name)
            log.info("topic_configured", topic=name)


async def _extend(admin: _Admin, topics: Sequence[TopicPlan]) -> None:
    await admin.ask(admin.client.create_partitions({topic.name: NewPartitions(topic.partitions) for topic in topics}))
    for topic in topics:
        log.info("topic_extended", topic=topic.name, partitions=topic.partitions, before=topic.partitions_found)


async def _wait_until_ready(admin: _Admin, plan: TopicsPlan, *, extended: bool) -> None:
    """Wait for leaders, and until the broker shows what was set: it answers before it has taken a change in."""
    counts = {
        topic.name: topic.partitions if topic.missing or extended else topic.partitions_found or 0
        for topic in plan.topics
    }
    wanted = {topic.name: {it.name: it.wanted for it in topic.configs} for topic in plan.to_configure}
    waiting = set(counts)
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            while waiting:
                partitions, configs = await admin.partitions(), await admin.configs(list(wanted))
                waiting = {name for name, count in counts.items() if _led(partitions.get(name, [])) < count}
                for name, values in wanted.items():
                    if any(configs[name][key][0] != value for key, value in values.items()):
                        waiting.add(name)
                if waiting:
                    await asyncio.sleep(READY_POLL_S)
    except TimeoutError as error:
        raise PreconditionError(
            f"not ready after {READY_TIMEOUT_S:g} s: {', '.join(sorted(waiting))}", fix="read the broker's log"
        ) from error


def _led(partitions: list[dict[str, Any]]) -> int:
    return sum(partition["leader"] >= 0 and not partition["error_code"] for partition in partitions)


def _raise_for(code: int, message: str | None, name: str) -> None:
    if not code:
        return
    error = for_code(code)
    if error is InvalidReplicationFactorError:
        raise PreconditionError(f"topic {name}: {message}", fix="set TAILRACE_KAFKA__REPLICATION_FACTOR")
    raise TailraceError(f"topic {name}: {message or error.__name__}")
