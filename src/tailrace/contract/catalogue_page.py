"""The event catalogue as a page for people: types, versions, keys, samples, readers, order and repetition."""

import json
from collections.abc import Iterator
from typing import Final

from tailrace.contract import notes
from tailrace.contract.asyncapi import key_in_words
from tailrace.contract.event_schemas import data_schema, sample
from tailrace.contract.notes import again
from tailrace.contract.readers import READERS, Readers
from tailrace.producer.stamping import subject_fields
from tailrace.schemas.catalogue import EVENT_TYPES, PREFIX, TOPICS, EventType, TopicSpec

_OPENING: Final = """\
# Event catalogue

Generated from the models by `tailrace schema docs`; do not edit. The same as JSON Schemas: [contract/schemas](contract/schemas), as AsyncAPI 3: [contract/asyncapi.json](contract/asyncapi.json). How to send: [producers.md](producers.md).

One event is one Kafka record: a CloudEvent 1.0 in JSON structured mode with the header `content-type: application/cloudevents+json` (recommended, not checked). Topics stand here without the prefix that can be set (`collab.` by default); types always begin with `collab.`.

## Envelope
"""  # noqa: E501 - a paragraph of the page

_TWICE: Final = """
## What happens when I send this twice

| what is sent again | what happens |
|---|---|
| the same event, with `id`, `time` and `sequence` unchanged | Nothing: it is the same event. Such a retry is always safe. |
| the same `id` without `sequence`, by the SDK, HTTP or `inbound` | It is stamped anew and counts as newer: it may undo what came in between. Keep what the first answer named, or set all three yourself. |
| the same content under a new `id`, with the same or a higher `sequence` | The register is written again with the same values; `updated_at` may move. Nothing is counted twice, except what is a fact of its own: a new `collab.file.accessed` is another download, a new `collab.activity.recorded` another activity. |
| the same content under a new `id`, with a lower `sequence` | Stale: it changes no register. |
| a second `collab.message.posted` with the same `message_id` | The first in the log is the message; the second changes nothing. |
| a second `collab.message.posted` with the same `client_msg_id` by the same user in the same channel within 7 days | It is the same message under another id; later events about the second id go to the first message. |
| another event with the same `sequence` for the same subject that writes the same thing | The one with the greater `id` wins, in whatever order they come. |

Two events write the same thing when they write the same register, a group of fields that change together; events of other registers do not compete, whatever their sequences.

| of | registers |
|---|---|
| a user | profile; status; preferences; last login |
| a workspace | profile; deleted |
| a channel | profile; archived or not; deleted; for each user the read position |
| a user's membership in a workspace or channel | one |
| a message | content; deleted or not; pinned or not; one for each user and emoji |
| a file | upload; processing; scan; deleted; one for each message it is shared with |
| an integration | one |
| an invitation | created; accepted; revoked |
| a session, a connection | start; end |
| a user's presence in a workspace | one |

`user.erased` and `workspace.deleted` win over all others, in whatever order they come.
"""  # noqa: E501 - a table of the page

_ORDER: Final = """
## Order, topic by topic

Records of one key are read in the order of the log. Between keys, and between topics, there is no order, and none is needed: whatever comes first, all stores end in the same state.

| topic | key | order is kept within | so it does not matter | kept |
|---|---|---|---|---|
"""  # noqa: E501 - a paragraph of the page

_UNORDERED: Final = {
    "conversations": "whether a channel's messages come before its name, or before the users who wrote them",
    "directory": "whether a member comes before the user or the workspace",
    "files": "whether a share comes before the message, or before the upload: it waits for both, up to 7 days",
    "activity": "whether the user is known",
    "signals": "whether an end comes before its start",
    "inbound": "anything: the gateway puts each event under its own key, in the order of the inbound partition",
    "notifications": "whether the message is known",
    "trends": "–",
    "dead-letters": "–",
}


def catalogue_page() -> str:
    """The page as Markdown."""
    return "".join(_page())


