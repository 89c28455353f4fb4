"""The streams there are; each has one `create_app`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from tailrace.settings import Settings
from tailrace.streams.app import StreamApp, make_app
from tailrace.streams.gateway import gateway
from tailrace.streams.notifications import notifications
from tailrace.streams.stream import Stream
from tailrace.streams.trends import trends

_MAKERS: Final[Mapping[str, Callable[[Callable[[str], str]], Stream]]] = MappingProxyType(
    {"gateway": gateway, "notifications": notifications, "trends": trends}
)

NAMES: Final = tuple(_MAKERS)
"""Names of the streams, in the order in which they are listed."""


def stream_of(name: str, settings: Settings) -> Stream:
    """The stream of that name; KeyError where there is none."""
    return _MAKERS[name](settings.topic)


def create_app(name: str, settings: Settings) -> StreamApp:
    """The Faust app of that stream, not started; see `make_app`."""
    return make_app(settings, stream_of(name, settings))
