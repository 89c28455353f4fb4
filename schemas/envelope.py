"""The CloudEvents 1.0 envelope, JSON structured mode (contract, section 1)."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from tailrace.schemas.fields import STRICT, Id, NonEmpty, Sequence, Timestamp

CONTENT_TYPE = "application/cloudevents+json"


class Envelope(BaseModel):
    """The attributes of every event; `data` is added by the model of each type.

    Missing or null required attributes do not fit, unknown attributes are dropped (ruling 77). An optional one that
    is null is absent. `schemaversion` None means 1. `source` and `subject` are not parsed, only not empty.
    """

    model_config = STRICT

    specversion: Literal["1.0"]
    id: Id
    type: NonEmpty
    source: NonEmpty
    subject: NonEmpty
    time: Timestamp
    sequence: Sequence
    schemaversion: Annotated[int, Field(ge=1)] | None = None
    workspaceid: Id | None = None
    correlationid: str | None = None
    causationid: str | None = None
