"""Users, workspaces, their members, invitations and integrations."""

from datetime import datetime

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
from tailrace.verification.fold_membership import Endings, membership

USER_PROFILE = (
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
USER_PREFERENCES = ("notification_settings", "theme_preferences")
WORKSPACE_PROFILE = (
    "name",
    "slug",
    "domain",
    "description",
    "avatar_url",
    "owner_id",
    "settings",
    "plan_type",
    "max_members",
    "billing_email",
    "subscription_status",
    "sso_enabled",
    "require_2fa",
)
MEMBER_PROFILE = ("role", "title", "department", "permissions", "timezone", "invited_by")
INVITATION = ("workspace_id", "email", "role", "expires_at", "created_by")
INTEGRATION = ("workspace_id", "integration_type", "config", "scopes", "channel_id", "installed_by")

LastSeen = dict[tuple[str, str], datetime]
"""(workspace_id, user_id) → greatest `time` of that user's session and activity events in that workspace."""


def users(log: Log) -> Table:
    """Fold `collab.users`: profile, status, preferences, last login are four registers; erasure wins over them."""
    subjects = log.subjects(
        "user.registered",
        "user.updated",
        "user.status_changed",
        "user.preferences_changed",
        "user.logged_in",
        "user.erased",
        by=by_fields("user_id"),
    )
    return {key: _user(user) for key, user in subjects.items()}


def _user(user: Subject) -> Row:
    profile = user.last("user.registered", "user.updated")
    status = user.last("user.status_changed")
    preferences = user.last("user.preferences_changed")
    login = user.last("user.logged_in")
    erasure = user.last("user.erased")
    row = {
        **columns_of(profile, USER_PROFILE),
        **columns_of(preferences, USER_PREFERENCES),
        "status": status.data["status"] if status else "active",
        "last_login_at": time_of(login),
    }
    if erasure:
        row = {**dict.fromkeys(row), "display_name": "Deleted user", "status": "deleted"}
    return {
        **row,
        "created_at": time_of(user.first("user.registered")),
        "updated_at": newest_time(profile, status, preferences, login, erasure),
    }


def workspace_members(log: Log, endings: Endings, last_seen: LastSeen) -> Table:
    """Fold `collab.workspace_members`; erasure and the workspace's deletion end memberships (32, 35)."""
    subjects = log.subjects(
        "workspace_member.joined",
        "workspace_member.updated",
        "workspace_member.left",
        by=by_fields("workspace_id", "user_id"),
    )
    table: dict[Key, Row] = {}
    for (workspace_id, user_id), events in subjects.items():
        own = membership(
            events.all("workspace_member.joined"),
            events.all("workspace_member.updated"),
            events.all("workspace_member.left"),
        )
        if own is None:
            continue
        left_at = own.own_left_at or endings.erased_at(user_id) or endings.deleted_at(workspace_id)
        table[workspace_id, user_id] = {
            **columns_of(own.profile, MEMBER_PROFILE),
            "status": "deactivated" if left_at else "active",
            "joined_at": own.joined_at,
            "left_at": left_at,
            "last_seen_at": last_seen.get((workspace_id, user_id)),
            "updated_at": own.updated_at,
        }
    return table


def workspaces(log: Log, members: Table) -> Table:
    """Fold `collab.workspaces`; `members` is the folded `workspace_members`, whose active rows are counted."""
    subjects = log.subjects("workspace.created", "workspace.updated", "workspace.deleted", by=by_fields("workspace_id"))
    counts: dict[str, int] = {}
    for (workspace_id, _), member in members.items():
        counts[workspace_id] = counts.get(workspace_id, 0) + (member["status"] == "active")
    table: dict[Key, Row] = {}
    for (workspace_id,), workspace in subjects.items():
        profile = workspace.last("workspace.created", "workspace.updated")
        deletion = workspace.last("workspace.deleted")
        table[workspace_id,] = {
            **columns_of(profile, WORKSPACE_PROFILE),
            "member_count": counts.get(workspace_id, 0),
            "created_at": time_of(workspace.first("workspace.created")),
            "updated_at": newest_time(profile, deletion),
            "deleted_at": time_of(deletion),
        }
    return table


def workspace_invitations(log: Log) -> Table:
    """Fold `collab.workspace_invitations`: created's columns, `used_at`, `revoked_at` are three registers (2)."""
    subjects = log.subjects(
        "invitation.created", "invitation.accepted", "invitation.revoked", by=by_fields("invitation_id")
    )
    table: dict[Key, Row] = {}
    for key, invitation in subjects.items():
        created = invitation.last("invitation.created")
        row = {
            **columns_of(created, INVITATION),
            "created_at": time_of(invitation.first("invitation.created")),
            "used_at": time_of(invitation.last("invitation.accepted")),
            "revoked_at": time_of(invitation.last("invitation.revoked")),
        }
        if created is None:
            # "Written only by its own kind" (2) against "the columns that are known" (11): both are right.
            known = invitation.all("invitation.accepted", "invitation.revoked")
            row["workspace_id"] = OneOf((None, *(event.data["workspace_id"] for event in known)))
        table[key] = row
    return table


def integrations(log: Log) -> Table:
    """Fold `collab.integrations`: one register, and no row while the newest event is `removed` (13)."""
    subjects = log.subjects(
        "integration.installed", "integration.updated", "integration.removed", by=by_fields("integration_id")
    )
    table: dict[Key, Row] = {}
    for key, integration in subjects.items():
        removal = integration.last("integration.removed")
        newest = integration.last("integration.installed", "integration.updated", "integration.removed")
        if newest is not None and newest is not removal:
            app, health = newest.data["app"], newest.data["health"]
            table[key] = {
                **columns_of(newest, INTEGRATION),
                "app_name": app["name"],
                "app_id": app["app_id"],
                "status": health["status"],
                "last_error": health["last_error"],
                "created_at": time_of(integration.first("integration.installed")),
                "updated_at": newest.time,
            }
    return table
