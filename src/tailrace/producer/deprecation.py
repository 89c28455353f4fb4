"""What a producer is told that still sends an old version of a type's data."""

import sys
import warnings
from pathlib import Path
from typing import Final

from tailrace.schemas.upcasters import UPCASTERS

_OURS: Final = str(Path(__file__).parents[1])


def warn_if_old(type_: str, version: int) -> None:
    """Issue a `DeprecationWarning` at the caller's line where `version` is not the newest of a known type."""
    newest = UPCASTERS.current(type_)
    if version >= newest:
        return
    sunset = UPCASTERS.sunset(type_, version)
    until = f"; from {sunset:%Y-%m-%d} on the SDK may refuse it" if sunset else ""
    message = f"{type_}: version {version} is old, publish version {newest}{until} (tailrace schema show {type_})"
    warnings.warn(message, DeprecationWarning, stacklevel=_callers_level())


def _callers_level() -> int:
    """How far up the stack the first frame outside this package is, as `warnings.warn` counts from `warn_if_old`."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - the documented way to a frame; inspect.stack() reads files
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        level, frame = level + 1, frame.f_back
    return level
