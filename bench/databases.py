"""Databases of the benchmark: made, migrated, filled on the server's side, and dropped."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date

import psycopg
from event_log import START, EventLog
from psycopg import sql
from pydantic import SecretStr

from tailrace.months.keeper import ensure_partitions
from tailrace.operations.migrations import migrate
from tailrace.settings import Settings


class Server:
    """The PostgreSQL server; `dsn` names an account that may make databases."""

    def __init__(self, dsn: str, settings: Settings) -> None:
        self._dsn = dsn
        self._settings = settings

    def dsn(self, database: str) -> str:
        return psycopg.conninfo.make_conninfo(self._dsn, dbname=database)

    def url(self, database: str) -> str:
        """The address as the worker's settings take it."""
        return f"{self._dsn.rpartition('/')[0]}/{database}"

    def connect(self, database: str | None = None) -> psycopg.Connection:
        return psycopg.connect(self.dsn(database) if database else self._dsn, autocommit=True)

    def make(self, database: str, log: EventLog) -> None:
        """Make a migrated database with the months that the log needs."""
        self.drop(database)
        with self.connect() as conn:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        self.extend(database, log.months)

    def extend(self, database: str, months: Iterable[date]) -> None:
        """Migrate the database and make months."""
        dsn = SecretStr(self.dsn(database))
        settings = self._settings.model_copy(
            update={"postgres": self._settings.postgres.model_copy(update={"dsn": dsn})}
        )
        with self.connect(database) as conn:
            migrate(conn, settings)
            ensure_partitions(conn, settings, now=START, extra_months=months)

    def copy(self, database: str, template: str) -> None:
        """Make a database as a copy of files: the other way writes all of it to the WAL first."""
        self.drop(database)
        names = sql.Identifier(database), sql.Identifier(template)
        with self.connect() as conn:
            conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(*names))

    def settle(self) -> None:
        """Checkpoint, so that every run begins with the same debt of full-page writes."""
        with self.connect() as conn:
            conn.execute("CHECKPOINT")

    def drop(self, database: str) -> None:
        with self.connect() as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    @contextmanager
    def made(self, database: str, log: EventLog) -> Iterator[str]:
        """A migrated database that is dropped at the end."""
        self.make(database, log)
        try:
            yield database
        finally:
            self.drop(database)

    def messages(self, database: str) -> int:
        """How many messages are stored."""
        with self.connect(database) as conn:
            row = conn.execute("SELECT count(*) FROM collab.messages").fetchone()
            return 0 if row is None else int(row[0])
