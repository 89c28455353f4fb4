"""Users, workspaces, their members, invitations and integrations (rules R and D)."""

from tailrace.projections.entity import Entity
from tailrace.projections.registers import Row, assign, held_at, latest, take, take_lowest
from tailrace.schemas.event import Event

_PROFILE = (
    "email",
    "username",
    "display_name",
    "avatar_url",
    "timezone",
    "title",
    "phone",
    "bio",
    "pronouns",
    "language",
)
_PREFERENCES = ("notification_settings", "theme_preferences")
_ERASED_TO_NULL = (*(c for c in _PROFILE if c != "display_name"), *_PREFERENCES, "last_login_at")


def _fold_user(row: Row, event: Event) -> bool:
    changed = _take_user(row, event)
    if changed:
        _finish_user(row)
    return changed


def _take_user(row: Row, event: Event) -> bool:
    registers = row["registers"]
    match event.type.rpartition(".")[2]:
        case "status_changed":
            if changed := take(registers, "status", event):
                row["status"] = event.data["status"]
        case "preferences_changed":
            if changed := take(registers, "preferences", event):
                assign(row, event.data, _PREFERENCES)
        case "logged_in":
            if changed := take(registers, "login", event):
                row["last_login_at"] = event.time
        case "erased":
            changed = take(registers, "erased", event)
        case kind:
            changed = kind == "registered" and take_lowest(registers, "created", event)
            if take(registers, "profile", event):
                assign(row, event.data, _PROFILE)
                changed = True
    return changed


def _finish_user(row: Row) -> None:
    registers = row["registers"]
    row["created_at"] = held_at(registers, "created")
    row["updated_at"] = latest(registers, "profile", "status", "preferences", "login", "erased")
    row["erased_at"] = held_at(registers, "erased")
    if row["erased_at"] is not None:  # wins over everything, whatever comes later
        row |= dict.fromkeys(_ERASED_TO_NULL)
        row |= {"display_name": "Deleted user", "status": "deleted"}


USERS = Entity(
    table="collab.users",
    key=("user_id",),
    columns=(*_PROFILE, *_PREFERENCES, "status", "created_at", "updated_at", "last_login_at", "erased_at", "registers"),
    types=frozenset(
        f"collab.user.{kind}"
        for kind in ("registered", "updated", "status_changed", "preferences_changed", "logged_in", "erased")
    ),
    fold=_fold_user,
    defaults={"status": "active"},
)

_WORKSPACE = (
    "name", "slug", "domain", "description", "avatar_url", "owner_id", "settings", "plan_type", "max_members",
    "billing_email", "subscription_status", "sso_enabled", "require_2fa",
)  # fmt: skip


def _fold_workspace(row: Row, event: Event) -> bool:
    registers = row["registers"]
    changed = False
    if event.type == "collab.workspace.deleted":
        changed = take(registers, "deleted", event)
    else:
        if event.type == "collab.workspace.created":
            changed = take_lowest(registers, "created", event)
        if take(registers, "profile", event):
            assign(row, event.data, _WORKSPACE)
            changed = True
    row["created_at"] = held_at(registers, "created")
    row["updated_at"] = latest(registers, "profile", "deleted")
    row["deleted_at"] = held_at(registers, "deleted")
    return changed


WORKSPACES = Entity(
    table="collab.workspaces",
    key=("workspace_id",),
    columns=(*_WORKSPACE, "created_at", "updated_at", "deleted_at", "registers"),
    types=frozenset({"collab.workspace.created", "collab.workspace.updated", "collab.workspace.deleted"}),
    fold=_fold_workspace,
)

_MEMBER = ("role", "title", "department", "permissions", "timezone", "invited_by")


def fold_membership(row: Row, event: Event, columns: tuple[str, ...]) -> bool:
    """Fold a join, update or leave of a workspace or a channel (ruling 1).

    Columns come from the newest join or update, being active from the newest of the three kinds, `joined_at` from the
    newest join (else from the event that decides), and the last removal from the newest leave.
    """
    registers = row["registers"]
    kind = event.type.rpartition(".")[2]
    changed = take(registers, "membership", event, kind != "left")
    if kind == "left":
        changed |= take(registers, "left", event)
    elif take(registers, "settings", event):
        assign(row, event.data, columns)
        changed = True
    if kind == "joined":
        changed |= take(registers, "joined", event)
    if changed:
        row["own_active"] = registers["membership"][3]
        row["own_left_at"] = None if row["own_active"] else held_at(registers, "membership")
        row["joined_at"] = held_at(registers, "joined") or held_at(registers, "membership")
    return changed


def _fold_workspace_member(row: Row, event: Event) -> bool:
    changed = fold_membership(row, event, _MEMBER)
    if changed:
        registers = row["registers"]
        row["last_removed_at"] = held_at(registers, "left")
        row["updated_at"] = latest(registers, "membership", "settings", "joined")
    return changed


WORKSPACE_MEMBERS = Entity(
    table="collab.workspace_members",
    key=("workspace_id", "user_id"),
    columns=(*_MEMBER, "joined_at", "updated_at", "own_active", "own_left_at", "last_removed_at", "registers"),
    types=frozenset(f"collab.workspace_member.{kind}" for kind in ("joined", "updated", "left")),
    fold=_fold_workspace_member,
)

_INVITATION = ("email", "role", "expires_at", "created_by")


def _fold_invitation(row: Row, event: Event) -> bool:
    registers = row["registers"]
    kind = event.type.rpartition(".")[2]
    changed = take(registers, kind, event)
    if kind == "created":
        if changed:
            assign(row, event.data, _INVITATION)
        changed |= take_lowest(registers, "first_created", event)
    if changed:
        if kind == "created" or row["workspace_id"] is None:
            row["workspace_id"] = event.data["workspace_id"]
        row["created_at"] = held_at(registers, "first_created")
        row["used_at"] = held_at(registers, "accepted")
        row["revoked_at"] = held_at(registers, "revoked")
    return changed


INVITATIONS = Entity(
    table="collab.workspace_invitations",
    key=("invitation_id",),
    columns=("workspace_id", *_INVITATION, "created_at", "used_at", "revoked_at", "registers"),
    types=frozenset(f"collab.invitation.{kind}" for kind in ("created", "accepted", "revoked")),
    fold=_fold_invitation,
)

_INTEGRATION = ("workspace_id", "integration_type", "config", "scopes", "channel_id", "installed_by")
_INTEGRATION_WITHIN = ("app_name", "app_id", "status", "last_error")


def _fold_integration(row: Row, event: Event) -> bool:
    registers = row["registers"]
    kind = event.type.rpartition(".")[2]
    changed = kind == "installed" and take_lowest(registers, "created", event)
    if take(registers, "integration", event, kind != "removed"):
        changed = True
        if kind != "removed":
            assign(row, event.data, _INTEGRATION)
            app, health = event.data["app"], event.data["health"]
            row |= {"app_id": app["app_id"], "app_name": app["name"]}
            row |= {"status": health["status"], "last_error": health["last_error"]}
    if changed:
        row["created_at"] = held_at(registers, "created")
        row["updated_at"] = latest(registers, "integration")
    return changed


INTEGRATIONS = Entity(
    table="collab.integrations",
    key=("integration_id",),
    columns=(*_INTEGRATION, *_INTEGRATION_WITHIN, "created_at", "updated_at", "registers"),
    types=frozenset(f"collab.integration.{kind}" for kind in ("installed", "updated", "removed")),
    fold=_fold_integration,
    absent=lambda row: not row["registers"]["integration"][3],
)
