"""What could keep the servers from running here, each with what to do about it."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from tailrace.errors import TailraceError
from tailrace.settings import Settings
from tailrace.stack import postgres, redis
from tailrace.stack.account import server_account
from tailrace.stack.artifacts import Artifacts, find_java, java_major
from tailrace.stack.health import ServerStatus, StackStatus, data_folder, status
from tailrace.stack.launch import port_is_free
from tailrace.stack.names import unknown_names
from tailrace.stack.servers import SERVERS, given_address

GIB = 2**30
DISK_BYTES_MIN = 2 * GIB
DISK_BYTES_GOOD = 10 * GIB
MEMORY_BYTES = {"postgres": GIB, "redis": GIB // 4, "kafka": GIB, "elasticsearch": 3 * GIB // 2}
"""What a server takes under the embedded settings, with room for its data."""
CLOCK_SKEW_MAX_S = 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `fix` says what to do and is None where nothing is wrong."""

    name: str
    state: Literal["ok", "warning", "error"]
    text: str
    fix: str | None = None
    unreachable: bool = False


def diagnose(settings: Settings) -> list[Check]:
    """Look at this machine, the settings and the servers; changes nothing."""
    ours = [name for name in SERVERS if given_address(settings, name) is None]
    seen = status(settings)
    checks = [check_settings()]
    checks += [check(settings) for name, check in _PROGRAMS.items() if name in ours]
    if {"kafka", "elasticsearch"} & set(ours):
        checks += [_java(), _artifacts(settings)]
    if ours:
        checks += [_account(), _memory(ours, seen), _disk(settings), _ports(ours, seen)]
    checks += [_answering(server) for server in seen.servers]
    checks += _elasticsearch_client(seen)
    checks += _clock(settings, seen)
    return checks


def check_settings(refused: Sequence[str] = ()) -> Check:
    """Look for names nobody reads; `refused` is what the settings themselves said about other values."""
    unknown = unknown_names(os.environ, Path.cwd())
    if not unknown and refused:
        return Check("settings", "error", "; ".join(refused), fix="correct the value")
    if not unknown:
        return Check("settings", "ok", "every name is known")
    hints = [f"{name} (did you mean {hint}?)" if hint else name for name, hint in unknown]
    return Check("settings", "error", f"unknown: {', '.join(hints)}", fix="correct or remove the name")


def _postgres_installed(settings: Settings) -> Check:
    programs = postgres.binaries()
    if programs is None:
        return Check("postgresql", "error", "not installed", fix=postgres.INSTALL_FIX)
    made_by = data_folder(settings) / "postgres" / "cluster" / "PG_VERSION"
    version = programs.parent.name
    try:
        found = made_by.read_text(encoding="ascii").strip()
    except OSError:
        found = version
    if found != version:
        fix = f"apt-get install postgresql-{found}, or tailrace down --purge"
        return Check("postgresql", "error", f"installed is {version}, the data was made by {found}", fix=fix)
    return Check("postgresql", "ok", f"{version} in {programs}")


def _redis_installed(settings: Settings) -> Check:
    del settings
    program = shutil.which("redis-server")
    if program is None:
        return Check("redis-server", "error", "not installed", fix=redis.INSTALL_FIX)
    return Check("redis-server", "ok", program)


_PROGRAMS: dict[str, Callable[[Settings], Check]] = {"postgres": _postgres_installed, "redis": _redis_installed}


def _java() -> Check:
    try:
        java = find_java()
    except TailraceError as error:
        return Check("java", "error", str(error), fix=error.fix)
    return Check("java", "ok", f"{java_major(java.parent.parent)} in {java}")


def _artifacts(settings: Settings) -> Check:
    artifacts = Artifacts(settings.cache_dir)
    missing = artifacts.missing()
    if not missing:
        return Check("artifacts", "ok", f"{artifacts.kafka.name} and {artifacts.elasticsearch.name}")
    if shutil.which("mvn") is None:
        text = f"{' and '.join(missing)} not fetched, and no Maven to fetch with"
        return Check("artifacts", "error", text, fix="apt-get install maven, then tailrace up")
    return Check("artifacts", "warning", f"{' and '.join(missing)} not fetched yet", fix="tailrace up fetches them")


