"""The contract's topics in a real broker: created once, mended when they differ."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from worker_process import eventually

from tailrace.addresses import resolve
from tailrace.errors import PreconditionError, UnreachableError
from tailrace.operations.topics import apply_topics, plan_topics
from tailrace.schemas.catalogue import TOPICS
from tailrace.settings import KafkaSettings, Settings

Configured = Callable[..., Settings]


@pytest.fixture
def configured(settings: Settings) -> Configured:
    """Makes the test's settings with some of Kafka's changed."""
    return lambda **kafka: settings.model_copy(update={"kafka": settings.kafka.model_copy(update=kafka)})


@pytest.fixture
def broker(settings: Settings) -> str:
    return resolve(settings).kafka


@pytest.fixture
async def admin(broker: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=broker)
    await client.start()
    yield client
    await client.close()


async def configs(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for _, _, _, _, entries in response.resources for entry in entries}


async def partition_counts(admin: AIOKafkaAdminClient, prefix: str) -> dict[str, int]:
    topics = await admin.describe_topics()
    return {it["topic"]: len(it["partitions"]) for it in topics if it["topic"].startswith(prefix)}


async def shown(admin: AIOKafkaAdminClient, topic: str) -> bool:
    return await partition_counts(admin, topic) != {}


async def test_every_topic_of_the_contract_is_created_as_it_should_be(
    configured: Configured, broker: str, admin: AIOKafkaAdminClient
):
    settings = configured(partitions=3, partitions_small=2)

    await apply_topics(settings, broker)

    small = {"inbound", "notifications", "trends", "dead-letters"}
    assert await partition_counts(admin, settings.kafka.topic_prefix) == {
        settings.topic(topic.name): 2 if topic.name in small else 3 for topic in TOPICS
    }
    for topic in TOPICS:
        found = await configs(admin, settings.topic(topic.name))
        assert found["message.timestamp.type"] == "LogAppendTime"
        assert found["retention.ms"] == (
            "-1" if topic.retention_days is None else str(topic.retention_days * 86_400_000)
        )
        assert found["max.message.bytes"] == str((4 if topic.name == "dead-letters" else 2) * 2**20)
        assert (found["cleanup.policy"], found["min.insync.replicas"]) == ("delete", "1")


async def test_a_second_run_finds_nothing_to_do(settings: Settings, broker: str):
    first = await apply_topics(settings, broker)
    second = await apply_topics(settings, broker)

    assert [topic.missing for topic in first.topics] == [True] * len(TOPICS)
    assert [topic.differences for topic in second.topics] == [()] * len(TOPICS)
    assert await plan_topics(settings, broker) == second


async def test_planning_creates_nothing(settings: Settings, broker: str, admin: AIOKafkaAdminClient):
    plan = await plan_topics(settings, broker)

    assert len(plan.to_create) == len(TOPICS)
    assert await partition_counts(admin, settings.kafka.topic_prefix) == {}


async def test_configs_that_differ_are_mended_and_others_are_left_alone(
    settings: Settings, broker: str, admin: AIOKafkaAdminClient
):
    topic = settings.topic("signals")
    wrong = {"retention.ms": "1000", "message.timestamp.type": "CreateTime", "compression.type": "zstd"}
    await admin.create_topics([NewTopic(topic, settings.kafka.partitions, 1, topic_configs=wrong)])
    # The controller has answered; the broker's own picture of the cluster follows.
    await eventually(lambda: shown(admin, topic), "the topic is in the broker's metadata")

    plan = await apply_topics(settings, broker)

    (signals,) = (it for it in plan.topics if it.name == topic)
    assert {(it.name, it.found, it.wanted) for it in signals.configs} >= {
        ("retention.ms", "1000", "86400000"),
        ("message.timestamp.type", "CreateTime", "LogAppendTime"),
    }
    found = await configs(admin, topic)
    assert (found["retention.ms"], found["message.timestamp.type"]) == ("86400000", "LogAppendTime")
    assert found["compression.type"] == "zstd"
    assert (await plan_topics(settings, broker)).to_configure == ()


async def test_partitions_are_added_only_when_asked_for(
    configured: Configured, broker: str, admin: AIOKafkaAdminClient
):
    few, many = configured(partitions=2, partitions_small=1), configured(partitions=5, partitions_small=1)
    await apply_topics(few, broker)

    shown = await apply_topics(many, broker)
    assert len(shown.to_extend) == 5
    assert shown.to_extend[0].differences == ("2 partitions → 5",)
    assert (await partition_counts(admin, few.kafka.topic_prefix))[few.topic("files")] == 2

    await apply_topics(many, broker, add_partitions=True)
    assert (await partition_counts(admin, few.kafka.topic_prefix))[few.topic("files")] == 5
    assert (await plan_topics(many, broker)).to_extend == ()


async def test_more_partitions_than_set_are_shown_and_stay(
    configured: Configured, broker: str, admin: AIOKafkaAdminClient
):
    few, many = configured(partitions=2), configured(partitions=4)
    await apply_topics(many, broker)

    plan = await apply_topics(few, broker, add_partitions=True)

    assert plan.topics[0].differences == ("4 partitions → 2",)
    assert plan.to_extend == ()
    assert (await partition_counts(admin, few.kafka.topic_prefix))[few.topic("files")] == 4


async def test_more_replicas_than_brokers_are_refused_with_the_setting_to_change(configured: Configured, broker: str):
    with pytest.raises(PreconditionError) as caught:
        await apply_topics(configured(replication_factor=3), broker)

    assert "TAILRACE_KAFKA__REPLICATION_FACTOR" in str(caught.value.fix)


async def test_a_topic_with_fewer_replicas_than_set_keeps_taking_writes(
    configured: Configured, broker: str, admin: AIOKafkaAdminClient
):
    await apply_topics(configured(), broker)

    plan = await apply_topics(configured(replication_factor=3), broker)

    assert plan.topics[0].differences == ("1 replicas → 3",)
    assert (await configs(admin, plan.topics[0].name))["min.insync.replicas"] == "1"


async def test_a_broker_that_never_answers_is_unreachable_within_the_bound(configured: Configured):
    settings = configured(request_timeout_ms=1_000)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()

        with pytest.raises(UnreachableError, match=address) as caught:
            await plan_topics(settings, address)

        assert time.monotonic() - started < 5
        assert "tailrace up" in str(caught.value.fix)


def topics(settings: Settings, *arguments: str, **environment: str) -> tuple[int, Any]:
    """Run `tailrace topics …` and return its exit code and the JSON document it prints."""
    done = subprocess.run(
        [sys.executable, "-c", "from tailrace.cli.main import run; run()", "topics", *arguments, "-o", "json"],
        env={name: value for name, value in os.environ.items() if not name.startswith("TAILRACE_")}
        | {
            "TAILRACE_DATA_DIR": str(settings.data_dir.absolute()),
            "TAILRACE_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        }
        | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None


def test_the_command_plans_applies_and_lists(settings: Settings):
    code, planned = topics(settings, "apply", "--dry-run")
    assert (code, [it["missing"] for it in planned["topics"]]) == (0, [True] * len(TOPICS))

    code, applied = topics(settings, "apply")
    assert (code, applied["changed"]) == (0, len(TOPICS))

    code, again = topics(settings, "apply")
    assert (code, again["changed"]) == (0, 0)

    code, listed = topics(settings, "ls")
    assert code == 0
    assert [it["name"] for it in listed["topics"]] == [settings.topic(it.name) for it in TOPICS]
    assert listed["topics"][0]["partitions"] == {
        "found": KafkaSettings().partitions,
        "wanted": KafkaSettings().partitions,
    }


def test_the_command_says_that_the_broker_is_not_there(settings: Settings):
    code, document = topics(settings, "apply", TAILRACE_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1")

    assert (code, document) == (5, None)
