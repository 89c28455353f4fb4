"""Files and their shares into messages (rule P; rulings 29, 30, 46 to 49)."""

from tailrace.projections.entity import Entity
from tailrace.projections.registers import Registers, Row, assign, held_at, latest, stamp, take, take_lowest
from tailrace.schemas.event import Event

_UPLOAD = (
    "uploader_id", "filename", "original_filename", "file_size", "mime_type", "file_hash", "storage_provider",
    "storage_bucket", "storage_key", "storage_region", "is_public", "tags", "expires_at",
)  # fmt: skip
_PROCESSING = ("processing_status", "thumbnails", "extracted_text")
_SCAN = ("virus_scan_status", "virus_scan_result")


def _fold_file(row: Row, event: Event) -> bool:
    registers = row["registers"]
    changed = False
    match event.type:
        case "collab.file.uploaded":
            changed = take_lowest(registers, "created", event) | _take_first_upload(registers, event)
            if take(registers, "upload", event):
                assign(row, event.data, _UPLOAD)
                changed = True
        case "collab.file.processed":
            if changed := take(registers, "processing", event):
                assign(row, event.data, _PROCESSING)
        case "collab.file.scanned":
            if changed := take(registers, "scan", event):
                assign(row, event.data, _SCAN)
        case "collab.file.deleted":
            changed = take(registers, "deleted", event)
    if changed:
        row["created_at"] = held_at(registers, "created")
        row["updated_at"] = latest(registers, "upload", "processing", "scan", "deleted")
        row["deleted_at"] = held_at(registers, "deleted")
    return changed


def _take_first_upload(registers: Registers, event: Event) -> bool:
    """Keep the earliest upload by time: rollups count the file there, whatever the sequences say (ruling 65)."""
    upload = [stamp(event.time), event.data["uploader_id"]]
    held = registers.get("first_upload")
    if held is not None and held <= upload:
        return False
    registers["first_upload"] = upload
    return True


FILES = Entity(
    table="collab.files",
    key=("workspace_id", "file_id"),
    columns=(*_UPLOAD, *_PROCESSING, *_SCAN, "created_at", "updated_at", "deleted_at", "registers"),
    types=frozenset(f"collab.file.{kind}" for kind in ("uploaded", "processed", "scanned", "deleted")),
    fold=_fold_file,
)


def _fold_share(row: Row, event: Event) -> bool:
    shared = event.type == "collab.file.shared"
    if not take(row["registers"], "share", event, shared):
        return False
    row["workspace_id"] = event.data["workspace_id"]
    if shared:
        assign(row, event.data, ("channel_id", "file_comment"))
        row["attached_at"] = event.time
    return True


SHARES = Entity(
    table="collab.message_files",
    key=("message_id", "file_id"),
    columns=("workspace_id", "channel_id", "file_comment", "attached_at", "registers"),
    types=frozenset({"collab.file.shared", "collab.file.unshared"}),
    fold=_fold_share,
    absent=lambda row: not row["registers"]["share"][3],
)