def _account() -> Check:
    try:
        account = server_account()
    except TailraceError as error:
        return Check("account", "error", str(error), fix=error.fix)
    if account is None:
        return Check("account", "ok", "servers run as the calling user")
    if shutil.which("setpriv") is None:
        return Check("account", "error", "setpriv is missing", fix="apt-get install util-linux")
    return Check("account", "ok", f"servers run as {account.name}")


def _memory(ours: list[str], seen: StackStatus) -> Check:
    running = {server.name for server in seen.servers if server.pid is not None}
    needed = sum(MEMORY_BYTES[name] for name in ours if name not in running)
    available = _available_memory_bytes()
    text = f"{available / GIB:.1f} GiB available, {needed / GIB:.1f} GiB needed for what does not run yet"
    if available < needed:
        return Check("memory", "warning", text, fix="stop something, or tailrace up --only kafka,postgres")
    return Check("memory", "ok", text)


def _available_memory_bytes() -> int:
    """What the machine, or the container around us if that is less, can still give."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    available = int(next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))) * 1024
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return available
    return min(available, limit - used)


def _disk(settings: Settings) -> Check:
    folder = data_folder(settings)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free / GIB:.1f} GiB free for {folder}"
    if free >= DISK_BYTES_GOOD:
        return Check("disk", "ok", text)
    fix = "make room, or set TAILRACE_DATA_DIR to another disk"
    return Check("disk", "warning" if free >= DISK_BYTES_MIN else "error", text, fix=fix)


def _ports(ours: list[str], seen: StackStatus) -> Check:
    running = {server.name for server in seen.servers if server.pid is not None}
    waiting = [SERVERS[name] for name in ours if name not in running]
    taken = [f"{port} ({server.name})" for server in waiting for port in server.usual_ports if not port_is_free(port)]
    if taken:
        return Check("ports", "ok", f"taken by others: {', '.join(taken)}; the next free ones will be used")
    return Check("ports", "ok", "free, or held by our servers")


def _answering(server: ServerStatus) -> Check:
    if server.answers:
        version = f"{server.version}, " if server.version else ""
        return Check(server.name, "ok", f"{version}answers in {(server.seconds or 0) * 1000:.0f} ms")
    reason = f": {server.detail}" if server.detail else ""
    fixes = {
        "stopped": f"tailrace up --only {server.name}",
        "crashed": "tailrace up",
        "unreachable": "read its log; then tailrace down and tailrace up"
        if server.pid
        else "start it, or take its address out of the settings",
    }
    return Check(server.name, "error", f"{server.health}{reason}", fix=fixes[server.health], unreachable=True)


def _elasticsearch_client(seen: StackStatus) -> Iterator[Check]:
    client = metadata.version("elasticsearch")
    server = next(server.version for server in seen.servers if server.name == "elasticsearch")
    if server is None:
        return
    text = f"client {client}, server {server}"
    if client.split(".")[0] == server.split(".")[0]:
        yield Check("elasticsearch client", "ok", text)
    else:
        major = int(server.split(".")[0])
        fix = f"pip install 'elasticsearch>={major},<{major + 1}'"
        yield Check("elasticsearch client", "error", f"{text}: their majors must be equal", fix=fix)


def _clock(settings: Settings, seen: StackStatus) -> Iterator[Check]:
    """Compare with PostgreSQL's clock: it and the broker stamp what the rules compare with event times."""
    import psycopg

    from tailrace.addresses import resolve

    if not any(server.name == "postgres" and server.answers for server in seen.servers):
        return
    with psycopg.connect(resolve(settings).postgres, connect_timeout=5, autocommit=True) as connection:
        before = time.time()
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        after = time.time()
    skew = abs(float(row[0]) - (before + after) / 2) if row else 0.0
    text = f"differs from PostgreSQL's by {skew * 1000:.0f} ms"
    if skew <= CLOCK_SKEW_MAX_S:
        yield Check("clock", "ok", text)
    else:
        yield Check("clock", "warning", text, fix="synchronise the clocks (chrony, ntpd)")
