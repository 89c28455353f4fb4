"""From every version of an event's data to the newest one, step by step.

Data of an older version is validated against its own model first, so a refusal names the fields the producer knows, and
an upcaster gets what that model gives: every field, optional ones as None, times as aware UTC datetimes, nothing else.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from tailrace.schemas.catalogue import EVENT_TYPES, EventType


@dataclass(frozen=True, slots=True)
class Upcaster:
    """One step of one type: data of `from_version` becomes that of `to_version`. Must not change its argument.

    After `sunset` the SDK may stop publishing `from_version`; what is in the log is read for ever.
    """

    type: str
    from_version: int
    to_version: int
    function: Callable[[dict[str, Any]], dict[str, Any]]
    sunset: date | None = None


class Upcasters:
    """The steps of all types, checked when the program starts: one from each version before the newest to the next."""

    def __init__(self, upcasters: Iterable[Upcaster], types: Mapping[str, EventType]) -> None:
        """ValueError when a type is unknown, a step is missing or there twice, leads back, or leaves a version out."""
        self.types = types
        self._chains: dict[str, list[Upcaster]] = {type_: [] for type_ in types}
        for upcaster in sorted(upcasters, key=lambda step: (step.type, step.from_version)):
            _check(upcaster, self._chains.get(upcaster.type))
            self._chains[upcaster.type].append(upcaster)
        for type_, chain in self._chains.items():
            if len(chain) + 1 != types[type_].version:
                found = f"upcasters lead to version {len(chain) + 1}, its model is version {types[type_].version}"
                raise ValueError(f"{type_}: a gap: {found}")

    def current(self, type_: str) -> int:
        """The version that the type's model describes; KeyError for an unknown type."""
        return len(self._chains[type_]) + 1

    def upcast(self, type_: str, version: int, data: dict[str, Any]) -> dict[str, Any]:
        """Validated `data` of `version` (1 … current) as data of the current version."""
        for upcaster in self._chains[type_][version - 1 :]:
            data = upcaster.function(data)
        return data

    def sunset(self, type_: str, version: int) -> date | None:
        """The day after which producers should not send this version any more; None for the current one."""
        return None if version >= self.current(type_) else self._chains[type_][version - 1].sunset


def _check(upcaster: Upcaster, chain: list[Upcaster] | None) -> None:
    step = f"{upcaster.type}: upcaster from version {upcaster.from_version} to {upcaster.to_version}"
    if chain is None:
        raise ValueError(f"{step}: the type is not in the catalogue")
    if upcaster.to_version <= upcaster.from_version:
        raise ValueError(f"{step}: a cycle: it does not lead up")
    if upcaster.to_version != upcaster.from_version + 1:
        raise ValueError(f"{step}: a gap: it leaves a version out")
    if upcaster.from_version <= len(chain):
        raise ValueError(f"{step}: there twice")
    if upcaster.from_version != len(chain) + 1:
        raise ValueError(f"{step}: a gap: there is none from version {len(chain) + 1}")


def _app_together(data: dict[str, Any]) -> dict[str, Any]:
    """Integration, 1 to 2: `app_id` and `app_name` move into `app`."""
    rest = _without(data, "app_id", "app_name")
    return rest | {"app": {"app_id": data["app_id"], "name": data["app_name"]}}


def _health_together(data: dict[str, Any]) -> dict[str, Any]:
    """Integration, 2 to 3: `status` and `last_error` move into `health`."""
    rest = _without(data, "status", "last_error")
    return rest | {"health": {"status": data["status"], "last_error": data["last_error"]}}


def _without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}


_INTEGRATION_SUNSET: Final = date(2027, 11, 30)

UPCASTERS: Final = Upcasters(
    (
        Upcaster(type_, from_version, from_version + 1, function, _INTEGRATION_SUNSET)
        for type_ in ("collab.integration.installed", "collab.integration.updated")
        for from_version, function in ((1, _app_together), (2, _health_together))
    ),
    EVENT_TYPES,
)
"""The steps in force."""
