"""What a log does when its client fails it."""

import asyncio

import pytest
from aiokafka import ConsumerRecord
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from tailrace.consumers.batch import TopicPartition
from tailrace.consumers.errors import BrokenLogError, ConsumerError
from tailrace.consumers.kafka_log import KafkaLog, is_astray
from tailrace.unpacking import BrokenBatchError


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
    log = KafkaLog(client)

    with pytest.raises(ConsumerError, match="stopped reading"):
        await log.fetch(10, 1)
    assert isinstance(task.exception(), KafkaError)


class Breaking:
    """A client that gives out records of one partition, and then meets a batch of another that it cannot read."""

    def __init__(self) -> None:
        self.positions = {GOOD: 0, BROKEN: 0}

    def assignment(self) -> set[KafkaPartition]:
        return set(self.positions)

    def seek(self, partition: KafkaPartition, offset: int) -> None:
        self.positions[partition] = offset

    def resume(self, partition: KafkaPartition) -> None:
        pass

    pause = resume

    def partitions_for_topic(self, _: str) -> set[int]:
        return {0, 1}

    async def getmany(self, **_: object) -> dict[KafkaPartition, list[ConsumerRecord]]:
        first = self.positions[GOOD]
        self.positions[GOOD] = first + 3
        if first >= 3:
            raise BrokenBatchError(BROKEN, "after the other one's records were taken")
        return {GOOD: [record(offset) for offset in range(first, first + 3)], BROKEN: []}


GOOD, BROKEN = KafkaPartition("t", 0), KafkaPartition("t", 1)


def record(offset: int, key: bytes = b"k") -> ConsumerRecord:
    return ConsumerRecord("t", 0, offset, 0, 1, key, b"v", None, 1, 1, ())


async def test_what_a_broken_batch_of_another_partition_took_with_it_is_read_again():
    client = Breaking()
    log = KafkaLog(client)
    log.read_from({TopicPartition("t", 0): 0, TopicPartition("t", 1): 40})

    found = await log.fetch(10, 100)
    assert [one.offset for one in found[TopicPartition("t", 0)]] == [0, 1, 2]
    with pytest.raises(BrokenLogError) as raised:
        await log.fetch(10, 100)
    assert raised.value.partition == TopicPartition("t", 1)
    assert client.positions == {GOOD: 3, BROKEN: 40}


def test_a_record_is_astray_where_the_partitioner_of_now_would_not_put_its_key():
    keys, partitions = [f"channel {number}".encode() for number in range(50)], [0, 1, 2]
    homes = {key: DefaultPartitioner()(key, partitions, partitions) for key in keys}

    assert set(homes.values()) == set(partitions)
    assert all(is_astray(key, at, 3) == (at != home) for key, home in homes.items() for at in partitions)
    assert any(is_astray(key, home, 5) for key, home in homes.items())  # partitions were added
    assert not is_astray(None, 1, 3)
    assert not is_astray(b"k", 1, 0)


async def test_records_say_whether_they_are_astray():
    keys = [f"channel {number}".encode() for number in range(20)]

    class Mixed(Breaking):
        async def getmany(self, **_: object) -> dict[KafkaPartition, list[ConsumerRecord]]:
            return {GOOD: [record(offset, key) for offset, key in enumerate(keys)]}

    found = (await KafkaLog(Mixed()).fetch(10, 100))[TopicPartition("t", 0)]

    assert [one.is_astray for one in found] == [is_astray(key, 0, 2) for key in keys]
    assert {one.is_astray for one in found} == {False, True}


async def test_only_partitions_that_are_still_ours_are_asked_for():
    asked: list[tuple[KafkaPartition, ...]] = []

    class Asked(Breaking):
        async def getmany(self, *of: KafkaPartition, **_: object) -> dict[KafkaPartition, list[ConsumerRecord]]:
            asked.append(of)
            return {}

    log = KafkaLog(Asked())
    ours, lost = TopicPartition("t", 0), TopicPartition("t", 7)
    await log.fetch(10, 100)
    await log.fetch(10, 100, [ours, lost])
    await log.fetch(10, 100, [lost])  # to name none to the client is to ask for all

    assert asked == [(), (GOOD,)]
