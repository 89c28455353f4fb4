"""Files, and which of them are attached to which message."""

from tailrace.schemas.event import Event
from tailrace.verification.fold_log import (
    Key,
    Log,
    OneOf,
    Row,
    Subject,
    Table,
    by_fields,
    columns_of,
    newest_time,
    time_of,
)
from tailrace.verification.fold_membership import Endings
from tailrace.verification.fold_messages import Postings

UPLOAD = (
    "uploader_id",
    "filename",
    "original_filename",
    "file_size",
    "mime_type",
    "file_hash",
    "storage_provider",
    "storage_bucket",
    "storage_key",
    "storage_region",
    "is_public",
    "tags",
    "expires_at",
)
FILE_EVENTS = ("file.uploaded", "file.processed", "file.scanned", "file.accessed", "file.deleted")

Shares = dict[tuple[str, str], Event]
"""(message_id, file_id) → the `shared` that holds the register."""


def uploaded_files(log: Log) -> dict[str, Subject]:
    """file_id → its events, for the files that were uploaded; the others' events are parked (rule P)."""
    files = log.subjects(*FILE_EVENTS, by=by_fields("file_id"))
    return {file_id: events for (file_id,), events in files.items() if events.all("file.uploaded")}


def files_table(files: dict[str, Subject], endings: Endings) -> Table:
    """Fold `collab.files`: upload, processing, scan and deletion are four registers; accesses are counted (47)."""
    table: dict[Key, Row] = {}
    for file_id, events in files.items():
        upload = events.last("file.uploaded")
        if upload is None:
            continue
        key = upload.data["workspace_id"], file_id
        deletion = events.last("file.deleted")
        erased_at = endings.erased_at(upload.data["uploader_id"])
        if erased_at is not None:
            # The other columns of an erased uploader's file are free (31).
            table[key] = {"deleted_at": time_of(deletion) or erased_at}
            continue
        table[key] = _file(events, upload)
        if deletion is not None or upload.data.get("expires_at") is None:
            # A file whose expiry passed counts as deleted once the keeper ran, and no event says so (49).
            table[key]["deleted_at"] = time_of(deletion)
    return table


def _file(events: Subject, upload: Event) -> Row:
    processing, scan = events.last("file.processed"), events.last("file.scanned")
    accesses = events.all("file.accessed")
    row = {
        **columns_of(upload, UPLOAD),
        **columns_of(processing, ("processing_status", "thumbnails", "extracted_text")),
        **columns_of(scan, ("virus_scan_status", "virus_scan_result")),
        "download_count": len(accesses),
        "last_accessed_at": newest_time(*accesses),
        "created_at": time_of(events.first("file.uploaded")),
        "updated_at": newest_time(upload, processing, scan, events.last("file.deleted")),
    }
    # Before the first event of its kind a status is unknown (11) or waiting to be known: both say the same.
    if processing is None:
        row["processing_status"] = OneOf((None, "pending"))
    if scan is None:
        row["virus_scan_status"] = OneOf((None, "pending"))
    return row


def current_shares(log: Log, postings: Postings, files: dict[str, Subject]) -> Shares:
    """Shares that stand; a share waits until both its message and its file are there (46)."""

    def pair(event: Event) -> tuple[str, str] | None:
        message_id = postings.message_of(event)
        file_id = event.data["file_id"]
        return (message_id, file_id) if message_id is not None and file_id in files else None

    found: Shares = {}
    for key, events in log.subjects("file.shared", "file.unshared", by=pair).items():
        holder = events.last("file.shared", "file.unshared")
        if holder is not None and holder.type.endswith(".shared"):
            found[key] = holder
    return found


def message_files(shares: Shares) -> Table:
    """Fold `collab.message_files`: a row per share that stands, also of deleted and infected files (30)."""
    return {
        key: {
            "channel_id": share.data["channel_id"],
            "file_comment": share.data.get("file_comment"),
            "attached_at": share.time,
        }
        for key, share in shares.items()
    }


def messages_with_files(shares: Shares, files: dict[str, Subject], endings: Endings) -> dict[str, bool | OneOf]:
    """message_id → `has_files`, for the messages where it is or may be true (30, 49)."""
    found: dict[str, bool | OneOf] = {}
    for message_id, file_id in shares:
        upload, scan = files[file_id].last("file.uploaded"), files[file_id].last("file.scanned")
        is_infected = scan is not None and scan.data["virus_scan_status"] == "infected"
        if upload is None or is_infected or files[file_id].all("file.deleted"):
            continue
        if endings.erased_at(upload.data["uploader_id"]) is not None:
            continue
        if upload.data.get("expires_at") is None:
            found[message_id] = True
        else:
            found.setdefault(message_id, OneOf((False, True)))
    return found
