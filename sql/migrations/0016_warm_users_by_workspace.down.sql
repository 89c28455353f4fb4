CREATE INDEX warm_users_workspace ON runtime.warm_users (workspace_id);
DROP INDEX runtime.warm_users_by_workspace;
