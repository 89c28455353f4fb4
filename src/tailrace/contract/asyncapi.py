"""The contract as an AsyncAPI 3.0 document, from the side of this application: it receives what producers send.

JSON is YAML as well, so the same bytes serve both.
"""

from importlib.metadata import version
from typing import Any, Final

from tailrace.contract import notes
from tailrace.contract.event_schemas import envelope_properties, pinned, required_attributes, routing, sample
from tailrace.operations.topics import DEAD_LETTERS, topic_configs
from tailrace.schemas.catalogue import DERIVED, EVENT_TYPES, INBOUND, PREFIX, TOPICS, EventType, TopicSpec
from tailrace.schemas.envelope import CONTENT_TYPE
from tailrace.schemas.refusals import RefusalCode

Document = dict[str, Any]

FILLED: Final = ("id", "time", "sequence")
"""What the gateway adds to a record of the inbound topic that lacks it (ruling 84)."""

_KAFKA: Final = {"bindingVersion": "0.5.0"}


def asyncapi() -> Document:
    """The document, with the topics' default names; `tailrace topics` may have been set to another prefix."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:tailrace:contract",
        "info": {"title": "Tailrace events", "version": version("tailrace"), "description": _INFO},
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {_operation(topic.name): _operation_of(topic) for topic in TOPICS},
        "components": {
            "schemas": {"envelope": _envelope(), "inbound": _inbound()},
            "messages": _messages() | {"inbound": _inbound_message(), "dead-letter": _dead_letter()},
        },
    }


_INFO: Final = (
    "CloudEvents 1.0 in JSON structured mode, one event per Kafka record. A topic's records of one key are read in the "
    "order of the log; between keys and topics there is no order. The same id is the same event: sent again with id, "
    "time and sequence unchanged, it changes nothing. The partition is murmur2 of the key's bytes, as the Java client "
    "chooses it. Addresses are those of `topic_prefix` `collab.`. A record without a value is skipped. Any compression "
    "is taken; Tailrace's own records are LZ4. `x-topic`, `x-key` and `x-subject` of a message are annotations: the "
    "topic without prefix; the fields of `data` of which the first that is not null is the record's key; those whose "
    f"values, with `/` between them, are the subject. {notes.LIMITS}"
)


def _operation(topic: str) -> str:
    return ("send-" if topic in (*DERIVED, DEAD_LETTERS) else "receive-") + topic


def _operation_of(topic: TopicSpec) -> Document:
    action = _operation(topic.name).partition("-")[0]
    return {"action": action, "channel": {"$ref": f"#/channels/{topic.name}"}}


def message_name(kind: EventType, version_: int) -> str:
    """The name of a message in the document, `collab.message.posted.v1`."""
    return f"{kind.name}.v{version_}"


def _channel(topic: TopicSpec) -> Document:
    kept = "for ever" if topic.retention_days is None else f"{topic.retention_days} d"
    return {
        "address": PREFIX + topic.name,
        "description": f"{_PURPOSE[topic.name]} Kept: {kept}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _carried(topic)},
        "bindings": {
            "kafka": _KAFKA | {"topic": PREFIX + topic.name, "topicConfiguration": _configuration(topic)},
        },
    }


_PURPOSE: Final = {
    "conversations": "Everything that happens in a channel, keyed by channel.",
    "directory": "Users by user; workspaces, their members, invitations and integrations by workspace.",
    "files": "Files and their shares, keyed by file.",
    "activity": "What users did, in producers' own words.",
    "signals": "What lives shortly: sessions, presence, typing, connections.",
    INBOUND: "For producers without the SDK: any event under any key; it is checked and goes on to its own topic.",
    "notifications": "Derived: whom to tell what, keyed by recipient. Only Tailrace writes it.",
    "trends": "Derived: how busy a channel was in a window, keyed by channel. Only Tailrace writes it.",
    DEAD_LETTERS: (
        "What could not be applied: key, value and headers as they were, and headers that say why. Only Tailrace "
        "writes it."
    ),
}


def _carried(topic: TopicSpec) -> list[str]:
    if topic.name == INBOUND:
        return ["inbound"]
    if topic.name == DEAD_LETTERS:
        return ["dead-letter"]
    return [
        message_name(kind, number)
        for kind in EVENT_TYPES.values()
        if kind.topic == topic.name
        for number in range(1, kind.version + 1)
    ]


def _configuration(topic: TopicSpec) -> Document:
    configs = topic_configs(topic, replication=1)
    return {
        "cleanup.policy": [configs["cleanup.policy"]],
        "retention.ms": int(configs["retention.ms"]),
        "max.message.bytes": int(configs["max.message.bytes"]),
        "message.timestamp.type": configs["message.timestamp.type"],
    }


def _envelope() -> Document:
    required = [name for name in required_attributes(1) if name != "data"]
    return {"type": "object", "properties": envelope_properties(), "required": required}


def _inbound() -> Document:
    return {
        "type": "object",
        "description": (
            "As the event of its type, except that id, time and sequence may be left out or null. They then follow "
            "from the record's place, so a second record with the same id and no sequence is another version."
        ),
        "properties": {name: schema for name, schema in envelope_properties().items() if name not in FILLED}
        | {"data": {"type": "object", "description": notes.ATTRIBUTES["data"]}},
        "required": [name for name in required_attributes(1) if name not in FILLED],
    }


def _messages() -> dict[str, Document]:
    return {
        message_name(kind, number): _message(kind, number)
        for kind in EVENT_TYPES.values()
        for number in range(1, kind.version + 1)
    }


def _message(kind: EventType, number: int) -> Document:
    name = message_name(kind, number)
    own = {"type": "object", "properties": pinned(kind, number), "required": required_attributes(number)}
    return {
        "name": name,
        "title": f"{kind.name}, version {number}",
        **routing(kind),
        "contentType": CONTENT_TYPE,
        "headers": _headers(),
        "payload": {"allOf": [{"$ref": "#/components/schemas/envelope"}, own]},
        "bindings": {"kafka": _KAFKA | {"key": _key(kind)}},
        "examples": [{"name": name, "headers": {"content-type": CONTENT_TYPE}, "payload": sample(kind.name, number)}],
    }


def _headers() -> Document:
    described = {"type": "string", "const": CONTENT_TYPE, "description": "recommended, not checked"}
    return {"type": "object", "properties": {"content-type": described}}


def key_in_words(kind: EventType) -> str:
    """Which field is the record's key, `data.user_id, else data.workspace_id`."""
    return ", else ".join(f"data.{name}" for name in kind.key)


