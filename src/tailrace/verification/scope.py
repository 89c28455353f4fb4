"""Which part of the stores is compared: a workspace, a channel, a key, a partition of the log, or a sample."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

from tailrace.errors import UsageError
from tailrace.schemas.event import Event
from tailrace.verification.fold_log import Key, Table
from tailrace.verification.tables import DEAD_LETTERS, TableSpec

CONVERSATIONS: Final = "conversations"
BUCKETS: Final = 1_000_000
NEED_EVERY_CHANNEL: Final = frozenset(
    {DEAD_LETTERS, "analytics.daily_active_users", "analytics.user_activity", "redis.unread_counts", "search.files"}
)
"""What cannot be told from the records of some channels alone."""

_UNITS: Final = {
    CONVERSATIONS: ("channel_id",),
    "files": ("file_id",),
    "directory": ("user_id", "workspace_id"),
    "activity": ("user_id",),
    "signals": ("user_id",),
}
"""What the keys of each topic's records name (CONTRACT, 1)."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is compared; several conditions must all hold, none of them is everything.

    `partition` is (topic without prefix, number): what the keys of its records name. `share` is the part of the
    channels (of what has no channel: of the keys) that a sample takes, always the same ones.
    """

    workspace: str | None = None
    channel: str | None = None
    key: str | None = None
    partition: tuple[str, int] | None = None
    share: float | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Scope()

    @property
    def leaves_channels_out(self) -> bool:
        """Whether not even the records of all channels are read."""
        return self.channel is not None or self.share is not None

    def takes(self, topic: str, key: bytes | None) -> bool:
        """Whether a record has to be read: those of other channels need not."""
        if topic != CONVERSATIONS or key is None:
            return True
        if self.channel is not None and key != self.channel.encode():
            return False
        return self.share is None or _is_in_sample(key, self.share)

    def skips(self, name: str) -> bool:
        """Whether a comparison makes no sense within this scope."""
        if name == DEAD_LETTERS:
            return not self.is_everything
        return self.leaves_channels_out and name in NEED_EVERY_CHANNEL


EVERYTHING: Final = Scope()


def share_of(text: str) -> float:
    """`1%` or `0.01` as a share above 0 and up to 1. Raises `UsageError`."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UsageError(f"{text} is no sample", fix="--sample 1%")
    return share


def partition_of(text: str) -> tuple[str, int]:
    """`conversations/3` as (topic without prefix, number). Raises `UsageError`."""
    topic, _, number = text.rpartition("/")
    if topic not in _UNITS or not number.isdigit():
        raise UsageError(f"{text} is no partition", fix=f"--partition TOPIC/NUMBER, TOPIC one of {', '.join(_UNITS)}")
    return topic, int(number)


def _is_in_sample(unit: bytes, share: float) -> bool:
    return crc32(unit) % BUCKETS < share * BUCKETS


class Selection:
    """A scope, resolved with the events of the log: which rows and keys are in it."""

    def __init__(self, scope: Scope, events: Iterable[Event]) -> None:
        self.scope = scope
        self._channels: set[str] = set()
        self._users: set[str] = set()
        self._units: set[str] = set()
        self._around_key: set[str] = set()
        if scope.workspace is None and scope.partition is None and scope.key is None:
            return
        for event in events:
            data = event.data
            if scope.key is not None and data.get("message_id") == scope.key and data.get("channel_id"):
                self._around_key.add(data["channel_id"])
            if scope.workspace is not None and data.get("workspace_id") == scope.workspace:
                self._channels |= {data[name] for name in ("channel_id",) if data.get(name)}
                self._users |= {data[name] for name in ("user_id",) if data.get(name)}
            if (event.topic, event.partition) == scope.partition:
                self._units |= {data[name] for name in _UNITS[event.topic] if data.get(name)}

    def of_table(self, spec: TableSpec, table: Table) -> Table:
        """The rows of a folded table that are in the scope."""
        if self.scope.is_everything:
            return table
        return {key: row for key, row in table.items() if self.has(spec.key, key, row)}

    def may_hold(self, spec: TableSpec) -> bool:
        """Whether a table can have rows in the scope at all."""
        return self.scope.channel is None or "channel_id" in (*spec.key, *spec.columns)

    def of_rows(self, spec: TableSpec, table: Table, rows: Iterable[Sequence[Any]]) -> Iterable[Sequence[Any]]:
        """Those of a table's rows (key first) that are in the scope, by what `table` says of them where it does.

        A row whose ids were damaged so stays with the one that it should be.
        """
        return rows if self.scope.is_everything else self._of_rows(spec, table, rows)

    def _of_rows(self, spec: TableSpec, table: Table, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        width = len(spec.key)
        for values in rows:
            key = tuple(values[:width])
            row = table.get(key)
            if self.has(spec.key, key, dict(zip(spec.columns, values[width:], strict=True)) if row is None else row):
                yield values

    def lists_key(self, channel: str) -> bool:
        """Whether the scope's key is a message of this channel, and so may be in what lists its messages."""
        return channel in self._around_key

    def has(self, names: tuple[str, ...], key: Key, row: Mapping[str, Any], *, lists_key: bool = False) -> bool:
        """Whether a row is in the scope; `names` are those of the key's parts.

        What lists many things (`lists_key`) is in it for the key of each.
        """
        scope = self.scope
        if scope.is_everything:
            return True
        ids = {**row, **dict(zip(names, key, strict=False))}
        return (
            (scope.key is None or lists_key or _is_key(scope.key, key))
            and (scope.channel is None or _is_of_channel(scope.channel, ids))
            and (scope.workspace is None or self._is_of_workspace(scope.workspace, ids))
            and (scope.partition is None or self._is_of_partition(scope.partition[0], ids))
            and (scope.share is None or _is_in_sample(str(ids.get("channel_id") or key[0]).encode(), scope.share))
        )

    def _is_of_workspace(self, workspace: str, ids: Mapping[str, Any]) -> bool:
        if "workspace_id" in ids:
            return bool(ids["workspace_id"] == workspace)
        return ids["channel_id"] in self._channels if "channel_id" in ids else ids.get("user_id") in self._users

    def _is_of_partition(self, topic: str, ids: Mapping[str, Any]) -> bool:
        narrower = ("channel_id", "file_id", "session_id", "event_id")
        if topic == "directory" and any(name in ids for name in narrower):
            return False
        return any(ids.get(name) in self._units for name in _UNITS[topic])


def _is_key(wanted: str, key: Key) -> bool:
    parts = [str(part) for part in key]
    return wanted in parts or wanted in ("/".join(parts), ":".join(parts))


def _is_of_channel(channel: str, ids: Mapping[str, Any]) -> bool:
    return ids.get("channel_id") == channel
