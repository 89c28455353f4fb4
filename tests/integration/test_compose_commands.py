"""What compose/compose.yaml starts, started here: exact commands and health checks, but for addresses and paths.

Our own services run through the PgBouncer of compose/, on the run's servers; of PostgreSQL the settings are looked up.
"""

import asyncio
import os
import re
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from composed import FOLDER, composed, make_secrets, own_services, unescaped
from psycopg.conninfo import conninfo_to_dict
from worker_process import command

from tailrace.addresses import resolve
from tailrace.settings import Settings

SERVICES: dict[str, dict[str, Any]] = composed()["services"]
ONCE = ("migrate", "topics")
RUN_S = 90
CHECKS_MAX, CHECK_EVERY_S = 60, 1.0
ACCOUNT = "nobody"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def inside() -> Iterator[Path]:
    """A folder that stands for the places inside containers; others may read it, since servers are not run as root."""
    folder = Path(tempfile.mkdtemp(prefix="tailrace-compose-"))
    folder.chmod(0o755)
    make_secrets(folder / "secrets")
    (folder / "secrets").chmod(0o755)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def here(text: str, folder: Path) -> str:
    """The text as the container gets it, with its paths in our folder."""
    places = {"run/secrets": "secrets", "etc": "etc", "tmp": "tmp"}
    return re.sub(r"(?<![\w/-])/(run/secrets|etc|tmp)/", lambda at: f"{folder}/{places[at[1]]}/", unescaped(text))


