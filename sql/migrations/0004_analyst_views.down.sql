DROP VIEW
    analytics.workspaces, analytics.channels, analytics.messages, analytics.messages_text,
    analytics.calendar, analytics.workspace_days, analytics.freshness_partitions, analytics.freshness,
    analytics.dead_letters, analytics.daily_activity, analytics.hourly_activity, analytics.hourly_channel_activity,
    analytics.user_daily, analytics.active_users, analytics.retention_weekly, analytics.channel_members_current,
    analytics.channel_members_history, analytics.channel_growth, analytics.top_reactions, analytics.thread_stats,
    analytics.response_times, analytics.daily_activity_local, analytics.hourly_activity_local, analytics.rollup_differences;
DROP TABLE runtime.time_zones;
DROP INDEX collab.messages_times, collab.messages_archive_times, collab.message_reactions_first_added;
REVOKE ALL ON ALL TABLES IN SCHEMA analytics, collab FROM tailrace_analyst;
REVOKE SELECT (workspace_id, name, slug, plan_type, max_members, subscription_status, sso_enabled, require_2fa, member_count,
               created_at, updated_at, deleted_at) ON collab.workspaces FROM tailrace_analyst;
REVOKE SELECT (channel_id, workspace_id, channel_type, is_archived, is_general, allow_threads, allow_file_upload,
               allow_external_sharing, member_count, last_message_at, created_at, updated_at, archived_at, deleted_at)
    ON collab.channels FROM tailrace_analyst;
REVOKE USAGE ON SCHEMA analytics, collab FROM tailrace_analyst;
