-- Rollups by rule A, and the members that make their distinct counts exact: a user counts in a bucket when, and only
-- when, a member row was really inserted. Members are never taken out, as nothing ends having been active.

CREATE TABLE analytics.daily_active_users (
    workspace_id uuid NOT NULL, date date NOT NULL,
    user_count integer NOT NULL DEFAULT 0,
    message_count integer NOT NULL DEFAULT 0,
    reaction_count integer NOT NULL DEFAULT 0,
    file_upload_count integer NOT NULL DEFAULT 0,
    revised_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, date)
) WITH (fillfactor = 50);

CREATE TABLE analytics.message_analytics (
    workspace_id uuid NOT NULL, channel_id uuid NOT NULL, hour timestamptz NOT NULL,
    message_count integer NOT NULL DEFAULT 0,
    unique_users integer NOT NULL DEFAULT 0,
    total_message_length bigint NOT NULL DEFAULT 0,
    avg_message_length double precision
        GENERATED ALWAYS AS (total_message_length::double precision / nullif(message_count, 0)) STORED,
    revised_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, channel_id, hour)
) WITH (fillfactor = 70);
CREATE INDEX message_analytics_hour ON analytics.message_analytics (workspace_id, hour);

CREATE TABLE analytics.user_activity (
    workspace_id uuid NOT NULL, user_id uuid NOT NULL, date date NOT NULL,
    messages_sent integer NOT NULL DEFAULT 0,
    reactions_given integer NOT NULL DEFAULT 0,
    files_uploaded integer NOT NULL DEFAULT 0,
    time_spent_us bigint NOT NULL DEFAULT 0,
    time_spent_minutes integer GENERATED ALWAYS AS ((time_spent_us / 60000000)::integer) STORED,
    revised_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, user_id, date)
) WITH (fillfactor = 60);
CREATE INDEX user_activity_date ON analytics.user_activity (workspace_id, date);

CREATE TABLE runtime.day_members (
    workspace_id uuid NOT NULL, date date NOT NULL, user_id uuid NOT NULL,
    PRIMARY KEY (workspace_id, date, user_id)
);
CREATE TABLE runtime.hour_members (
    channel_id uuid NOT NULL, hour timestamptz NOT NULL, user_id uuid NOT NULL, workspace_id uuid NOT NULL,
    PRIMARY KEY (channel_id, hour, user_id, workspace_id)
);

COMMENT ON TABLE analytics.daily_active_users IS 'Activity by workspace and UTC day of the event time.';
COMMENT ON COLUMN analytics.daily_active_users.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.daily_active_users.date IS 'UTC day.';
COMMENT ON COLUMN analytics.daily_active_users.user_count IS
    'Distinct users who posted, reacted, uploaded, read or recorded an activity on that day.';
COMMENT ON COLUMN analytics.daily_active_users.message_count IS
    'Messages of types text, file and bot posted, once each; deleted ones and edits do not change it.';
COMMENT ON COLUMN analytics.daily_active_users.reaction_count IS
    'Distinct (message, user, emoji), counted on the day of the earliest add; removing does not change it.';
COMMENT ON COLUMN analytics.daily_active_users.file_upload_count IS
    'Files, counted on the day of their earliest upload; deleting does not change it.';
COMMENT ON COLUMN analytics.daily_active_users.revised_at IS 'Append time of the newest event that changed the row, UTC.';

COMMENT ON TABLE analytics.message_analytics IS 'Messages of types text, file and bot by channel and hour of the event time.';
COMMENT ON COLUMN analytics.message_analytics.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.message_analytics.channel_id IS 'Channel.';
COMMENT ON COLUMN analytics.message_analytics.hour IS 'Start of the hour, UTC.';
COMMENT ON COLUMN analytics.message_analytics.message_count IS 'Messages posted, once each, deleted or not.';
COMMENT ON COLUMN analytics.message_analytics.unique_users IS 'Distinct authors of these messages.';
COMMENT ON COLUMN analytics.message_analytics.total_message_length IS
    'Sum of the lengths as posted, in Unicode code points; edits and erasure do not change it.';
COMMENT ON COLUMN analytics.message_analytics.avg_message_length IS
    'Mean length as posted, in Unicode code points; null where there is no message.';
COMMENT ON COLUMN analytics.message_analytics.revised_at IS 'Append time of the newest event that changed the row, UTC.';

COMMENT ON TABLE analytics.user_activity IS 'What each user did by workspace and UTC day of the event time.';
COMMENT ON COLUMN analytics.user_activity.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.user_activity.user_id IS 'User.';
COMMENT ON COLUMN analytics.user_activity.date IS 'UTC day.';
COMMENT ON COLUMN analytics.user_activity.messages_sent IS 'Messages of types text, file and bot posted by the user.';
COMMENT ON COLUMN analytics.user_activity.reactions_given IS
    'Distinct (message, emoji) of the user, counted on the day of the earliest add.';
COMMENT ON COLUMN analytics.user_activity.files_uploaded IS 'Files, counted on the day of their earliest upload.';
COMMENT ON COLUMN analytics.user_activity.time_spent_us IS
    'Length of the user''s sessions within the day, in microseconds; sessions of which both ends are known, 24 h each at most.';
COMMENT ON COLUMN analytics.user_activity.time_spent_minutes IS 'time_spent_us in whole minutes, rounded down.';
COMMENT ON COLUMN analytics.user_activity.revised_at IS 'Append time of the newest event that changed the row, UTC.';

GRANT SELECT, INSERT, UPDATE, DELETE ON analytics.daily_active_users, analytics.message_analytics,
    analytics.user_activity, runtime.day_members, runtime.hour_members TO tailrace_worker;
