"""Data of the events of the directory topic: users, workspaces, their members, invitations, integrations."""

from typing import Literal

from tailrace.schemas.fields import Data, FreeObject, Id, Int4, Timestamp

WorkspaceRole = Literal["owner", "admin", "member", "guest"]
IntegrationType = Literal["webhook", "oauth", "bot"]
IntegrationStatus = Literal["active", "disabled", "error"]


class UserProfile(Data):
    user_id: Id
    email: str
    username: str
    display_name: str
    avatar_url: str | None = None
    timezone: str
    title: str | None = None
    phone: str | None = None
    bio: str | None = None
    pronouns: str | None = None
    language: str


class UserStatus(Data):
    user_id: Id
    status: Literal["active", "suspended", "deleted"]


class UserPreferences(Data):
    user_id: Id
    notification_settings: FreeObject
    theme_preferences: FreeObject


class UserRef(Data):
    user_id: Id


class WorkspaceProfile(Data):
    """`settings` may hold `retention_days` and `timezone`; neither is checked here (ruling 83)."""

    workspace_id: Id
    name: str
    slug: str
    domain: str | None = None
    description: str | None = None
    avatar_url: str | None = None
    owner_id: Id
    settings: FreeObject
    plan_type: str
    max_members: Int4
    billing_email: str | None = None
    subscription_status: str
    sso_enabled: bool
    require_2fa: bool


class WorkspaceRef(Data):
    workspace_id: Id


class WorkspaceMembership(Data):
    workspace_id: Id
    user_id: Id
    role: WorkspaceRole
    title: str | None = None
    department: str | None = None
    permissions: FreeObject | None = None
    timezone: str | None = None
    invited_by: Id | None = None


class WorkspaceMemberLeft(Data):
    workspace_id: Id
    user_id: Id
    removed_by: Id | None = None


class InvitationCreated(Data):
    invitation_id: Id
    workspace_id: Id
    email: str
    role: WorkspaceRole
    expires_at: Timestamp
    created_by: Id


class InvitationClosed(Data):
    invitation_id: Id
    workspace_id: Id
    user_id: Id | None = None


class IntegrationStateV1(Data):
    """Version 1: the contract's."""

    integration_id: Id
    workspace_id: Id
    app_name: str
    app_id: str
    integration_type: IntegrationType
    config: FreeObject
    scopes: list[str]
    channel_id: Id | None = None
    status: IntegrationStatus
    last_error: str | None = None
    installed_by: Id


class App(Data):
    """Which app it is. `publisher` is who offers it; no table holds that."""

    app_id: str
    name: str
    publisher: str | None = None


class IntegrationStateV2(Data):
    """Version 2: what belongs to the app stands together."""

    integration_id: Id
    workspace_id: Id
    app: App
    integration_type: IntegrationType
    config: FreeObject
    scopes: list[str]
    channel_id: Id | None = None
    status: IntegrationStatus
    last_error: str | None = None
    installed_by: Id


class Health(Data):
    """How the integration is doing. `since` is when it came into that status; no table holds that."""

    status: IntegrationStatus
    last_error: str | None = None
    since: Timestamp | None = None


class IntegrationState(Data):
    """Version 3: what belongs to its health stands together, too."""

    integration_id: Id
    workspace_id: Id
    app: App
    integration_type: IntegrationType
    config: FreeObject
    scopes: list[str]
    channel_id: Id | None = None
    health: Health
    installed_by: Id


class IntegrationRef(Data):
    integration_id: Id
    workspace_id: Id
