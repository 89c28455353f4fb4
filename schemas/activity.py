"""Data of the events of the activity topic."""

from tailrace.schemas.fields import Data, FreeObject, Id


class ActivityRecorded(Data):
    workspace_id: Id
    user_id: Id | None = None
    event_type: str
    metadata: FreeObject
