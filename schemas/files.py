"""Data of the events of the files topic."""

from typing import Literal

from tailrace.schemas.fields import Data, FreeObject, Id, Int8, Timestamp


class FileUploaded(Data):
    """`file_size` in bytes."""

    file_id: Id
    workspace_id: Id
    uploader_id: Id
    filename: str
    original_filename: str
    file_size: Int8
    mime_type: str
    file_hash: str
    storage_provider: str
    storage_bucket: str
    storage_key: str
    storage_region: str | None = None
    is_public: bool
    tags: list[str]
    expires_at: Timestamp | None = None


class FileProcessed(Data):
    file_id: Id
    workspace_id: Id
    processing_status: Literal["pending", "processing", "completed", "failed"]
    thumbnails: FreeObject | None = None
    extracted_text: str | None = None


class FileScanned(Data):
    file_id: Id
    workspace_id: Id
    virus_scan_status: Literal["pending", "clean", "infected", "failed"]
    virus_scan_result: str | None = None


class FileShare(Data):
    """`message_created_at` is a hint, as in every event about a message (ruling 40a)."""

    file_id: Id
    workspace_id: Id
    channel_id: Id
    message_id: Id
    message_created_at: Timestamp | None = None
    file_comment: str | None = None


class FileUse(Data):
    file_id: Id
    workspace_id: Id
    user_id: Id
