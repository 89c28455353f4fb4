"""Slack's values, read with suspicion: timestamps, texts and numbers that may be missing or of another type."""

from uuid import NAMESPACE_DNS, UUID, uuid5


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
