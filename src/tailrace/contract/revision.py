"""The contract of one revision in one document, and where to find that of an earlier one."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from tailrace.contract.event_schemas import data_schema, envelope_properties, required_attributes
from tailrace.errors import InvalidInputError, NotFoundError
from tailrace.schemas.catalogue import EVENT_TYPES, TOPICS, EventType

CONTRACT_FILE: Final = "contract.json"
COMMITTED: Final = f"docs/contract/{CONTRACT_FILE}"
RELEASED: Final = "docs/contract/released.json"
"""The contract of the last release, frozen: what `make check` compares with."""
GIT_TIMEOUT_S: Final = 20.0

Contract = dict[str, Any]


def contract() -> Contract:
    """The contract as it is: the envelope, the topics, and every version of every type with its topic and key."""
    return {
        "envelope": {
            "type": "object",
            "properties": envelope_properties(),
            "required": required_attributes(1),
        },
        "topics": {topic.name: {"retention_days": topic.retention_days} for topic in TOPICS},
        "types": {kind.name: _type(kind) for kind in EVENT_TYPES.values()},
    }


def _type(kind: EventType) -> Contract:
    versions = {str(number): data_schema(model) for number, model in enumerate(kind.models, 1)}
    return {"topic": kind.topic, "key": list(kind.key), "versions": versions}


def contract_of(revision: str, root: Path) -> Contract:
    """The contract of a folder or file that `tailrace schema export` wrote, or of a git revision of the project.

    `root` is the project's folder. Raises `NotFoundError` where there is none, `InvalidInputError` where it is no
    contract.
    """
    path = Path(revision)
    if path.is_dir():
        path /= CONTRACT_FILE
    if path.is_file():
        return _parsed(path.read_bytes(), revision)
    return _parsed(_from_git(revision, root), revision)


def _from_git(revision: str, root: Path) -> bytes:
    name = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
    if not name:
        fix = "name a folder that `tailrace schema export` wrote, or a git revision"
        raise NotFoundError(f"{revision}: neither a folder with {CONTRACT_FILE} nor a git revision", fix=fix)
    document = _git(root, "show", f"{name}:{COMMITTED}")
    if not document:
        raise NotFoundError(f"{revision} has no {COMMITTED}: it is older than the file", fix=f"--against {RELEASED}")
    return document


def _git(root: Path, *arguments: str) -> bytes:
    """What git says; nothing where it fails or is not there."""
    try:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=root, capture_output=True, timeout=GIT_TIMEOUT_S, check=False)
    except OSError:
        return b""
    return b"" if done.returncode else done.stdout


def _parsed(text: bytes, revision: str) -> Contract:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidInputError(f"{revision}: {CONTRACT_FILE} is no JSON: {error}") from error
    if not isinstance(document, dict) or not {"envelope", "topics", "types"} <= document.keys():
        raise InvalidInputError(f"{revision}: {CONTRACT_FILE} is no contract", fix="tailrace schema export DIR")
    return document
