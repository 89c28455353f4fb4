"""JSON Schemas (draft 2020-12) of the contract, made from the models: one per event type and version.

What a schema cannot say is `notes.LIMITS`. References are written out, so every document stands for itself.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from pydantic import BaseModel

from tailrace.contract import notes
from tailrace.errors import NotFoundError
from tailrace.producer.stamping import subject_fields
from tailrace.schemas.catalogue import EVENT_TYPES, EventType
from tailrace.schemas.envelope import Envelope

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def event_type(name: str) -> EventType:
    """The type of that name, with or without `collab.`; raises `NotFoundError` for one that is not in the catalogue."""
    found = EVENT_TYPES.get(name) or EVENT_TYPES.get(f"collab.{name}")
    if found is None:
        raise NotFoundError(f"no event type {name}", fix="tailrace schema ls")
    return found


def event_schema(type_: str, version: int | None = None) -> Schema:
    """The schema of a whole structured event of one version (None: the newest) of a type.

    Raises `NotFoundError` for a type or version that does not exist.
    """
    kind = event_type(type_)
    version = _version(kind, version)
    return {
        "$schema": DIALECT,
        "$id": f"urn:tailrace:event:{kind.name}:{version}",
        "title": f"{kind.name}, version {version}",
        "description": notes.LIMITS,
        **routing(kind),
        "type": "object",
        "properties": envelope_properties() | pinned(kind, version),
        "required": required_attributes(version),
    }


def routing(kind: EventType) -> Schema:
    """Where an event of the type goes, for programs: the topic (without prefix) and fields of its newest `data`.

    The first field of `x-key` that is not null is the record's key; the values of `x-subject`, with `/` between them,
    are the subject.
    """
    return {"x-topic": kind.topic, "x-key": list(kind.key), "x-subject": list(subject_fields(kind.name) or kind.key)}


def pinned(kind: EventType, version: int) -> Schema:
    """The properties in which a type's events differ from other events: `type`, `schemaversion` and `data`."""
    said = {"description": notes.ATTRIBUTES["schemaversion"]}
    return {
        "type": {"const": kind.name, "description": notes.ATTRIBUTES["type"]},
        "schemaversion": ({"enum": [1, None]} if version == 1 else {"const": version}) | said,
        "data": data_schema(kind.models[version - 1]),
    }


def envelope_properties() -> Schema:
    """The attributes that all events have in common."""
    properties: Schema = _plain_schema(Envelope)["properties"]
    return {name: schema | {"description": notes.ATTRIBUTES[name]} for name, schema in properties.items()}


def required_attributes(version: int) -> list[str]:
    """Names of the attributes that an event of that version of its type must have."""
    required = [name for name, field in Envelope.model_fields.items() if field.is_required()]
    return [*required, *(["schemaversion"] if version > 1 else []), "data"]


def data_schema(model: type[BaseModel]) -> Schema:
    """The schema of `data` alone."""
    return _with_notes(_plain_schema(model))


def sample(type_: str, version: int | None = None) -> dict[str, Any]:
    """The golden sample of a type's version: a whole structured event, as parsed JSON. Raises `NotFoundError`."""
    kind = event_type(type_)
    text = files("tailrace.schemas").joinpath(f"samples/{kind.name}.v{_version(kind, version)}.json").read_text("utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def _version(kind: EventType, version: int | None) -> int:
    if version is not None and not 1 <= version <= kind.version:
        raise NotFoundError(f"{kind.name} has no version {version}", fix=f"one of 1 to {kind.version}")
    return version or kind.version


def _plain_schema(model: type[BaseModel]) -> Schema:
    schema = model.model_json_schema()
    plain: Schema = _written_out(schema, schema.get("$defs", {}))
    plain.pop("$defs", None)
    return plain


def _written_out(node: Any, definitions: Mapping[str, Any]) -> Any:
    """Without references, titles, docstrings and `default: null`; and with `null` as a type instead of an `anyOf`."""
    if isinstance(node, list):
        return [_written_out(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _written_out(definitions[node["$ref"].rpartition("/")[2]], definitions)
    plain = {
        name: {key: _written_out(value, definitions) for key, value in inner.items()}
        if name == "properties"
        else _written_out(inner, definitions)
        for name, inner in node.items()
        if name not in {"title", "description", "$defs"} and not (name == "default" and inner is None)
    }
    match plain.pop("anyOf", None):
        case [{"type": str()} as other, {"type": "null"}]:
            plain |= _or_null(other)
        case None:
            pass
        case others:
            plain["anyOf"] = others
    return plain


def _or_null(schema: Schema) -> Schema:
    enum = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | {"type": [schema["type"], "null"]} | enum


def _with_notes(schema: Schema) -> Schema:
    """The same schema with what is known about its fields, nested ones included."""
    properties = {
        name: ({"description": notes.FIELDS[name]} if name in notes.FIELDS else {}) | _with_notes(field)
        for name, field in schema.get("properties", {}).items()
    }
    return schema | ({"properties": properties} if properties else {})