def _page() -> Iterator[str]:
    yield _OPENING
    yield "\n| attribute | |\n|---|---|\n"
    yield from (f"| `{name}` | {note} |\n" for name, note in notes.ATTRIBUTES.items())
    yield f"\n{notes.LIMITS}\n"
    yield _TWICE
    yield _ORDER
    yield from (_order_line(topic) for topic in TOPICS)
    for topic in TOPICS:
        if kinds := [kind for kind in EVENT_TYPES.values() if kind.topic == topic.name]:
            yield f"\n## Topic `{topic.name}`\n"
            yield from (part for kind in kinds for part in _type(kind))


def _order_line(topic: TopicSpec) -> str:
    keys = sorted({key_in_words(kind) for kind in EVENT_TYPES.values() if kind.topic == topic.name})
    key = " or ".join(f"`{key}`" for key in keys) or ("anything" if topic.name == "inbound" else "the record's own")
    kept = "for ever" if topic.retention_days is None else f"{topic.retention_days} d"
    within = "one key" if keys else "one partition"
    return f"| `{topic.name}` | {key} | {within} | {_UNORDERED[topic.name]} | {kept} |\n"


def _type(kind: EventType) -> Iterator[str]:
    yield f"\n### {kind.name}\n\n"
    versions = " · ".join(
        f"[version {number}](contract/schemas/{kind.name}.v{number}.json)" for number in range(kind.version, 0, -1)
    )
    yield f"{versions}\n\n"
    yield f"Key: `{key_in_words(kind)}`. Subject: `{_subject(kind)}`.\n"
    yield f"Changes: {_changes(READERS[kind.name])}.\n"
    yield "Sent twice: unchanged, nothing; "
    yield f"under another `id` and a higher `sequence`, {again(kind.name)}.\n\n"
    yield "| field | | |\n|---|---|---|\n"
    schema = data_schema(kind.model)
    yield from _fields(schema, "")
    yield "\n<details><summary>sample</summary>\n\n```json\n"
    yield json.dumps(sample(kind.name), indent=2, ensure_ascii=False)
    yield "\n```\n\n</details>\n"


def _subject(kind: EventType) -> str:
    return "/".join(f"data.{name}" for name in subject_fields(kind.name)) or key_in_words(kind)


def _changes(readers: Readers) -> str:
    groups = (
        ("tables", readers.tables),
        ("keys", readers.keys),
        ("search documents", readers.documents),
        ("topics", tuple(PREFIX + topic for topic in readers.topics)),
    )
    parts = [f"{label} {', '.join(f'`{name}`' for name in names)}" for label, names in groups if names]
    return "; ".join(parts) or "nothing here: it is for readers of the topic"


def _fields(schema: dict[str, object], path: str) -> Iterator[str]:
    properties, required = schema["properties"], schema.get("required", [])
    assert isinstance(properties, dict)  # noqa: S101 - tells the type checker what the generator made
    assert isinstance(required, list)  # noqa: S101 - the same
    for name, field in properties.items():
        words = type_in_words(field) + ("" if name in required else ", optional")
        yield f"| `{path}{name}` | {words} | {field.get('description', '')} |\n"
        if "properties" in field:
            yield from _fields(field, f"{path}{name}.")


def type_in_words(schema: dict[str, object]) -> str:
    """A field's type for people: `UUID`, `time`, `text or number`; `null` is not told of an optional field."""
    if "enum" in schema:
        return " · ".join(f"`{value}`" for value in _listed(schema["enum"]) if value is not None)
    if "const" in schema:
        return f"`{schema['const']}`"
    match schema.get("format"):
        case "uuid":
            return "UUID"
        case "date-time":
            return "time"
    types = schema.get("type")
    names = [str(name) for name in (_listed(types) if isinstance(types, list) else [types]) if name != "null"]
    if names == ["array"]:
        items = schema["items"]
        return f"list of {type_in_words(items)}" if isinstance(items, dict) else "list"
    return " or ".join(
        {"string": "text", "object": "object", "boolean": "true/false"}.get(name, name) for name in names
    )


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
