"""PostgreSQL from the system's packages, in a cluster of its own that only this machine can reach."""

import os
import secrets
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tailrace.errors import PreconditionError
from tailrace.stack.account import Account, as_account, give, own
from tailrace.stack.process import Launch, ProcessId, identify, process_environment, stop
from tailrace.stack.server import Answer, NotAnsweringError, Place, Server

DATABASE = "tailrace"
USER = "tailrace"
INSTALL_FIX = "apt-get install postgresql"
PREPARE_TIMEOUT_S = 120
ORPHAN_TIMEOUT_S = 5.0
PID_THAT_CANNOT_BE = 2**22 + 1
"""Linux gives none above 2^22."""
SHARED_MEMORY_BYTES_MIN = 512 * 2**20

_SETTINGS = """\
# Written at every start; changes here are lost.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
max_locks_per_transaction = 256
shared_buffers = 512MB
dynamic_shared_memory_type = {shared_memory}
wal_level = replica
max_wal_size = 4GB
checkpoint_timeout = 15min
fsync = on
jit = off
autovacuum = on
password_encryption = scram-sha-256
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
"""
_ACCESS = """\
# Written at every start; changes here are lost.
host  all          all  127.0.0.1/32  scram-sha-256
host  replication  all  127.0.0.1/32  scram-sha-256
"""


def binaries() -> Path | None:
    """Folder of the newest installed server's programs (Debian keeps them off PATH)."""
    versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if versions:
        return max(versions, key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _prepare(place: Place) -> Launch:
    programs = binaries()
    if programs is None:
        raise PreconditionError("PostgreSQL is not installed", fix=INSTALL_FIX)
    own(place.data, place.account)
    cluster = place.data / "cluster"
    if not cluster.exists():
        _create(place, programs, cluster)
    _check_version(programs, cluster)
    clear_after_crash(cluster)
    settings = _SETTINGS.format(port=place.ports[0], shared_memory=_shared_memory_type())
    for name, text in (("postgresql.conf", settings), ("pg_hba.conf", _ACCESS)):
        (cluster / name).write_text(text, encoding="utf-8")
        give(cluster / name, place.account)
    argv = as_account(place.account, (str(programs / "postgres"), "-D", str(cluster)), reach=(place.data,))
    return Launch(argv, process_environment())


def _create(place: Place, programs: Path, cluster: Path) -> None:
    """Make the cluster and its database under another name first: a half-made one must not look finished."""
    password = secrets.token_urlsafe(24)
    fresh = place.data / "cluster.new"
    if fresh.exists():
        shutil.rmtree(fresh)
    secret = _password_file(place)
    _write_secret(secret, password, place.account)
    initdb = (
        *(str(programs / "initdb"), "--pgdata", str(fresh), "--username", USER, "--pwfile", str(secret)),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--data-checksums"),
    )
    _run(place, initdb, "")
    single = (str(programs / "postgres"), "--single", "-D", str(fresh), "template1")
    _run(place, single, f"CREATE DATABASE {DATABASE}\n")
    fresh.rename(cluster)


def _run(place: Place, argv: tuple[str, ...], text: str) -> None:
    with place.log.open("ab") as log:
        done = subprocess.run(
            as_account(place.account, argv, reach=(place.data,)),
            input=text.encode(),
            stdout=log,
            stderr=subprocess.STDOUT,
            env=process_environment(),
            cwd="/",
            timeout=PREPARE_TIMEOUT_S,
            check=False,
        )
    if done.returncode != 0:
        raise NotAnsweringError(f"{Path(argv[0]).name} ended with {done.returncode}")


def _check_version(programs: Path, cluster: Path) -> None:
    made_by = (cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    installed = programs.parent.name
    if installed.isdigit() and made_by != installed:
        raise PreconditionError(
            f"the data in {cluster} was made by PostgreSQL {made_by}, installed is {installed}",
            fix=f"apt-get install postgresql-{made_by}, or tailrace down --purge and start again",
        )


def clear_after_crash(cluster: Path) -> None:
    """Clear away what a killed postmaster left behind; does nothing while one runs on this cluster.

    Its backends live on until their statement ends and keep the next server from starting. And it may itself stay
    a zombie where nobody reaps (PID 1 of many containers), or its pid be another process' by now: both look alive to
    PostgreSQL. The lock file is kept, with a pid that cannot exist, because it also names the shared memory that
    PostgreSQL checks before it trusts that nobody is left.
    """
    lock = cluster / "postmaster.pid"
    try:
        pid, rest = lock.read_text(encoding="utf-8").split("\n", 1)
    except FileNotFoundError:
        return
    working = _processes_in(cluster)
    if int(pid) in working:
        return
    for orphan in working.values():
        stop(orphan, signal.SIGKILL, timeout_s=ORPHAN_TIMEOUT_S)
    lock.write_text(f"{PID_THAT_CANNOT_BE}\n{rest}", encoding="utf-8")


def _processes_in(folder: Path) -> dict[int, ProcessId]:
    """Living processes whose working folder this is: a cluster's own are in its folder, and nobody else is."""
    found: dict[int, ProcessId] = {}
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if link.readlink() == folder and (process := identify(int(link.parent.name))):
                found[process.pid] = process
    return found


def _shared_memory_type() -> str:
    """Containers often give `/dev/shm` 64 MiB, which parallel queries overrun."""
    try:
        room = os.statvfs("/dev/shm")  # noqa: S108 - asked for its size, nothing is written there
    except OSError:
        return "mmap"
    return "posix" if room.f_bavail * room.f_frsize >= SHARED_MEMORY_BYTES_MIN else "mmap"


def _password_file(place: Place) -> Path:
    return place.data / "password"


def _write_secret(path: Path, secret: str, account: Account | None) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secret)
    give(path, account)


def _address(place: Place) -> str:
    password = _password_file(place).read_text(encoding="ascii")
    return f"postgresql://{USER}:{password}@127.0.0.1:{place.ports[0]}/{DATABASE}"


def ask_postgres(dsn: str, timeout_s: float) -> Answer:
    """Connect and select; returns the server's version."""
    import psycopg

    try:
        with psycopg.connect(dsn, connect_timeout=max(2, round(timeout_s)), autocommit=True) as connection:
            row = connection.execute("SELECT current_setting('server_version')").fetchone()
    except psycopg.Error as error:
        raise NotAnsweringError(str(error).strip().splitlines()[-1]) from error
    return Answer(version=str(row[0]).split()[0] if row else None)


def _identity(place: Place, process: ProcessId) -> None:
    """Nobody else's server knows the random password, so an answer is proof enough."""
    del place, process


POSTGRES = Server(
    name="postgres",
    usual_ports=(5432,),
    prepare=_prepare,
    address=_address,
    ask=ask_postgres,
    identity=_identity,
    fix="read the log; if the data is damaged: tailrace down --purge",
    # Fast shutdown: sessions are ended, the checkpoint is written.
    stop_signal=signal.SIGINT,
    stop_timeout_s=60.0,
)
