"""A client whose own task has died reads nothing any more, and must not be waited for."""

import asyncio

import pytest
from aiokafka.errors import KafkaError

from tailrace.consumers.errors import ConsumerError
from tailrace.consumers.kafka_log import KafkaLog


class Holder:
    """What has parts, as the client has."""


async def dies() -> None:
    raise KafkaError("as the fetch task does when a transport was closed under it")


@pytest.mark.parametrize("part", [("_fetcher", "_fetch_task"), ("_coordinator", "_coordination_task")], ids=str)
async def test_a_client_that_has_died_ends_the_worker_instead_of_standing_still(part: tuple[str, str]):
    client, holder, task = Holder(), Holder(), asyncio.create_task(dies())
    await asyncio.wait({task})
    setattr(holder, part[1], task)
    setattr(client, part[0], holder)
    log = object.__new__(KafkaLog)
    log.__dict__["_consumer"] = client

    with pytest.raises(ConsumerError, match="stopped reading"):
        await log.fetch(10, 1)
    assert isinstance(task.exception(), KafkaError)
