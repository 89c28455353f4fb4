"""The outbox's SQL, with the name of the schema it was installed in."""

from importlib.resources import files
from typing import Final

from tailrace.sql.catalog import queries
from tailrace.sql.rendering import quoted

DEFAULT_SCHEMA: Final = "public"


def script(name: str, schema: str) -> str:
    """Return the script `install` or `uninstall`."""
    text = (files("tailrace.outbox") / f"{name}.sql").read_text(encoding="utf-8")
    return text.replace("{schema}", quoted(schema))


def statements(schema: str) -> dict[str, str]:
    """Return the relay's statements by name."""
    found = queries("relay", files("tailrace.outbox"))
    return {name: text.replace("{schema}", quoted(schema)) for name, text in found.items()}
