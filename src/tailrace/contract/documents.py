"""All documents of the contract as files: written, and compared with what is on disk."""

import json
from pathlib import Path
from typing import Any, Final

from tailrace.contract.asyncapi import asyncapi, message_name
from tailrace.contract.catalogue_page import catalogue_page
from tailrace.contract.event_schemas import event_schema
from tailrace.contract.revision import CONTRACT_FILE, contract
from tailrace.schemas.catalogue import EVENT_TYPES

DOCS: Final = Path("docs")
"""Where the committed documents are, from the project's root."""
FOLDER: Final = "contract"
REGENERATE: Final = "tailrace schema docs"


def exported() -> dict[str, str]:
    """Text of every machine-readable document by its path: schemas, AsyncAPI, and the contract in one file."""
    documents = {
        f"schemas/{message_name(kind, number)}.json": _text(event_schema(kind.name, number))
        for kind in EVENT_TYPES.values()
        for number in range(1, kind.version + 1)
    }
    return documents | {"asyncapi.json": _text(asyncapi()), CONTRACT_FILE: _text(contract())}


def committed() -> dict[str, str]:
    """Text of every document under `docs/` by its path from there."""
    return {f"{FOLDER}/{path}": text for path, text in exported().items()} | {"catalogue.md": catalogue_page()}


def write(documents: dict[str, str], folder: Path) -> tuple[str, ...]:
    """Write documents below `folder`, which is made; returns the paths that were changed or new."""
    changed = tuple(path for path, text in documents.items() if _on_disk(folder / path) != text)
    for path in changed:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(documents[path], "utf-8")
    return changed


def drift(docs: Path) -> tuple[str, ...]:
    """Paths below `docs` that are not what the models say: changed, missing, or left over."""
    documents = committed()
    differing = [path for path, text in documents.items() if _on_disk(docs / path) != text]
    return (*differing, *leftovers(docs, documents))


def leftovers(docs: Path, documents: dict[str, str]) -> tuple[str, ...]:
    """Schemas on disk that no model has any more."""
    found = (str(path.relative_to(docs)) for path in (docs / FOLDER / "schemas").glob("*.json"))
    return tuple(sorted(path for path in found if path not in documents))


def _on_disk(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