def _key(kind: EventType) -> Document:
    words = f"{key_in_words(kind)}, as UTF-8 text; its murmur2 decides the partition, as in the Java client"
    return {"type": "string", "format": "uuid", "description": words}


def _inbound_message() -> Document:
    event = sample("collab.message.posted")
    return {
        "name": "inbound",
        "title": "Any event of the contract",
        "contentType": CONTENT_TYPE,
        "headers": _headers(),
        "payload": {"$ref": "#/components/schemas/inbound"},
        "bindings": {"kafka": _KAFKA | {"key": {"description": "anything, or none"}}},
        "examples": [{"name": "without id, time and sequence", "payload": _without(event, FILLED)}],
    }


def _without(event: Document, names: tuple[str, ...]) -> Document:
    return {name: value for name, value in event.items() if name not in names}


def _dead_letter() -> Document:
    text, number = {"type": "string"}, {"type": "string", "pattern": "^[0-9]+$"}
    headers = {
        "tr-code": {"type": "string", "enum": [str(code) for code in RefusalCode]},
        "tr-reason": text | {"description": "which field, and what was expected; never what was found"},
        "tr-projection": text | {"description": "what refused it: a projection, or a stream such as gateway"},
        "tr-attempt": number,
        "tr-first-failed-at": text | {"format": "date-time"},
        "__connect.errors.topic": text | {"description": "full name of the topic it was read from"},
        "__connect.errors.partition": number,
        "__connect.errors.offset": number,
        "__connect.errors.stage": {"type": "string", "enum": ["VALUE_CONVERTER", "TASK_PUT"]},
        "__connect.errors.exception.class.name": text | {"description": "as tr-code"},
        "__connect.errors.exception.message": text | {"description": "as tr-reason"},
        "kafka_dlt-original-topic": text | {"description": "as __connect.errors.topic"},
        "kafka_dlt-original-partition": {"description": "4 bytes, big-endian"},
        "kafka_dlt-original-offset": {"description": "8 bytes, big-endian"},
        "kafka_dlt-original-timestamp": {
            "description": "8 bytes, big-endian: Unix milliseconds of the append time, or where it is unknown of the "
            "first failure"
        },
        "kafka_dlt-exception-message": text | {"description": "as tr-reason"},
    }
    return {
        "name": "dead-letter",
        "title": "A record that could not be applied",
        "headers": {
            "type": "object",
            "description": "The record's own come first; of equal names the last is meant.",
            "properties": headers,
            "required": list(headers),
        },
        "payload": {"description": "the record's own value, whatever its bytes; cut beyond 4,128,768"},
        "bindings": {"kafka": _KAFKA | {"key": {"description": "the record's own key"}}},
    }
