"""Where documents go and which indices a reader sees: the rows of runtime.search_* as a value, and what follows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from tailrace.projections.documents import (
    ALIASES,
    SHARED_INDICES,
    document_version,
    generation_name,
    messages_index,
    shared_number,
    tombstone,
)

SHARED: Final = "shared"


class Document(NamedTuple):
    """One document as PostgreSQL has it; `body` is None for what must not be found. `created_at` is UTC."""

    alias: str
    id: str
    workspace_id: str
    created_at: datetime | None
    version: int
    body: str | None


class Route(NamedTuple):
    """Where a workspace's messages are shown from, and where else they are written while they move."""

    route: str
    moving_to: str | None


class Write(NamedTuple):
    """One document for the index whose full name is `target`."""

    target: str
    id: str
    version: int
    body: bytes


@dataclass(frozen=True)
class Layout:
    """State of the indices at one `epoch`. `generations` are (number, state) by alias; `routes` by workspace."""

    prefix: str
    epoch: int
    history_epoch: int
    generations: Mapping[str, tuple[tuple[int, str], ...]]
    routes: Mapping[str, Route] = field(default_factory=dict)

    def writes(self, documents: Iterable[Document], only: int | None = None) -> list[Write]:
        """What to send: each document to every generation (or `only` one) and to both ends of a move."""
        found: list[Write] = []
        held: dict[tuple[str, str], list[str]] = {}
        for document in documents:
            alias, name, workspace_id, _, version, body = document
            targets = held.get((alias, workspace_id))
            if targets is None:
                targets = self.indices(document, only)
                if not self._is_monthly(workspace_id):
                    held[alias, workspace_id] = targets
            content = tombstone(alias, name) if body is None else body.encode()
            full = document_version(self.history_epoch, version)
            found += [Write(target, name, full, content) for target in targets]
        return found

    def _is_monthly(self, workspace_id: str) -> bool:
        """Whether the index of a workspace's message depends on when it was posted."""
        return "monthly" in self.routes.get(workspace_id, _AT_HOME)

    def indices(self, document: Document, only: int | None = None) -> list[str]:
        """Full names of the indices that hold a document."""
        names = [document.alias]
        if document.alias == "messages" and document.created_at is not None:
            route = self.routes.get(document.workspace_id, _AT_HOME)
            ways = [route.route] if route.moving_to in {None, route.route} else [route.route, str(route.moving_to)]
            names = [messages_index(way, document.workspace_id, document.created_at) for way in ways]
        numbers = [number for number, _ in self.generations[document.alias] if only in {None, number}]
        return [self.full(name, number) for number in numbers for name in names]

    def full(self, name: str, generation: int) -> str:
        """Name of an index as Elasticsearch knows it."""
        return f"{self.prefix}{generation_name(name, generation)}"

    def live(self, alias: str) -> int:
        """Number of the generation that the alias shows."""
        return next(number for number, state in self.generations[alias] if state == "live")

    def standing(self) -> list[tuple[str, str]]:
        """(alias, full name) of every index that must exist; monthly ones are made when their month comes."""
        found = []
        for alias in ALIASES:
            names = [alias]
            if alias == "messages":
                names = [f"messages_shared_{n}" for n in range(SHARED_INDICES)]
                names += [f"messages_workspace_{w}" for w, route in self.routes.items() if "own" in route]
            found += [(alias, self.full(n, number)) for number, _ in self.generations[alias] for n in names]
        return found

    def shown(self, index: str, alias: str) -> dict[str, Any] | None:
        """Filter with which a reader sees an index through the alias; None: not at all."""
        name, number = self._parsed(index)
        if number != self.live(alias):
            return None
        hidden: list[dict[str, Any]] = []
        if alias == "files":
            # Evaluated at every search: a file disappears when its time is over, without anybody writing.
            hidden.append({"range": {"expires_at": {"lte": "now"}}})
        if alias == "messages":
            if name.startswith("messages_shared_"):
                elsewhere = self._elsewhere(int(name.removeprefix("messages_shared_")))
                hidden += [{"terms": {"workspace_id": elsewhere}}] if elsewhere else []
            elif not self._is_shown_alone(name):
                return None
        live = {"exists": {"field": "workspace_id"}}
        return {"bool": {"filter": [live], "must_not": hidden}} if hidden else live

    def generation(self, index: str) -> int:
        """Number of the generation that an index belongs to, by its full name."""
        return self._parsed(index)[1]

    def contract_name(self, index: str) -> str:
        """Full name that an index has in the contract, whatever its generation."""
        return f"{self.prefix}{self._parsed(index)[0]}"

    def _parsed(self, index: str) -> tuple[str, int]:
        name = index.removeprefix(self.prefix)
        head, _, tail = name.rpartition("_v")
        return (head, int(tail)) if head and tail.isdigit() else (name, 1)

    def _elsewhere(self, number: int) -> list[str]:
        return sorted(w for w, r in self.routes.items() if r.route != SHARED and shared_number(w) == number)

    def _is_shown_alone(self, name: str) -> bool:
        if name.startswith("messages_workspace_"):
            route = self.routes.get(name.removeprefix("messages_workspace_"), _AT_HOME)
            return route.route == "own"
        route = self.routes.get(name.removeprefix("messages_")[:36], _AT_HOME)
        return route.route == "monthly"


_AT_HOME: Final = Route(SHARED, None)


def alias_of(index: str, prefix: str) -> str:
    """Which alias an index of ours belongs to, by its full name."""
    return index.removeprefix(prefix).partition("_")[0]
