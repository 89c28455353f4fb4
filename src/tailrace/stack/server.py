"""What the lifecycle knows about a server: one value per kind, the same shape for all four."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tailrace.stack.account import Account
from tailrace.stack.process import Launch, ProcessId


class NotAnsweringError(Exception):
    """A server gave no answer to a real request; the message is short and holds no secrets."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one server of one stack lives. Everything it writes is under `root`."""

    root: Path
    name: str
    ports: tuple[int, ...]
    stack_id: str
    cache_dir: Path
    account: Account | None

    @property
    def data(self) -> Path:
        """The server's own folder, owned by the account it runs under."""
        return self.root / self.name

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.root / "logs" / f"{self.name}.log"


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer to a real request; `identity` tells our server from another one on the same port."""

    version: str | None
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """One kind of server.

    `prepare` makes folders and configuration (at first also the data) and may be repeated; `ask(address, timeout_s)`
    sends a real request and raises NotAnsweringError; `identity` is what `ask` must return as identity if the answer
    comes from the server that was started. `fix` is said when a start fails.
    """

    name: str
    usual_ports: tuple[int, ...]
    prepare: Callable[[Place], Launch]
    address: Callable[[Place], str]
    ask: Callable[[str, float], Answer]
    identity: Callable[[Place, ProcessId], str | None]
    fix: str
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 30.0
