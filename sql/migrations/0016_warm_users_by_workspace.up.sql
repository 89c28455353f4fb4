-- A fill of the unread counts takes its users workspace by workspace: neighbours share channels.
CREATE INDEX warm_users_by_workspace ON runtime.warm_users (workspace_id, user_id);
DROP INDEX runtime.warm_users_workspace;
