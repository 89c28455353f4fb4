"""Elasticsearch as one node from its Maven artifact, unpacked once and configured per data folder."""

import json
import shutil
from base64 import b64encode
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from tailrace.stack.account import Account, as_account, give, own, own_empty
from tailrace.stack.artifacts import Artifacts, find_java
from tailrace.stack.process import Launch, ProcessId, process_environment
from tailrace.stack.server import Answer, NotAnsweringError, Place, Server

HEAP = ("-Xms1g", "-Xmx1g")
LAUNCHER_HEAP = ("-Xms4m", "-Xmx64m", "-XX:+UseSerialGC")

_SETTINGS = """\
# Written at every start; changes here are lost.
cluster.name: {cluster}
node.name: embedded
discovery.type: single-node
network.host: 127.0.0.1
http.port: {port}
path.data: {folder}/data
path.logs: {folder}/logs
xpack.security.enabled: false
cluster.routing.allocation.disk.threshold_enabled: false
"""
_JVM_OPTIONS = """\
-XX:+UseG1GC
-XX:-UsePerfData
-Djava.io.tmpdir={folder}/tmp
-XX:+ExitOnOutOfMemoryError
-XX:ErrorFile={folder}/logs/hs_err_%p.log
-Dorg.apache.lucene.store.MMapDirectory.sharedArenaMaxPermits=1
20-:--add-modules=jdk.incubator.vector
"""
_LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] [%node_name]%marker %m%consoleException%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


def _prepare(place: Place) -> Launch:
    artifacts = Artifacts(place.cache_dir)
    artifacts.fetch()
    home = artifacts.elasticsearch
    configuration = _configure(place, home)
    scratch = own_empty(place.data / "tmp", place.account)
    java = find_java()
    # What `bin/elasticsearch` would run: a small launcher that reads jvm.options and starts the real server. The
    # script itself is left out because it insists on a writable home and asks the caller's environment.
    argv = (
        *(
            str(java),
            *LAUNCHER_HEAP,
            f"-Djava.io.tmpdir={scratch}",
            "-XX:-UsePerfData",
            "-Dcli.name=server",
            f"-Dcli.script={home}/bin/elasticsearch",
        ),
        *("-Dcli.libs=lib/tools/server-cli", f"-Des.path.home={home}", f"-Des.path.conf={configuration}"),
        *("-Des.distribution.type=zip", "-Des.java.type=JAVA_HOME"),
        *("-cp", f"{home}/lib/*:{home}/lib/cli-launcher/*", "org.elasticsearch.launcher.CliToolLauncher"),
    )
    environment = process_environment(
        {
            "ES_JAVA_HOME": str(java.parent.parent),
            "JAVA_HOME": str(java.parent.parent),
            "ES_JAVA_OPTS": " ".join(HEAP),
            "ES_TMPDIR": str(scratch),
            "ES_PATH_CONF": str(configuration),
            "HOSTNAME": "localhost",
        }
    )
    # The launcher takes the folder it is started in for Elasticsearch's home.
    return Launch(as_account(place.account, argv, reach=(place.data, home)), environment, folder=home)


def _configure(place: Place, home: Path) -> Path:
    folder = own(place.data, place.account)
    configuration = own(folder / "config", place.account)
    for name in ("data", "logs"):
        own(folder / name, place.account)
    values = {"cluster": _cluster_name(place.stack_id), "port": place.ports[0], "folder": folder}
    _write(configuration / "elasticsearch.yml", _SETTINGS.format(**values), place.account)
    _write(configuration / "jvm.options", _JVM_OPTIONS.format(**values), place.account)
    _write(configuration / "log4j2.properties", _LOGGING, place.account)
    for source in (home / "config").iterdir():
        if source.is_file() and not (configuration / source.name).exists():
            shutil.copyfile(source, configuration / source.name)
            give(configuration / source.name, place.account)
    return configuration


def _write(path: Path, text: str, account: Account | None) -> None:
    path.write_text(text, encoding="utf-8")
    give(path, account)


def _cluster_name(stack_id: str) -> str:
    return f"tailrace-{stack_id}"


def _address(place: Place) -> str:
    return f"http://127.0.0.1:{place.ports[0]}"


def ask_elasticsearch(url: str, timeout_s: float) -> Answer:
    """Ask for the cluster's health until it is at least yellow; the identity is the cluster's name.

    Two plain requests: the client would log a warning for each one that a starting server does not answer, and
    `GET /`, the usual question, is not in the distribution we embed.
    """
    try:
        health = _get(url, "_cluster/health?wait_for_status=yellow&timeout=1s", timeout_s)
        nodes = _get(url, "_nodes/_all/http?filter_path=nodes.*.version", timeout_s).get("nodes", {})
    except HTTPError as error:
        error.close()
        # 408 is how the wait for yellow ends in vain.
        raise NotAnsweringError(f"status {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise NotAnsweringError(str(error) or type(error).__name__) from error
    versions = sorted({str(node["version"]) for node in nodes.values()})
    return Answer(version=versions[0] if versions else None, identity=str(health["cluster_name"]))


def _get(url: str, path: str, timeout_s: float) -> dict[str, Any]:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    request = Request(f"{parts.scheme}://{host}{parts.path.rstrip('/')}/{path}")  # noqa: S310 - the scheme is the operator's
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        request.add_header("Authorization", f"Basic {b64encode(credentials).decode('ascii')}")
    # Past any proxy of the environment, as the client goes.
    with build_opener(ProxyHandler({})).open(request, timeout=timeout_s) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def _identity(place: Place, process: ProcessId) -> str:
    del process
    return _cluster_name(place.stack_id)


ELASTICSEARCH = Server(
    name="elasticsearch",
    usual_ports=(9200,),
    prepare=_prepare,
    address=_address,
    ask=ask_elasticsearch,
    identity=_identity,
    fix="read the log; tailrace doctor checks Java, memory and the artifacts",
    stop_timeout_s=60.0,
)
