"""The unprivileged account the servers run under when the command line is root's.

PostgreSQL and Elasticsearch refuse to run as root. Their folders may lie under a parent that only root may enter
(`/root` in most containers); opening that parent to everybody is not ours to do, so the process keeps the one
capability that lets it pass.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import PreconditionError

ACCOUNTS = ("postgres", "nobody")
_CAPABILITIES = (("dac_read_search", 2), ("dac_override", 1))
"""Name and bit (capabilities(7)); the first is the smaller right, the second is what Docker grants by default."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user the servers run as."""

    name: str
    uid: int
    gid: int


def server_account() -> Account | None:
    """The account to change to; None if the command line is not root's and servers simply run as its user."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise PreconditionError("no unprivileged account for the servers", fix="apt-get install postgresql")


def as_account(account: Account | None, argv: Sequence[str], *, reach: Sequence[Path] = ()) -> tuple[str, ...]:
    """Put the change of account in front of a command that must be able to enter every folder of `reach`."""
    if account is None:
        return tuple(argv)
    drop = ("setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups")
    if all(_can_enter(drop, path) for path in reach):
        return (*drop, "--inh-caps=-all", "--", *argv)
    name = _capability_to_pass()
    if name is None:
        raise PreconditionError(
            f"user {account.name} cannot enter {' or '.join(map(str, reach))}",
            fix="set TAILRACE_DATA_DIR and TAILRACE_CACHE_DIR to folders that every user may enter",
        )
    # Without the bit, access(2) (Java asks it before it opens a file) leaves the capability out of account.
    keep = (f"--inh-caps=-all,+{name}", f"--ambient-caps=-all,+{name}", "--securebits=+no_setuid_fixup")
    return (*drop, *keep, "--", *argv)


def own(path: Path, account: Account | None) -> Path:
    """Make a folder that only the servers' account may read."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None and path.stat().st_uid != account.uid:
        os.chown(path, account.uid, account.gid)
    return path


def own_empty(path: Path, account: Account | None) -> Path:
    """Make such a folder without what an earlier process left in it."""
    shutil.rmtree(path, ignore_errors=True)
    return own(path, account)


def give(path: Path, account: Account | None) -> None:
    """Hand one file over to the servers' account."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def _can_enter(drop: Sequence[str], path: Path) -> bool:
    return subprocess.run((*drop, "--", "test", "-x", str(path)), check=False, cwd="/").returncode == 0


def _capability_to_pass() -> str | None:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    return next((name for name, bit in _CAPABILITIES if effective >> bit & 1), None)
