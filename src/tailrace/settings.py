"""Every setting, with its default and its unit in the name or the description.

Order of precedence: environment > `.env` > `tailrace.toml` > default. The prefix is `TAILRACE_`, nesting is `__`,
`DATABASE_URL` and `DATABASE_URL_RO` are honoured, and every secret may be given as a path in `…_FILE`.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

Name = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,40}$")]
TopicPrefix = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,60}$")]


def _expand(path: Any) -> Any:
    return Path(path).expanduser() if isinstance(path, str) else path


STATEMENTS_PREPARED_MAX = 100


def _content(path: Any) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from None


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _from_files(cls, values: Any) -> Any:
        """Read `…_file` of a secret, from the environment or a file of settings; the secret itself counts more."""
        if not isinstance(values, dict):
            return values
        files = {name: f"{name}_file" for name in cls.model_fields if values.get(f"{name}_file")}
        read = {name: _content(values[file]) for name, file in files.items() if values.get(name) is None}
        return {name: value for name, value in values.items() if name not in files.values()} | read


class KafkaSettings(_Section):
    """Where the log is and how its topics are named and cut."""

    bootstrap_servers: str | None = Field(None, description="host:port,…; empty: the embedded broker")
    topic_prefix: TopicPrefix = Field("collab.", description="in front of every topic's name")
    group_prefix: TopicPrefix = Field("tailrace.", description="in front of every consumer group's name")
    partitions: int = Field(8, ge=1, le=1024, description="of conversations, directory, files, activity, signals")
    partitions_small: int = Field(4, ge=1, le=1024, description="of the derived topics, inbound and dead-letters")
    replication_factor: int = Field(1, ge=1, le=9)
    session_timeout_ms: int = Field(10_000, ge=6_000)
    rebalance_timeout_ms: int = Field(60_000, ge=10_000)
    request_timeout_ms: int = Field(20_000, ge=1_000)


class PostgresSettings(_Section):
    """Where the read models are and what their schemas are called."""

    dsn: SecretStr | None = Field(None, description="empty: DATABASE_URL, else the embedded server")
    dsn_ro: SecretStr | None = Field(None, description="empty: DATABASE_URL_RO, else the same as dsn")
    schema_collab: Name = "collab"
    schema_analytics: Name = "analytics"
    schema_runtime: Name = "runtime"
    connect_timeout_s: float = Field(10, gt=0)
    statement_timeout_ms: int = Field(60_000, ge=1_000)
    lock_timeout_ms: int = Field(10_000, ge=100)
    synchronous_commit: bool = True
    pooled: bool = Field(default=False, description="behind PgBouncer in transaction mode: keep nothing prepared")

    @property
    def statement_cache_size(self) -> int:
        """Statements that a connection keeps prepared; behind a pooler the next one goes to another session."""
        return 0 if self.pooled else STATEMENTS_PREPARED_MAX


class RedisSettings(_Section):
    """Where the caches are."""

    url: SecretStr | None = Field(None, description="redis://…; empty: the embedded server")
    key_prefix: str = ""
    cluster: bool = False


class ElasticsearchSettings(_Section):
    """Where the search indices are."""

    url: SecretStr | None = Field(None, description="http://…; empty: the embedded server")
    index_prefix: str = Field("", pattern=r"^([a-z0-9][a-z0-9_.-]{0,60})?$")
    shards: int = Field(5, ge=1, le=100, description="of each index")
    replicas: int | None = Field(None, ge=0, le=9, description="empty: 0 on the embedded server, else 1")
    refresh_interval_s: int = Field(5, ge=1, le=300)
    request_timeout_s: float = Field(60, gt=0)
    bulk_max_documents: int = Field(5_000, ge=1, le=50_000, description="in one request")
    bulk_max_bytes: int = Field(8 * 2**20, ge=2**20, description="in one request, one document more at most")
    index_interval_ms: int = Field(250, ge=0, description="small batches are at least this far apart")
    inline_max: int = Field(2_000, ge=0, description="documents one name may touch in a batch; more become a job")
    job_documents_per_s: int = Field(5_000, ge=1, description="pace of renames, moves and rebuilds in one process")
    own_index_members: int = Field(10_000, ge=1, description="above: the workspace gets an index of its own")
    own_index_members_low: int = Field(9_000, ge=0, description="below: it goes back to its shared index")


class WorkerSettings(_Section):
    """Bounds of one worker process."""

    batch_max_events: int = Field(5_000, ge=1, le=50_000)
    batch_max_bytes: int = Field(16 * 2**20, ge=2**20, description="of undecoded records held for one batch")
    batch_max_age_ms: int = Field(200, ge=1, description="a batch that is not full is applied after this")
    batches_in_flight_max: int = Field(
        1, ge=1, le=8, description="decoded batches waiting behind the one being applied"
    )
    drain_timeout_s: float = Field(20, gt=0, description="time for the open batch on SIGTERM or a rebalance")
    retry_max_attempts: int = Field(8, ge=1, description="of one transaction before its partitions are halted")
    retry_wait_max_s: float = Field(10, gt=0)
    parking_limit_s: int = Field(7 * 86_400, ge=1, description="a parked event older than this is a dead letter")
    dead_letter_run_max: int = Field(100, ge=1, description="more own-fault refusals in a row stop a worker")
    dead_letter_share_max: float = Field(
        0.05, gt=0, le=1, description="more of the last dead_letter_window_events refused by own faults stop a worker"
    )
    dead_letter_window_events: int = Field(10_000, ge=1, le=1_000_000)
    stall_timeout_s: float = Field(120, gt=0, description="no progress with lag for this long: the process exits")


class StreamSettings(_Section):
    """Bounds of one process of streams."""

    batch_max_events: int = Field(1_000, ge=1, le=50_000, description="taken, folded and sent together")
    batch_max_age_ms: int = Field(50, ge=1, description="a batch that is not full is folded after this")
    buffer_max_events: int = Field(16_384, ge=1, description="fetched and not folded yet, of one stream")
    commit_interval_ms: int = Field(1_000, ge=100, description="so much is read again, at most, after a kill")
    send_timeout_s: float = Field(60, gt=0, description="of one batch's outputs; longer counts as an outage")
    outage_max_s: float = Field(900, ge=0, description="how long a running stream waits for a broker that went away")
    stall_timeout_s: float = Field(120, gt=0, description="no progress with lag, or a hung loop: the process exits")


class PartitionSettings(_Section):
    """How far ahead monthly partitions are made."""

    months_ahead: int = Field(3, ge=1, le=24)
    months_behind: int = Field(1, ge=0, le=24)


class HttpSettings(_Section):
    """Who may use the HTTP way in."""

    token: SecretStr | None = Field(None, description="bearer token callers send; without one only loopback is served")


class ArchiveSettings(_Section):
    """Where closed segments of the log are written, and when one is closed."""

    dir: Annotated[Path, BeforeValidator(_expand)] | None = Field(None, description="empty: `archive` in data_dir")
    segment_max_records: int = Field(50_000, ge=1)
    segment_max_bytes: int = Field(64 * 2**20, ge=2**20, description="of keys and values, before compression")
    segment_age_s: float = Field(3_600, ge=0, description="a smaller segment is closed when its first record is older")


class HealthSettings(_Section):
    """Where a process tells how it does (`/livez`, `/readyz`, `/metrics`)."""

    host: str = Field("127.0.0.1", description="who may ask: nothing there is secret, and nobody is asked for a token")
    port: int | None = Field(None, ge=0, le=65_535, description="empty: nothing listens; 0: a free one")


class LogSettings(_Section):
    """How the process logs (always to stderr)."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Settings(BaseSettings):
    """All settings of one process. Read once, at the start of a command."""

    model_config = SettingsConfigDict(
        env_prefix="TAILRACE_",
        env_nested_delimiter="__",
        env_file=".env",
        toml_file="tailrace.toml",
        extra="ignore",
        hide_input_in_errors=True,
    )

    data_dir: Annotated[Path, BeforeValidator(_expand)] = Field(
        Path(".tailrace"), description="folder of the embedded servers' data, logs and addresses"
    )
    cache_dir: Annotated[Path, BeforeValidator(_expand)] = Field(
        Path("~/.cache/tailrace").expanduser(), description="folder of fetched server artifacts"
    )
    database_url: SecretStr | None = Field(None, validation_alias=AliasChoices("DATABASE_URL"))
    database_url_ro: SecretStr | None = Field(None, validation_alias=AliasChoices("DATABASE_URL_RO"))
    kafka: KafkaSettings = KafkaSettings()  # type: ignore[call-arg]
    postgres: PostgresSettings = PostgresSettings()  # type: ignore[call-arg]
    redis: RedisSettings = RedisSettings()  # type: ignore[call-arg]
    elasticsearch: ElasticsearchSettings = ElasticsearchSettings()  # type: ignore[call-arg]
    worker: WorkerSettings = WorkerSettings()  # type: ignore[call-arg]
    streams: StreamSettings = StreamSettings()  # type: ignore[call-arg]
    partitions: PartitionSettings = PartitionSettings()  # type: ignore[call-arg]
    http: HttpSettings = HttpSettings()  # type: ignore[call-arg]
    archive: ArchiveSettings = ArchiveSettings()  # type: ignore[call-arg]
    health: HealthSettings = HealthSettings()  # type: ignore[call-arg]
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put `tailrace.toml` under the environment."""
        del file_secret_settings
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls)

    def topic(self, name: str) -> str:
        """Full name of a topic; `name` is the part behind the prefix, e.g. `conversations`."""
        return f"{self.kafka.topic_prefix}{name}"

    def group(self, name: str) -> str:
        """Full name of a consumer group."""
        return f"{self.kafka.group_prefix}{name}"


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; secrets given as `…_FILE` paths are read from their files.

    Raises `pydantic.ValidationError` where a value does not fit.
    """
    settings = Settings(**overrides)
    for field, name in (("database_url", "DATABASE_URL"), ("database_url_ro", "DATABASE_URL_RO")):
        if getattr(settings, field) is None and (path := os.environ.get(f"{name}_FILE")):
            setattr(settings, field, SecretStr(_content(path)))
    return settings
