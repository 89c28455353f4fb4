"""The outbox's SQL, with the name of the schema it was installed in."""

import re
from importlib.resources import files
from typing import Final

from tailrace.errors import InvalidInputError
from tailrace.sql.catalog import queries
from tailrace.sql.rendering import quoted

DEFAULT_SCHEMA: Final = "public"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def script(name: str, schema: str) -> str:
    """Return the script `install` or `uninstall`; raises `InvalidInputError` for what is no schema's name."""
    text = (files("tailrace.outbox") / f"{name}.sql").read_text(encoding="utf-8")
    return text.replace("{schema}", _name(schema))


def statements(schema: str) -> dict[str, str]:
    """Return the relay's statements by name; raises `InvalidInputError` for what is no schema's name."""
    found = queries("relay", files("tailrace.outbox"))
    return {name: text.replace("{schema}", _name(schema)) for name, text in found.items()}


def _name(schema: str) -> str:
    # The name also stands inside a literal and inside the function's body, where quotes of its own would end those.
    if not _NAME.fullmatch(schema):
        raise InvalidInputError(f"{schema!r} cannot be the schema of an outbox", fix="letters, digits and _ only")
    return quoted(schema)