async def ran(argv: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    """Run to the end; gives the exit code."""
    async with started(argv, environment, log) as process, asyncio.timeout(RUN_S):
        return await process.wait()


@asynccontextmanager
async def started(
    argv: Sequence[str], environment: Mapping[str, str], log: Path, **more: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(*argv, env=environment, stdout=output, stderr=output, **more)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        async with asyncio.timeout(60):
            await process.wait()


async def becomes_healthy(name: str, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Ask as often as it takes; what is asked and what answers are both in the log."""
    for _ in range(CHECKS_MAX):
        if await ran(argv, environment, log.with_suffix(".health")) == 0:
            return
        await asyncio.sleep(CHECK_EVERY_S)
    raise AssertionError(f"{name} did not become healthy: read {log}")


def check_of(name: str) -> list[str]:
    """The health check as an argument list."""
    kind, *rest = SERVICES[name]["healthcheck"]["test"]
    return rest if kind == "CMD" else ["sh", "-c", *rest]


@pytest.mark.slow
@pytest.mark.timeout(280)
async def test_every_service_of_ours_starts_and_becomes_healthy(
    settings: Settings, elasticsearch_url: str, inside: Path
):
    server = conninfo_to_dict(resolve(settings).postgres)
    (inside / "secrets" / "postgres_password").write_text(str(server["password"]))
    async with AsyncExitStack() as running:
        pooled = await running.enter_async_context(pgbouncer(server, inside))
        addresses = {
            "database_url": f"postgresql://{pooled}/tailrace",
            "database_url_direct": resolve(settings).postgres,
            "redis_url": resolve(settings).redis,
        }
        for name, address in addresses.items():
            (inside / "secrets" / name).write_text(address)
        for name in ONCE:
            assert await ran(*of_ours(name, settings, inside)) == 0, (inside / f"{name}.log").read_text()
        lasting = [name for name in own_services() if name not in ONCE]
        ready = []
        for name in lasting:
            argv, environment, log = of_ours(name, settings, inside)
            process = await running.enter_async_context(started(argv, environment, log))
            check = command(*check_of(name)[1:])
            ready.append((name, process, becomes_healthy(name, check, environment, log)))
        await asyncio.gather(*(healthy for _, _, healthy in ready))

        assert {name: process.returncode for name, process, _ in ready} == dict.fromkeys(lasting)


def of_ours(name: str, settings: Settings, folder: Path) -> tuple[list[str], dict[str, str], Path]:
    """Command, environment and log of a service."""
    service = SERVICES[name]
    environment = {variable: here(value, folder) for variable, value in service["environment"].items()}
    port = str(free_port())
    argv = [port if argument == "8460" else argument for argument in service["command"]]
    names = {
        "TAILRACE_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "TAILRACE_KAFKA__GROUP_PREFIX": settings.kafka.group_prefix,
        "TAILRACE_REDIS__KEY_PREFIX": settings.redis.key_prefix,
        "TAILRACE_ELASTICSEARCH__INDEX_PREFIX": settings.elasticsearch.index_prefix,
    }
    given = {"TAILRACE_KAFKA__BOOTSTRAP_SERVERS": resolve(settings).kafka}
    if "TAILRACE_ELASTICSEARCH__URL" in environment:
        given["TAILRACE_ELASTICSEARCH__URL"] = resolve(settings).elasticsearch
    if "TAILRACE_HEALTH__PORT" in environment:
        given["TAILRACE_HEALTH__PORT"] = port
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TAILRACE_", "DATABASE_"))}
    return command(*argv), inherited | environment | names | given, folder / f"{name}.log"


@asynccontextmanager
async def pgbouncer(server: Mapping[str, Any], folder: Path) -> AsyncIterator[str]:
    """The PgBouncer of compose/, with its script and file; gives `user:password@host:port`."""
    port = free_port()
    (folder / "etc" / "pgbouncer").mkdir(parents=True)
    file = (FOLDER / "pgbouncer" / "pgbouncer.ini").read_text()
    file = file.replace("host=postgres port=5432 dbname=tailrace", "host={host} port={port} dbname={dbname}")
    file = here(file.format(**server), folder).replace("listen_port = 6432", f"listen_port = {port}")
    (folder / "etc" / "pgbouncer" / "pgbouncer.ini").write_text(file)
    script = here((FOLDER / "pgbouncer" / "run.sh").read_text(), folder)
    as_nobody = ["setpriv", f"--reuid={ACCOUNT}", "--clear-groups"]
    log = folder / "pgbouncer.log"
    check = [argument.replace("6432", str(port)) for argument in check_of("pgbouncer")]
    async with started([*as_nobody, "sh", "-c", script], os.environ, log, cwd="/"):
        await becomes_healthy("pgbouncer", check, os.environ, log)
        yield f"tailrace:{server['password']}@127.0.0.1:{port}"


@pytest.mark.slow
async def test_redis_starts_with_its_password_and_keeps_both_kinds_of_files(inside: Path):
    port = free_port()
    (inside / "etc" / "redis").mkdir(parents=True)
    own = f"{(FOLDER / 'redis' / 'redis.conf').read_text()}\nport {port}\ndir {inside / 'tmp'}\n"
    (inside / "etc" / "redis" / "redis.conf").write_text(own)
    argv = [here(argument, inside) for argument in SERVICES["redis"]["command"]]
    check = [here(part, inside).replace("redis-cli", f"redis-cli -p {port}") for part in check_of("redis")]
    log = inside / "redis.log"
    async with started(argv, os.environ, log):
        await becomes_healthy("redis", check, os.environ, log)
        password = {"REDISCLI_AUTH": (inside / "secrets" / "redis_password").read_text()}
        asked = ["redis-cli", "-p", str(port), "config", "get", "appendonly"]
        await ran(asked, os.environ | password, inside / "appendonly")
        await ran(["redis-cli", "-p", str(port), "ping"], os.environ, inside / "stranger")

    assert "yes" in (inside / "appendonly").read_text()
    assert "NOAUTH" in (inside / "stranger").read_text()
    assert (inside / "tmp" / "dump.rdb").exists()
    assert (inside / "tmp" / "appendonlydir").exists()


def test_postgresql_knows_every_setting_that_it_is_started_with(settings: Settings):
    given = dict(flag.removeprefix("-c").split("=") for flag in SERVICES["postgres"]["command"][1:])
    with psycopg.connect(resolve(settings).postgres) as conn:
        known = dict(
            conn.execute("SELECT lower(name), vartype FROM pg_settings WHERE lower(name) = ANY (%s)", [list(given)])
        )
        numbers = [value for name, value in given.items() if known[name] in {"integer", "real"}]

    assert known.keys() == given.keys()
    assert all(re.fullmatch(r"[\d.]+(kB|MB|GB|ms|s|min)?", value) for value in numbers)
