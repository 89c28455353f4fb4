"""Redis from the system's packages, with an append-only file in the data folder."""

import shutil

from tailrace.errors import PreconditionError
from tailrace.stack.account import as_account, give, own
from tailrace.stack.process import Launch, ProcessId, process_environment
from tailrace.stack.server import Answer, NotAnsweringError, Place, Server

INSTALL_FIX = "apt-get install redis-server"

_SETTINGS = """\
# Written at every start; changes here are lost.
bind 127.0.0.1
port {port}
dir "{folder}"
daemonize no
databases 16
appendonly yes
appendfsync everysec
# A fill writes hundreds of megabytes; each rewrite of the file and each snapshot beside it writes them once more.
auto-aof-rewrite-min-size 256mb
save ""
maxmemory-policy noeviction
"""


def _prepare(place: Place) -> Launch:
    program = shutil.which("redis-server")
    if program is None:
        raise PreconditionError("Redis is not installed", fix=INSTALL_FIX)
    own(place.data, place.account)
    settings = place.data / "redis.conf"
    settings.write_text(_SETTINGS.format(port=place.ports[0], folder=place.data), encoding="utf-8")
    give(settings, place.account)
    argv = as_account(place.account, (program, str(settings)), reach=(place.data,))
    return Launch(argv, process_environment())


def _address(place: Place) -> str:
    return f"redis://127.0.0.1:{place.ports[0]}/0"


def ask_redis(url: str, timeout_s: float) -> Answer:
    """PING and ask who answers; the identity is the server's pid."""
    import redis

    try:
        with redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s) as client:
            client.ping()
            info = client.info("server")
    except redis.RedisError as error:
        raise NotAnsweringError(str(error)) from error
    return Answer(version=str(info["redis_version"]), identity=str(info["process_id"]))


def _identity(place: Place, process: ProcessId) -> str:
    del place
    return str(process.pid)


REDIS = Server(
    name="redis",
    usual_ports=(6379,),
    prepare=_prepare,
    address=_address,
    ask=ask_redis,
    identity=_identity,
    fix="read the log; if the append-only file is damaged: redis-check-aof --fix",
)
