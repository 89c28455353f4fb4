"""From every version of an event's data to the current one, step by step, from version 1 on.

An upcaster gets `data` as the producer wrote it, scrubbed but not validated, and returns what the next version would
have been; the result is validated against the current model, so an upcaster need not check anything.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from tailrace.schemas.catalogue import EVENT_TYPES


@dataclass(frozen=True, slots=True)
class Upcaster:
    """One step of one type: `data` of `from_version` to `data` of `from_version + 1`. Must not change its argument."""

    type: str
    from_version: int
    function: Callable[[dict[str, Any]], dict[str, Any]]


class Upcasters:
    """The steps of all types; every step goes up by one, so a chain can have gaps or forks but no cycle."""

    def __init__(self, upcasters: Iterable[Upcaster], types: Collection[str]) -> None:
        """ValueError when a step names an unknown type, is there twice, or leaves a gap after version 1."""
        self._chains: dict[str, list[Upcaster]] = {type_: [] for type_ in types}
        for upcaster in sorted(upcasters, key=lambda step: (step.type, step.from_version)):
            chain = self._chains.get(upcaster.type)
            if chain is None:
                raise ValueError(f"{upcaster.type}: an upcaster for a type that is not in the catalogue")
            if upcaster.from_version != len(chain) + 1:
                expected = f"expected one from version {len(chain) + 1}"
                raise ValueError(f"{upcaster.type}: upcaster from version {upcaster.from_version}, {expected}")
            chain.append(upcaster)

    def current(self, type_: str) -> int:
        """The version that the type's model describes; KeyError for an unknown type."""
        return len(self._chains[type_]) + 1

    def upcast(self, type_: str, version: int, data: dict[str, Any]) -> dict[str, Any]:
        """`data` of `version` (1 … current) as data of the current version; raises what the steps raise."""
        for upcaster in self._chains[type_][version - 1 :]:
            data = upcaster.function(data)
        return data


UPCASTERS: Final = Upcasters((), EVENT_TYPES)
"""The steps in force. All types are at version 1."""
