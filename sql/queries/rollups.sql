-- name: add_to_hours
-- The last two arrays say who posted in which of the hours; who was not a member of it yet raises its unique_users.
-- Increments and new members are added up, not joined: a join of two lists without an index would be quadratic.
WITH members AS (
    INSERT INTO runtime.hour_members (channel_id, hour, user_id, workspace_id)
    SELECT ($2::uuid[]) [m.place], ($3::timestamptz[]) [m.place], m.user_id, ($1::uuid[]) [m.place]
    FROM unnest($7::uuid[], $8::int[]) AS m (user_id, place)
    ON CONFLICT DO NOTHING
    RETURNING workspace_id, channel_id, hour
), added AS (
    SELECT workspace_id, channel_id, hour, messages, 0 AS users, length, revised_at
    FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::int[], $5::bigint[], $6::timestamptz[])
        AS h (workspace_id, channel_id, hour, messages, length, revised_at)
    UNION ALL
    SELECT workspace_id, channel_id, hour, 0, 1, 0, NULL FROM members
)
INSERT INTO analytics.message_analytics AS a
    (workspace_id, channel_id, hour, message_count, unique_users, total_message_length, revised_at)
SELECT workspace_id, channel_id, hour, sum(messages), sum(users), sum(length), max(revised_at)
FROM added GROUP BY workspace_id, channel_id, hour ORDER BY workspace_id, channel_id, hour
ON CONFLICT (workspace_id, channel_id, hour) DO UPDATE SET
    message_count = a.message_count + excluded.message_count,
    unique_users = a.unique_users + excluded.unique_users,
    total_message_length = a.total_message_length + excluded.total_message_length,
    revised_at = greatest(a.revised_at, excluded.revised_at)

-- name: add_day_members
WITH added AS (
    INSERT INTO runtime.day_members (workspace_id, date, user_id)
    SELECT * FROM unnest($1::uuid[], $2::date[], $3::uuid[])
    ON CONFLICT DO NOTHING
    RETURNING workspace_id, date
)
SELECT workspace_id, date, count(*)::int AS users FROM added GROUP BY workspace_id, date

-- name: add_to_days
INSERT INTO analytics.daily_active_users AS a
    (workspace_id, date, user_count, message_count, reaction_count, file_upload_count, revised_at)
SELECT * FROM unnest($1::uuid[], $2::date[], $3::int[], $4::int[], $5::int[], $6::int[], $7::timestamptz[])
ON CONFLICT (workspace_id, date) DO UPDATE SET
    user_count = a.user_count + excluded.user_count,
    message_count = a.message_count + excluded.message_count,
    reaction_count = a.reaction_count + excluded.reaction_count,
    file_upload_count = a.file_upload_count + excluded.file_upload_count,
    revised_at = greatest(a.revised_at, excluded.revised_at)

-- name: add_to_users
INSERT INTO analytics.user_activity AS a
    (workspace_id, user_id, date, messages_sent, reactions_given, files_uploaded, time_spent_us, revised_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::date[], $4::int[], $5::int[], $6::int[], $7::bigint[], $8::timestamptz[])
ON CONFLICT (workspace_id, user_id, date) DO UPDATE SET
    messages_sent = a.messages_sent + excluded.messages_sent,
    reactions_given = a.reactions_given + excluded.reactions_given,
    files_uploaded = a.files_uploaded + excluded.files_uploaded,
    time_spent_us = a.time_spent_us + excluded.time_spent_us,
    revised_at = greatest(a.revised_at, excluded.revised_at)
