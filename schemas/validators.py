"""The models as validators that give plain dicts, nested ones too: what decoding runs, made once at import.

A record is validated straight into dicts because building model instances doubles the time of decoding; the models stay
the only place where a field is described.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Union, get_type_hints

from pydantic import BaseModel, Field, TypeAdapter, create_model
from typing_extensions import TypedDict

from tailrace.schemas.catalogue import EVENT_TYPES, EventType
from tailrace.schemas.envelope import Envelope
from tailrace.schemas.fields import STRICT

# Type checkers know TypedDict only as a statement with literal names.
_TypedDict: Any = TypedDict


def _dict_type(model: type[BaseModel], **replaced: Any) -> Any:
    """A TypedDict with the model's annotations and defaults; optional fields are always present, as None."""
    fields = {
        name: _plain(annotation) if field.is_required() else Annotated[annotation, Field(default=field.default)]
        for name, annotation in get_type_hints(model, include_extras=True).items()
        if (field := model.model_fields.get(name))
    }
    dict_type = _TypedDict(model.__name__, fields | replaced)
    dict_type.__pydantic_config__ = STRICT
    return dict_type


def _plain(annotation: Any) -> Any:
    """A nested model as a nested dict. Only required fields hold one, so unions need not be looked into."""
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return _dict_type(annotation) if is_model else annotation


def _event_dict(event_type: EventType, data: Any) -> Any:
    return _dict_type(Envelope, type=Literal[event_type.name], data=data)


def event_model(event_type: EventType, version: int) -> type[Envelope]:
    """The model of a whole event of one version of a type."""
    name = "".join(part.capitalize() for part in event_type.name.replace(".", "_").split("_"))
    this_type: Any = Literal[event_type.name]
    data = event_type.models[version - 1]
    return create_model(name, __base__=Envelope, type=(this_type, ...), data=(data, ...))


def data_dict(model: type[BaseModel]) -> TypeAdapter[dict[str, Any]]:
    """A validator of `data` alone that gives a plain dict."""
    return TypeAdapter(_dict_type(model))


def _one_of(types: list[Any]) -> Any:
    return Annotated[Union[tuple(types)], Field(discriminator="type")]  # noqa: UP007 - computed, `|` cannot say it


_DATA_TYPES: Final = {event_type.model: _dict_type(event_type.model) for event_type in EVENT_TYPES.values()}

EVENT_DICT: Final[TypeAdapter[dict[str, Any]]] = TypeAdapter(
    _one_of([_event_dict(event_type, _DATA_TYPES[event_type.model]) for event_type in EVENT_TYPES.values()])
)
"""A whole structured event, of any type of the catalogue at its current version, as a dict with a dict as `data`."""

ENVELOPE_DICT: Final[TypeAdapter[dict[str, Any]]] = TypeAdapter(_dict_type(Envelope))
"""The attributes alone."""

DATA_DICT: Final[Mapping[str, TypeAdapter[dict[str, Any]]]] = {
    event_type.name: TypeAdapter(_DATA_TYPES[event_type.model]) for event_type in EVENT_TYPES.values()
}
"""`data` alone, by type, at its current version."""

EVENT_MODELS: Final[Mapping[str, type[Envelope]]] = {
    event_type.name: event_model(event_type, event_type.version) for event_type in EVENT_TYPES.values()
}
"""The model of a whole event at the current version, by type."""

AnyEvent: Any = _one_of(list(EVENT_MODELS.values()))
"""Any event of the contract: for JSON Schema, documentation and tools; decoding uses EVENT_DICT."""
