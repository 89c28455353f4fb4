"""Slack's values, read with suspicion: timestamps, texts and numbers that may be missing or of another type."""

import re
from datetime import UTC, datetime
from typing import Any, Final
from uuid import NAMESPACE_DNS, UUID, uuid5

EARLIEST_US: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
"""The contract refuses earlier times (rule T)."""
LATEST_US: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_SECONDS = re.compile(r"(\d{1,12})(?:\.(\d*))?", re.ASCII)
_MILLISECONDS = re.compile(r"(\d{10})(\d{3})", re.ASCII)


def micros(value: Any) -> int | None:
    """Microseconds since 1970 (UTC) of a Slack timestamp; None where it is missing, zero or outside 2000 to 2100.

    Takes `"1355517523.000005"`, seconds as text or number, and milliseconds, which Slack writes in some fields of
    channels. Never by way of a float, which has no room for the last digits.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = f"{value:.6f}" if isinstance(value, float) else str(value)
    match = _SECONDS.fullmatch(text) or _MILLISECONDS.fullmatch(text)
    if match is None:
        return None
    us = int(match[1]) * 1_000_000 + int(f"{match[2] or '':0<6}"[:6])
    return us if EARLIEST_US <= us < LATEST_US else None


def slack_ts(us: int) -> str:
    """Slack's way of writing a message's time, which is its id within the channel."""
    return f"{us // 1_000_000}.{us % 1_000_000:06d}"


class SlackIds:
    """Turns Slack's ids into UUIDs. Slack's are unique within a team, so the team's id makes the namespace."""

    def __init__(self, team: str) -> None:
        self.namespace: UUID = uuid5(uuid5(NAMESPACE_DNS, "slack.com"), team)
        self.workspace = self._id("workspace", team)

    def _id(self, kind: str, name: str) -> str:
        return str(uuid5(self.namespace, f"{kind}:{name}"))

    def user(self, slack_id: str) -> str:
        """Return the user's UUID."""
        return self._id("user", slack_id)

    def channel(self, slack_id: str) -> str:
        """Return the channel's UUID."""
        return self._id("channel", slack_id)

    def message(self, channel: str, us: int) -> str:
        """Return the UUID of the message with that time in that (Slack) channel."""
        return self._id("message", f"{channel}:{slack_ts(us)}")

    def file(self, slack_id: str) -> str:
        """Return the file's UUID."""
        return self._id("file", slack_id)
