"""Apache Kafka as one KRaft node (broker and controller in one process) from its Maven artifacts."""

import socket
import struct
import subprocess
from pathlib import Path

from tailrace.stack.account import as_account, give, own, own_empty
from tailrace.stack.artifacts import Artifacts, find_java
from tailrace.stack.process import Launch, ProcessId, process_environment
from tailrace.stack.server import Answer, NotAnsweringError, Place, Server

FORMAT_TIMEOUT_S = 60
RESPONSE_BYTES_MAX = 2**20
HEAP = ("-Xms256m", "-Xmx768m")

_SETTINGS = """\
# Written at every start; changes here are lost.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/log
auto.create.topics.enable=false
message.max.bytes=10485760
replica.fetch.max.bytes=10485760
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
"""


def _prepare(place: Place) -> Launch:
    artifacts = Artifacts(place.cache_dir)
    artifacts.fetch()
    own(place.data, place.account)
    settings = place.data / "server.properties"
    port, controller_port = place.ports
    settings.write_text(
        _SETTINGS.format(port=port, controller_port=controller_port, folder=place.data), encoding="utf-8"
    )
    give(settings, place.account)
    java = (
        *(str(find_java()), *HEAP, "-XX:+UseG1GC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true"),
        # Native libraries and performance data would stay in /tmp after a kill.
        *(f"-Djava.io.tmpdir={own_empty(place.data / 'tmp', place.account)}", "-XX:-UsePerfData"),
        *(f"-XX:ErrorFile={place.data}/hs_err_%p.log", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"),
        *(
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX",
        ),
        *("-Duser.timezone=UTC", "-cp", f"{artifacts.kafka}/*"),
    )
    reach = (place.data, artifacts.kafka)
    if not (place.data / "log" / "meta.properties").exists():
        _format(place, as_account(place.account, (*java, "kafka.tools.StorageTool"), reach=reach), settings)
    argv = as_account(place.account, (*java, "kafka.Kafka", str(settings)), reach=reach)
    return Launch(argv, process_environment())


def _format(place: Place, tool: tuple[str, ...], settings: Path) -> None:
    """Give the empty log its cluster id. `--ignore-formatted` lets a format that was cut short be repeated."""
    argv = (*tool, "format", "--cluster-id", place.stack_id, "--config", str(settings), "--ignore-formatted")
    with place.log.open("ab") as log:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=process_environment(),
            cwd="/",
            timeout=FORMAT_TIMEOUT_S,
            check=False,
        )
    if done.returncode != 0:
        raise NotAnsweringError(f"formatting the log ended with {done.returncode}")


def _address(place: Place) -> str:
    return f"127.0.0.1:{place.ports[0]}"


def ask_kafka(bootstrap_servers: str, timeout_s: float) -> Answer:
    """Ask the first server that answers for metadata; the identity is the cluster's id.

    One request over a plain socket: aiokafka's client logs every refused connection as an error, and a broker
    that is starting refuses many. The protocol does not tell the broker's version.
    """
    reason = "no server given"
    for server in bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            return Answer(version=None, identity=_cluster_id(host.strip("[]"), int(port), timeout_s))
        except (OSError, ValueError, struct.error) as error:
            reason = f"{server.strip()}: {error}"
    raise NotAnsweringError(reason)


def _cluster_id(host: str, port: int, timeout_s: float) -> str | None:
    from aiokafka.protocol.api import RequestHeader_v1
    from aiokafka.protocol.metadata import MetadataRequest_v2, MetadataResponse_v2

    # An empty list asks for no topic; only the brokers and the cluster's id come back.
    request = MetadataRequest_v2([])
    message = RequestHeader_v1(request, correlation_id=1, client_id="tailrace").encode() + request.encode()
    with socket.create_connection((host, port), timeout=timeout_s) as connection:
        connection.sendall(struct.pack(">i", len(message)) + message)
        with connection.makefile("rb") as stream:
            (size,) = struct.unpack(">i", stream.read(4))
            if not 0 < size < RESPONSE_BYTES_MAX:
                raise ValueError("this is no Kafka broker")
            body = stream.read(size)
    response = MetadataResponse_v2.decode(body[4:])
    if not response.brokers:
        raise ValueError("no broker has registered yet")
    return str(response.cluster_id)


def _identity(place: Place, process: ProcessId) -> str:
    del process
    return place.stack_id


KAFKA = Server(
    name="kafka",
    usual_ports=(9092, 9093),
    prepare=_prepare,
    address=_address,
    ask=ask_kafka,
    identity=_identity,
    fix="read the log; tailrace doctor checks Java, memory and the artifacts",
)
