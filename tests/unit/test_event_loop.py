"""A connection that was cut is a lost one, and no end of the task that wrote; without a broker nothing spins."""

import asyncio
import socket

import pytest
import uvloop
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from tailrace import event_loop


async def write_after_the_end() -> AIOKafkaConnection:
    ours, theirs = socket.socketpair()
    connection = AIOKafkaConnection("broker.invalid", 9092)
    reader, writer = await asyncio.open_connection(sock=ours)
    # Connected by hand: a real handshake would need a broker, and what follows needs none.
    vars(connection).update(
        _versions={3: (0, 1)}, _reader=reader, _writer=writer, _read_task=asyncio.create_task(asyncio.sleep(0))
    )
    writer.transport.abort()
    await asyncio.sleep(0.01)  # until the loop has closed it
    with theirs, pytest.raises(KafkaConnectionError, match="closed"):
        connection.send(MetadataRequest([]))
    return connection


def test_a_write_to_a_closed_transport_is_a_lost_connection():
    connection = event_loop.run(write_after_the_end())

    assert not connection.connected()


def test_a_program_with_a_uvloop_of_its_own_asks_for_it_as_often_as_it_likes():
    event_loop.bear_lost_brokers()
    once = AIOKafkaConnection.send
    event_loop.bear_lost_brokers()

    assert AIOKafkaConnection.send is once
    assert not uvloop.run(write_after_the_end()).connected()


def test_other_errors_of_the_client_stay_what_they_are():
    event_loop.bear_lost_brokers()

    with pytest.raises(KafkaConnectionError, match="No connection to broker"):
        uvloop.run(send_unconnected())


async def send_unconnected() -> None:
    AIOKafkaConnection("nowhere.invalid", 9092).send(MetadataRequest([]))


async def test_a_broker_that_does_not_answer_is_asked_with_pauses(monkeypatch: pytest.MonkeyPatch):
    event_loop.bear_lost_brokers()
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(event_loop.asyncio, "sleep", sleep)
    client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")

    assert not await client._metadata_update(client.cluster, [])  # noqa: SLF001 - what the client's own task calls
    assert pauses == [event_loop.METADATA_PAUSE_S]
    await client.close()
