"""The projections there are. A version names its target; running it anew from the beginning is a rebuild."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Projection:
    """Which topics (short names) are read, and under which name and version progress is kept."""

    name: str
    version: int
    topics: tuple[str, ...]


_FACTS = ("conversations", "directory", "files", "activity", "signals")
"""What happened, as against what is derived from it."""

POSTGRES = Projection(name="postgres", version=1, topics=(*_FACTS, "notifications"))

REDIS = Projection(name="redis", version=1, topics=("conversations", "directory", "signals"))

SEARCH = Projection(name="search", version=1, topics=_FACTS)

PROJECTIONS: dict[str, Projection] = {projection.name: projection for projection in (POSTGRES, REDIS, SEARCH)}
