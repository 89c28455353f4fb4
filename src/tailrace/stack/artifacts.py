"""Kafka and Elasticsearch from Maven artifacts: fetched once per machine, unpacked once, shared by all stacks."""

import fcntl
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree as ET

from tailrace.errors import PreconditionError, UnreachableError

FETCH_TIMEOUT_S = 900
JAVA_MAJOR_MIN = 17
COMPLETE = ".complete"
"""File written last into a finished folder; it holds the size of the folder's files in bytes."""


def pinned_versions() -> dict[str, str]:
    """Versions of Kafka and Elasticsearch from `pom.xml`, by name."""
    text = resources.files("tailrace.stack").joinpath("pom.xml").read_text(encoding="utf-8")
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    root = ET.fromstring(text)  # noqa: S314 - our own file from our own package
    return {name: root.findtext(f"m:properties/m:{name}.version", "", space) for name in ("kafka", "elasticsearch")}


class Artifacts:
    """Where the artifacts of this version of Tailrace are, under `cache_dir`; `fetch()` brings what is missing."""

    def __init__(self, cache_dir: Path) -> None:
        self.versions = pinned_versions()
        self.root = cache_dir.expanduser().resolve() / "servers"
        self.kafka = self.root / f"kafka-{self.versions['kafka']}"
        self.elasticsearch = self.root / f"elasticsearch-{self.versions['elasticsearch']}"

    def missing(self) -> list[str]:
        """Names of what is not there or not whole."""
        return [path.name for path in (self.kafka, self.elasticsearch) if not _is_complete(path)]

    def fetch(self) -> bool:
        """Fetch and unpack what is missing; False if nothing was. Raises UnreachableError if the fetch fails."""
        if not self.missing():
            return False
        self.root.mkdir(parents=True, exist_ok=True)
        with _exclusive(self.root / ".lock"):
            if not self.missing():
                return False
            incoming = self.root / f".incoming-{os.getpid()}"
            try:
                _run_maven(incoming)
                _install(incoming / self.kafka.name, self.kafka)
                _unpack(incoming / f"{self.elasticsearch.name}.zip", incoming / "unpacked")
                _install(incoming / "unpacked" / self.elasticsearch.name, self.elasticsearch)
            finally:
                shutil.rmtree(incoming, ignore_errors=True)
        return True


def find_java() -> Path:
    """The `java` program to run the servers with; raises PreconditionError if none is new enough."""
    for home in _java_homes():
        if (java := home / "bin" / "java").exists() and (java_major(home) or 0) >= JAVA_MAJOR_MIN:
            return java
    raise PreconditionError(
        f"no Java {JAVA_MAJOR_MIN} or newer", fix="apt-get install openjdk-17-jre-headless, or set JAVA_HOME"
    )


def java_major(home: Path) -> int | None:
    """Major version from the `release` file that every JDK and JRE since 8 carries; None if there is none."""
    try:
        text = (home / "release").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.MULTILINE)
    return int(found[1]) if found else None


def _java_homes() -> Iterator[Path]:
    """Candidates; the version the servers were tried with comes first."""
    yield from sorted(Path("/usr/lib/jvm").glob("java-17-*"))
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if found := shutil.which("java"):
        yield Path(found).resolve().parent.parent
    yield from sorted(Path("/usr/lib/jvm").glob("*"))


def _run_maven(target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise PreconditionError("Maven is needed to fetch Kafka and Elasticsearch", fix="apt-get install maven")
    with resources.as_file(resources.files("tailrace.stack").joinpath("pom.xml")) as pom:
        argv = (maven, "-q", "-B", "-f", str(pom), f"-Dtarget={target}", "process-resources")
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(
                f"Maven did not finish within {FETCH_TIMEOUT_S} s", fix="check the network and Maven's settings.xml"
            ) from error
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if "ERROR" in line][:3]
        raise UnreachableError(
            "Maven could not fetch Kafka and Elasticsearch\n" + "\n".join(lines),
            fix="check the network and Maven's settings.xml",
        )


def _unpack(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(target)


def _install(fresh: Path, final: Path) -> None:
    """Make a folder readable for the servers' account, mark it whole and put it in place in one step."""
    for path in (fresh, *fresh.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (fresh / COMPLETE).write_text(str(_bytes_in(fresh)), encoding="ascii")
    if final.exists():
        shutil.rmtree(final)
    fresh.rename(final)


def _is_complete(path: Path) -> bool:
    try:
        return int((path / COMPLETE).read_text(encoding="ascii")) == _bytes_in(path)
    except (OSError, ValueError):
        return False


def _bytes_in(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and file.name != COMPLETE)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Let one process fetch at a time; the others wait for it (bounded by its Maven's time limit)."""
    with path.open("w", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
