"""Where the servers are: what the settings say, else what `tailrace up` wrote down."""

from dataclasses import dataclass

from tailrace.errors import UnreachableError
from tailrace.settings import Settings
from tailrace.stack.health import data_folder
from tailrace.stack.process import is_alive
from tailrace.stack.servers import given_address
from tailrace.stack.state import load_state


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses, looked up one by one when they are asked for.

    A command that needs only Kafka must not fail because Redis is not there. Each property raises
    UnreachableError if the settings name no server and no embedded one runs. The DSNs hold passwords.
    """

    settings: Settings

    @property
    def kafka(self) -> str:
        """`host:port,…`."""
        return self._find("kafka")

    @property
    def postgres(self) -> str:
        """DSN of the primary, `postgresql://user:password@host:port/database`."""
        return self._find("postgres")

    @property
    def postgres_ro(self) -> str:
        """DSN for reading: the replica's if the settings name one, else the primary's."""
        given = self.settings.postgres.dsn_ro or self.settings.database_url_ro
        return given.get_secret_value() if given is not None else self.postgres

    @property
    def redis(self) -> str:
        """`redis://host:port/database`."""
        return self._find("redis")

    @property
    def elasticsearch(self) -> str:
        """`http://host:port`."""
        return self._find("elasticsearch")

    def _find(self, name: str) -> str:
        given = given_address(self.settings, name)
        if given is not None:
            return given
        data_dir = data_folder(self.settings)
        state = load_state(data_dir)
        record = state.servers.get(name) if state else None
        # A crashed server that is being brought back keeps its address: its clients retry.
        if state and record and record.wanted and (is_alive(record.process) or is_alive(state.watcher)):
            return record.address
        raise UnreachableError(f"{name} is not running in {data_dir}", fix="tailrace up")


def resolve(settings: Settings) -> Addresses:
    """Addresses of the four servers; nothing is looked up yet."""
    return Addresses(settings)
