DROP VIEW analytics.data_dictionary;
COMMENT ON TABLE analytics.daily_active_users IS 'Activity by workspace and UTC day of the event time.';
COMMENT ON TABLE analytics.message_analytics IS 'Messages of types text, file and bot by channel and hour of the event time.';
COMMENT ON TABLE analytics.user_activity IS 'What each user did by workspace and UTC day of the event time.';
COMMENT ON TABLE analytics.events IS NULL;
COMMENT ON COLUMN analytics.events.event_id IS NULL;
COMMENT ON COLUMN analytics.events.created_at IS NULL;
COMMENT ON COLUMN analytics.events.workspace_id IS NULL;
COMMENT ON COLUMN analytics.events.user_id IS NULL;
COMMENT ON COLUMN analytics.events.event_type IS NULL;
COMMENT ON COLUMN analytics.events.metadata IS NULL;
REVOKE ALL ON ALL TABLES IN SCHEMA analytics, collab FROM tailrace_analyst;
REVOKE SELECT (workspace_id, name, slug, plan_type, max_members, subscription_status, sso_enabled, require_2fa, member_count,
               created_at, updated_at, deleted_at) ON collab.workspaces FROM tailrace_analyst;
REVOKE SELECT (channel_id, workspace_id, channel_type, is_archived, is_general, allow_threads, allow_file_upload,
               allow_external_sharing, member_count, last_message_at, created_at, updated_at, archived_at, deleted_at)
    ON collab.channels FROM tailrace_analyst;
REVOKE USAGE ON SCHEMA analytics, collab FROM tailrace_analyst;
