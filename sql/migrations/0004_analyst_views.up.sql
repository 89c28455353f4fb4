-- What analysts read: views over the rollups and over the facts behind them, in version 1.
--
-- Within a version columns are only added; another meaning is another view (`…_v2`). Expensive columns are subqueries in
-- the select list, which cost nothing where they are not asked for; days are joined LATERAL, so that a filter on the day
-- reaches the partitions and the BRINs.

-- BRIN: messages and reactions come nearly in order of time, and an index of a few pages costs writers nothing.
CREATE INDEX messages_times ON collab.messages USING brin (created_at, posted_at) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX messages_archive_times ON collab.messages_archive USING brin (created_at, posted_at);
CREATE INDEX message_reactions_first_added ON collab.message_reactions USING brin (first_added_at)
    WITH (pages_per_range = 32, autosummarize = on);

-- pg_timezone_names reads six hundred files each time. AT TIME ZONE takes four of these names for abbreviations without
-- daylight saving, so they are written as the zones that have had their rules since 1996.
CREATE TABLE runtime.time_zones (name text PRIMARY KEY, zone text NOT NULL);
INSERT INTO runtime.time_zones
SELECT name, CASE name WHEN 'CET' THEN 'Europe/Brussels' WHEN 'MET' THEN 'Europe/Brussels'
                       WHEN 'EET' THEN 'Europe/Athens' WHEN 'WET' THEN 'Europe/Lisbon' ELSE name END
FROM pg_timezone_names WHERE name !~ '^(posix/|right/|localtime$|posixrules$|Factory$)';

-- ── what exists ──────────────────────────────────────────────────────────────────────────────────────────────────

CREATE VIEW analytics.workspaces AS
SELECT w.workspace_id, w.name, w.slug, w.plan_type, w.member_count, coalesce(z.zone, 'UTC') AS zone,
       z.zone IS NOT NULL OR nullif(w.settings ->> 'timezone', '') IS NULL AS zone_known,
       w.created_at, w.deleted_at
FROM collab.workspaces w LEFT JOIN runtime.time_zones z ON z.name = w.settings ->> 'timezone';

CREATE VIEW analytics.channels AS
SELECT c.channel_id, c.workspace_id,
       CASE WHEN c.channel_type = 'public' THEN c.name END AS channel_name,
       coalesce(CASE WHEN c.channel_type = 'public' THEN '#' || c.name END,
                coalesce(replace(c.channel_type, '_', ' '), 'channel') || ' ' || left(c.channel_id::text, 8)) AS label,
       c.channel_type, c.is_general, c.is_archived, c.member_count, c.last_message_at, c.created_at, c.archived_at, c.deleted_at
FROM collab.channels c;

CREATE VIEW analytics.messages AS
SELECT message_id, created_at, workspace_id, channel_id, user_id, message_type, posted_at, posted_length,
       thread_id, reply_count, last_reply_at, is_pinned, is_deleted, deleted_at, has_files, edited_at, edit_count,
       cardinality(mentions) AS mention_count,
       (SELECT coalesce(sum(jsonb_array_length(e.value)), 0)::int FROM jsonb_each(reactions) AS e) AS reaction_count,
       false AS is_archived
FROM collab.messages
UNION ALL
SELECT message_id, created_at, workspace_id, channel_id, user_id, message_type, posted_at, posted_length,
       thread_id, reply_count, last_reply_at, is_pinned, is_deleted, deleted_at, has_files, edited_at, edit_count,
       cardinality(mentions),
       (SELECT coalesce(sum(jsonb_array_length(e.value)), 0)::int FROM jsonb_each(reactions) AS e),
       true
FROM collab.messages_archive;

CREATE VIEW analytics.messages_text AS
SELECT message_id, created_at, workspace_id, channel_id, user_id, message_type,
       CASE WHEN NOT is_deleted THEN content END AS body, thread_id, edited_at, deleted_at
FROM collab.messages
UNION ALL
SELECT message_id, created_at, workspace_id, channel_id, user_id, message_type,
       CASE WHEN NOT is_deleted THEN content END, thread_id, edited_at, deleted_at
FROM collab.messages_archive;

-- Every day since the first that an event can have (rule T): days without partitions are pruned at run time.
CREATE VIEW analytics.calendar AS
SELECT d::date AS day_utc, d AT TIME ZONE 'UTC' AS starts_at, (d + interval '1 day') AT TIME ZONE 'UTC' AS ends_at
FROM generate_series(timestamp '2000-01-01', (now() AT TIME ZONE 'UTC') + interval '1 day', interval '1 day') AS d;

CREATE VIEW analytics.workspace_days AS
SELECT s.workspace_id, (s.first_day + n) AS day_utc
FROM (
    SELECT workspace_id, min(day) AS first_day, max(day) AS last_day
    FROM (
        SELECT workspace_id, date AS day FROM analytics.daily_active_users
        UNION ALL SELECT workspace_id, (joined_at AT TIME ZONE 'UTC')::date FROM collab.workspace_members
        UNION ALL SELECT workspace_id, (left_at AT TIME ZONE 'UTC')::date FROM collab.workspace_members
    ) AS days GROUP BY workspace_id
) AS s CROSS JOIN LATERAL generate_series(0, s.last_day - s.first_day) AS n;

-- ── how far the data goes ────────────────────────────────────────────────────────────────────────────────────────

CREATE VIEW analytics.freshness_partitions AS
SELECT projection, version, topic, partition, next_offset, append_time AS data_to, event_time AS event_to, updated_at, halted_code
FROM runtime.progress;

CREATE VIEW analytics.freshness AS
SELECT p.projection, p.version, p.data_to, p.event_to, p.applied_at,
       round(extract(epoch FROM greatest(now() - p.data_to, interval '0')), 1) AS lag_seconds,
       CASE WHEN p.halted > 0 THEN 'halted' WHEN p.data_to IS NULL THEN 'new'
            WHEN p.data_to > now() - interval '60 s' THEN 'current' ELSE 'quiet' END AS state,
       p.partitions, p.halted AS halted_partitions,
       (SELECT count(*) FROM runtime.dead_letters d WHERE d.projection = p.projection AND d.resolved_at IS NULL) AS open_dead_letters,
       (SELECT count(*) FROM runtime.parked_events e WHERE e.projection = p.projection) AS parked_events
FROM (
    SELECT projection, version, max(append_time) AS data_to, max(event_time) AS event_to, max(updated_at) AS applied_at,
           count(*)::int AS partitions, count(halted_code)::int AS halted
    FROM runtime.progress GROUP BY projection, version
) AS p;

CREATE VIEW analytics.dead_letters AS
SELECT projection, topic, partition, "offset", format('%s/%s@%s', topic, partition, "offset") AS source,
       code, reason, event_type AS type, workspace_id, attempts, first_failed_at, last_failed_at, resolved_at, resolution
FROM runtime.dead_letters;

-- ── activity ─────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE VIEW analytics.daily_activity AS
SELECT d.workspace_id, d.day_utc,
       coalesce(a.user_count, 0) AS active_users,
       (SELECT count(*)::int FROM analytics.user_activity u
        WHERE u.workspace_id = d.workspace_id AND u.date = d.day_utc AND u.messages_sent > 0) AS posters,
       coalesce(a.message_count, 0) AS messages,
       (SELECT count(*)::int FROM analytics.messages m
        WHERE m.workspace_id = d.workspace_id AND m.thread_id IS NOT NULL AND m.message_type IN ('text', 'file', 'bot')
          AND m.posted_at >= d.day_utc::timestamp AT TIME ZONE 'UTC'
          AND m.posted_at < (d.day_utc + 1)::timestamp AT TIME ZONE 'UTC') AS replies,
       coalesce(a.reaction_count, 0) AS reactions,
       coalesce(a.file_upload_count, 0) AS files,
       (SELECT count(*)::int FROM collab.workspace_members j
        WHERE j.workspace_id = d.workspace_id AND (j.joined_at AT TIME ZONE 'UTC')::date = d.day_utc) AS joins,
       (SELECT count(*)::int FROM collab.workspace_members l
        WHERE l.workspace_id = d.workspace_id AND (l.left_at AT TIME ZONE 'UTC')::date = d.day_utc) AS leaves,
       a.revised_at
FROM analytics.workspace_days d
LEFT JOIN analytics.daily_active_users a ON a.workspace_id = d.workspace_id AND a.date = d.day_utc;

CREATE VIEW analytics.hourly_activity AS
SELECT a.workspace_id, a.hour, sum(a.message_count)::int AS messages,
       (SELECT count(DISTINCT h.user_id)::int
        FROM analytics.message_analytics c JOIN runtime.hour_members h ON h.channel_id = c.channel_id AND h.hour = c.hour
        WHERE c.workspace_id = a.workspace_id AND c.hour = a.hour AND h.workspace_id = a.workspace_id) AS posters,
       round(sum(a.total_message_length)::numeric / nullif(sum(a.message_count), 0), 1) AS avg_chars,
       max(a.revised_at) AS revised_at
FROM analytics.message_analytics a GROUP BY a.workspace_id, a.hour;

CREATE VIEW analytics.hourly_channel_activity AS
SELECT workspace_id, channel_id, hour, sum(messages)::int AS messages, sum(unique_posters)::int AS unique_posters,
       round(sum(characters)::numeric / nullif(sum(messages), 0), 1) AS avg_chars, sum(reactions)::int AS reactions,
       max(revised_at) AS revised_at
FROM (
    SELECT workspace_id, channel_id, hour, message_count AS messages, unique_users AS unique_posters,
           total_message_length AS characters, 0 AS reactions, revised_at
    FROM analytics.message_analytics
    UNION ALL
    SELECT coalesce(c.workspace_id, (SELECT m.workspace_id FROM analytics.messages m
                                     WHERE m.message_id = r.message_id AND m.created_at = r.message_created_at)),
           r.channel_id, date_trunc('hour', r.first_added_at, 'UTC'), 0, 0, 0, 1, NULL
    FROM collab.message_reactions r LEFT JOIN collab.channels c ON c.channel_id = r.channel_id
    WHERE r.first_added_at IS NOT NULL
) AS parts GROUP BY workspace_id, channel_id, hour;

CREATE VIEW analytics.user_daily AS
SELECT a.workspace_id, a.user_id, a.date AS day_utc, a.messages_sent AS messages,
       (SELECT count(*)::int FROM analytics.messages m
        WHERE m.workspace_id = a.workspace_id AND m.user_id = a.user_id AND m.thread_id IS NOT NULL
          AND m.message_type IN ('text', 'file', 'bot')
          AND m.posted_at >= a.date::timestamp AT TIME ZONE 'UTC'
          AND m.posted_at < (a.date + 1)::timestamp AT TIME ZONE 'UTC') AS replies,
       a.reactions_given,
       -- The message one by one: a join would read all messages for each day.
       (SELECT count(*)::int FROM collab.message_reactions r
        WHERE r.first_added_at >= a.date::timestamp AT TIME ZONE 'UTC'
          AND r.first_added_at < (a.date + 1)::timestamp AT TIME ZONE 'UTC'
          AND (SELECT (m.workspace_id, m.user_id) = (a.workspace_id, a.user_id) FROM analytics.messages m
               WHERE m.message_id = r.message_id AND m.created_at = r.message_created_at)) AS reactions_received,
       (SELECT count(DISTINCT m.channel_id)::int FROM analytics.messages m
        WHERE m.workspace_id = a.workspace_id AND m.user_id = a.user_id AND m.message_type IN ('text', 'file', 'bot')
          AND m.posted_at >= a.date::timestamp AT TIME ZONE 'UTC'
          AND m.posted_at < (a.date + 1)::timestamp AT TIME ZONE 'UTC') AS channels_touched,
       a.files_uploaded AS files, a.time_spent_minutes, a.revised_at
FROM analytics.user_activity a;

CREATE VIEW analytics.active_users AS
SELECT d.workspace_id, d.day_utc, coalesce(a.user_count, 0) AS dau,
       (SELECT count(*)::int FROM (
            SELECT DISTINCT m.user_id FROM runtime.day_members m
            WHERE m.workspace_id = d.workspace_id AND m.date BETWEEN d.day_utc - 6 AND d.day_utc) AS week) AS wau,
       (SELECT count(*)::int FROM (
            SELECT DISTINCT m.user_id FROM runtime.day_members m
            WHERE m.workspace_id = d.workspace_id AND m.date BETWEEN d.day_utc - 29 AND d.day_utc) AS month) AS mau
FROM analytics.workspace_days d
LEFT JOIN analytics.daily_active_users a ON a.workspace_id = d.workspace_id AND a.date = d.day_utc;

CREATE VIEW analytics.retention_weekly AS
SELECT c.workspace_id, c.cohort_week, n AS week_n, c.cohort_size, coalesce((c.returned ->> n::text)::int, 0) AS returned,
       round(coalesce((c.returned ->> n::text)::int, 0)::numeric / c.cohort_size, 4) AS ratio
FROM (
    -- Nothing here is read twice, so that a filter on the workspace reaches the innermost table.
    SELECT workspace_id, cohort_week, max(users) FILTER (WHERE week = cohort_week) AS cohort_size,
           jsonb_object_agg(((week - cohort_week) / 7)::text, users) AS returned,
           max(max(week)) OVER (PARTITION BY workspace_id) AS last_week
    FROM (
        SELECT workspace_id, cohort_week, week, count(*)::int AS users
        FROM (
            SELECT workspace_id, week, min(week) OVER (PARTITION BY workspace_id, user_id) AS cohort_week
            FROM (SELECT DISTINCT workspace_id, user_id, date_trunc('week', date::timestamp)::date AS week
                  FROM runtime.day_members) AS weeks
        ) AS members GROUP BY workspace_id, cohort_week, week
    ) AS cells GROUP BY workspace_id, cohort_week
) AS c
CROSS JOIN LATERAL generate_series(0, (c.last_week - c.cohort_week) / 7) AS n;

-- ── channels ─────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE VIEW analytics.channel_members_current AS
SELECT workspace_id, channel_id, user_id, role, joined_at FROM collab.channel_members WHERE is_active;

CREATE VIEW analytics.channel_members_history AS
SELECT workspace_id, channel_id, user_id, role, joined_at, left_at, is_active
FROM collab.channel_members WHERE joined_at IS NOT NULL;

CREATE VIEW analytics.channel_growth AS
SELECT workspace_id, channel_id, day_utc, joins, leaves,
       (sum(joins - leaves) OVER (PARTITION BY workspace_id, channel_id ORDER BY day_utc))::int AS members_end
FROM (
    SELECT workspace_id, channel_id, day_utc, sum(joined)::int AS joins, sum(1 - joined)::int AS leaves
    FROM (
        SELECT workspace_id, channel_id, (joined_at AT TIME ZONE 'UTC')::date AS day_utc, 1 AS joined
        FROM collab.channel_members WHERE joined_at IS NOT NULL AND (is_active OR left_at IS NOT NULL)
        UNION ALL
        -- Clocks of producers differ: who left before having joined, left when they joined.
        SELECT workspace_id, channel_id, (greatest(left_at, joined_at) AT TIME ZONE 'UTC')::date, 0
        FROM collab.channel_members WHERE joined_at IS NOT NULL AND left_at IS NOT NULL AND NOT is_active
    ) AS changes GROUP BY workspace_id, channel_id, day_utc
) AS days;

-- ── reactions and threads ────────────────────────────────────────────────────────────────────────────────────────

-- The workspace is the channel's, or the message's where the channel is not known; asking every message would read them all.
CREATE VIEW analytics.top_reactions AS
SELECT x.workspace_id, d.day_utc, x.emoji, x.reactions AS count, x.distinct_users
FROM analytics.calendar d
CROSS JOIN LATERAL (
    SELECT f.workspace_id, f.emoji, count(*)::int AS reactions, count(DISTINCT f.user_id)::int AS distinct_users
    FROM (
        SELECT coalesce(c.workspace_id, (SELECT m.workspace_id FROM analytics.messages m
                                         WHERE m.message_id = r.message_id AND m.created_at = r.message_created_at))
                   AS workspace_id,
               r.emoji, r.user_id
        FROM collab.message_reactions r LEFT JOIN collab.channels c ON c.channel_id = r.channel_id
        WHERE r.first_added_at >= d.starts_at AND r.first_added_at < d.ends_at
    ) AS f
    GROUP BY f.workspace_id, f.emoji
) AS x;

CREATE VIEW analytics.thread_stats AS
SELECT t.message_id AS thread_id, t.workspace_id, t.channel_id, t.user_id, t.message_type, t.created_at AS started_at, t.is_deleted,
       t.reply_count AS replies, r.participants, r.first_reply_seconds, r.first_response_seconds, t.last_reply_at
FROM analytics.messages t
CROSS JOIN LATERAL (
    SELECT (count(DISTINCT a.user_id) + CASE WHEN bool_or(a.user_id = t.user_id) THEN 0 ELSE 1 END)::int AS participants,
           round(extract(epoch FROM min(a.created_at) FILTER (WHERE a.created_at >= t.created_at) - t.created_at), 3) AS first_reply_seconds,
           round(extract(epoch FROM min(a.created_at) FILTER (
               WHERE a.created_at >= t.created_at AND a.user_id <> t.user_id AND a.message_type IN ('text', 'file')
                 AND t.message_type IN ('text', 'file')) - t.created_at), 3) AS first_response_seconds
    FROM analytics.messages a
    -- A reply stamped more than a day before its root is looked for no more: the bound keeps other months out of the plan.
    WHERE a.channel_id = t.channel_id AND a.thread_id = t.message_id AND NOT a.is_deleted
      AND a.created_at >= t.created_at - interval '1 day' AND a.created_at <= t.last_reply_at
) AS r
WHERE t.reply_count > 0;

CREATE VIEW analytics.response_times AS
SELECT x.workspace_id, x.channel_id, d.day_utc, x.threads, x.answered, x.p50_s, x.p90_s
FROM analytics.calendar d
CROSS JOIN LATERAL (
    SELECT t.workspace_id, t.channel_id, count(*)::int AS threads, count(t.first_response_seconds)::int AS answered,
           round((percentile_cont(0.5) WITHIN GROUP (ORDER BY t.first_response_seconds))::numeric, 1) AS p50_s,
           round((percentile_cont(0.9) WITHIN GROUP (ORDER BY t.first_response_seconds))::numeric, 1) AS p90_s
    FROM analytics.thread_stats t
    WHERE t.started_at >= d.starts_at AND t.started_at < d.ends_at AND t.message_type IN ('text', 'file')
    GROUP BY t.workspace_id, t.channel_id
) AS x;

-- ── days of the workspace's time zone ────────────────────────────────────────────────────────────────────────────

-- The bounds are wide by three hours and the date decides: a midnight that comes twice, or never, has no one instant.
CREATE VIEW analytics.daily_activity_local AS
SELECT d.workspace_id, d.day_utc AS day_local, w.zone, b.hours, m.messages, m.posters, m.replies,
       (SELECT count(*)::int
        FROM collab.message_reactions r LEFT JOIN collab.channels c ON c.channel_id = r.channel_id
        WHERE r.first_added_at >= b.starts_at - interval '3 h' AND r.first_added_at < b.ends_at + interval '3 h'
          AND (r.first_added_at AT TIME ZONE w.zone)::date = d.day_utc
          AND coalesce(c.workspace_id, (SELECT m.workspace_id FROM analytics.messages m
                                        WHERE m.message_id = r.message_id AND m.created_at = r.message_created_at))
              = d.workspace_id) AS reactions,
       (SELECT count(*)::int FROM collab.files f
        WHERE f.workspace_id = d.workspace_id
          AND ((f.registers -> 'first_upload' ->> 0)::timestamptz AT TIME ZONE w.zone)::date = d.day_utc) AS files
FROM (SELECT workspace_id, day_utc FROM analytics.workspace_days
      UNION SELECT workspace_id, min(day_utc) - 1 FROM analytics.workspace_days GROUP BY workspace_id
      UNION SELECT workspace_id, max(day_utc) + 1 FROM analytics.workspace_days GROUP BY workspace_id) AS d
LEFT JOIN analytics.workspaces known ON known.workspace_id = d.workspace_id
CROSS JOIN LATERAL (SELECT coalesce(known.zone, 'UTC') AS zone) AS w
CROSS JOIN LATERAL (
    SELECT d.day_utc::timestamp AT TIME ZONE w.zone AS starts_at, (d.day_utc + 1)::timestamp AT TIME ZONE w.zone AS ends_at,
           round(extract(epoch FROM (d.day_utc + 1)::timestamp AT TIME ZONE w.zone - d.day_utc::timestamp AT TIME ZONE w.zone) / 3600, 2) AS hours
) AS b
CROSS JOIN LATERAL (
    SELECT count(*)::int AS messages, count(DISTINCT p.user_id)::int AS posters, count(p.thread_id)::int AS replies
    FROM analytics.messages p
    WHERE p.workspace_id = d.workspace_id AND p.message_type IN ('text', 'file', 'bot')
      AND p.posted_at >= b.starts_at - interval '3 h' AND p.posted_at < b.ends_at + interval '3 h'
      AND (p.posted_at AT TIME ZONE w.zone)::date = d.day_utc
) AS m;

CREATE VIEW analytics.hourly_activity_local AS
SELECT d.workspace_id, d.day_utc AS day_local, w.zone, m.hour_local, m.messages, m.posters
FROM (SELECT workspace_id, day_utc FROM analytics.workspace_days
      UNION SELECT workspace_id, min(day_utc) - 1 FROM analytics.workspace_days GROUP BY workspace_id
      UNION SELECT workspace_id, max(day_utc) + 1 FROM analytics.workspace_days GROUP BY workspace_id) AS d
LEFT JOIN analytics.workspaces known ON known.workspace_id = d.workspace_id
CROSS JOIN LATERAL (SELECT coalesce(known.zone, 'UTC') AS zone) AS w
CROSS JOIN LATERAL (
    SELECT extract(hour FROM p.posted_at AT TIME ZONE w.zone)::int AS hour_local,
           count(*)::int AS messages, count(DISTINCT p.user_id)::int AS posters
    FROM analytics.messages p
    WHERE p.workspace_id = d.workspace_id AND p.message_type IN ('text', 'file', 'bot')
      AND p.posted_at >= (d.day_utc::timestamp AT TIME ZONE w.zone) - interval '3 h'
      AND p.posted_at < ((d.day_utc + 1)::timestamp AT TIME ZONE w.zone) + interval '3 h'
      AND (p.posted_at AT TIME ZONE w.zone)::date = d.day_utc
    GROUP BY extract(hour FROM p.posted_at AT TIME ZONE w.zone)
) AS m;

-- ── the rollups against a recount from the facts ─────────────────────────────────────────────────────────────────

CREATE VIEW analytics.rollup_differences AS
SELECT metric, workspace_id, channel_id, user_id, bucket, sum(rollup)::bigint AS rollup, sum(recount)::bigint AS recount
FROM (
    SELECT 'day.users' AS metric, workspace_id, NULL::uuid AS channel_id, NULL::uuid AS user_id,
           date::timestamp AT TIME ZONE 'UTC' AS bucket, user_count::bigint AS rollup, 0::bigint AS recount
    FROM analytics.daily_active_users
    UNION ALL
    SELECT 'day.users', workspace_id, NULL, NULL, date::timestamp AT TIME ZONE 'UTC', 0, 1 FROM runtime.day_members
    UNION ALL
    SELECT 'day.messages', workspace_id, NULL, NULL, date::timestamp AT TIME ZONE 'UTC', message_count, 0 FROM analytics.daily_active_users
    UNION ALL
    SELECT 'day.messages', workspace_id, NULL, NULL, date_trunc('day', posted_at, 'UTC'), 0, 1
    FROM analytics.messages WHERE message_type IN ('text', 'file', 'bot')
    UNION ALL
    SELECT 'day.reactions', workspace_id, NULL, NULL, date::timestamp AT TIME ZONE 'UTC', reaction_count, 0 FROM analytics.daily_active_users
    UNION ALL
    SELECT 'day.reactions', m.workspace_id, NULL, NULL, date_trunc('day', r.first_added_at, 'UTC'), 0, 1
    FROM collab.message_reactions r
    JOIN analytics.messages m ON m.message_id = r.message_id AND m.created_at = r.message_created_at
    WHERE r.first_added_at IS NOT NULL
    UNION ALL
    SELECT 'day.files', workspace_id, NULL, NULL, date::timestamp AT TIME ZONE 'UTC', file_upload_count, 0 FROM analytics.daily_active_users
    UNION ALL
    SELECT 'day.files', workspace_id, NULL, NULL, date_trunc('day', (registers -> 'first_upload' ->> 0)::timestamptz, 'UTC'), 0, 1
    FROM collab.files WHERE registers ? 'first_upload'
    UNION ALL
    SELECT 'hour.messages', workspace_id, channel_id, NULL, hour, message_count, 0 FROM analytics.message_analytics
    UNION ALL
    SELECT 'hour.messages', workspace_id, channel_id, NULL, date_trunc('hour', posted_at, 'UTC'), 0, 1
    FROM analytics.messages WHERE message_type IN ('text', 'file', 'bot')
    UNION ALL
    SELECT 'hour.characters', workspace_id, channel_id, NULL, hour, total_message_length, 0 FROM analytics.message_analytics
    UNION ALL
    SELECT 'hour.characters', workspace_id, channel_id, NULL, date_trunc('hour', posted_at, 'UTC'), 0, posted_length
    FROM analytics.messages WHERE message_type IN ('text', 'file', 'bot')
    UNION ALL
    SELECT 'hour.users', workspace_id, channel_id, NULL, hour, unique_users, 0 FROM analytics.message_analytics
    UNION ALL
    SELECT 'hour.users', workspace_id, channel_id, NULL, hour, 0, 1
    FROM (SELECT DISTINCT workspace_id, channel_id, user_id, date_trunc('hour', posted_at, 'UTC') AS hour
          FROM analytics.messages WHERE message_type IN ('text', 'file', 'bot')) AS authors
    UNION ALL
    SELECT 'user.messages', workspace_id, NULL, user_id, date::timestamp AT TIME ZONE 'UTC', messages_sent, 0 FROM analytics.user_activity
    UNION ALL
    SELECT 'user.messages', workspace_id, NULL, user_id, date_trunc('day', posted_at, 'UTC'), 0, 1
    FROM analytics.messages WHERE message_type IN ('text', 'file', 'bot')
    UNION ALL
    SELECT 'user.reactions', workspace_id, NULL, user_id, date::timestamp AT TIME ZONE 'UTC', reactions_given, 0 FROM analytics.user_activity
    UNION ALL
    SELECT 'user.reactions', m.workspace_id, NULL, r.user_id, date_trunc('day', r.first_added_at, 'UTC'), 0, 1
    FROM collab.message_reactions r
    JOIN analytics.messages m ON m.message_id = r.message_id AND m.created_at = r.message_created_at
    WHERE r.first_added_at IS NOT NULL
    UNION ALL
    SELECT 'user.files', workspace_id, NULL, user_id, date::timestamp AT TIME ZONE 'UTC', files_uploaded, 0 FROM analytics.user_activity
    UNION ALL
    SELECT 'user.files', workspace_id, NULL, (registers -> 'first_upload' ->> 1)::uuid,
           date_trunc('day', (registers -> 'first_upload' ->> 0)::timestamptz, 'UTC'), 0, 1
    FROM collab.files WHERE registers ? 'first_upload'
    UNION ALL
    SELECT 'user.time_spent_us', workspace_id, NULL, user_id, date::timestamp AT TIME ZONE 'UTC', time_spent_us, 0 FROM analytics.user_activity
    UNION ALL
    SELECT 'user.time_spent_us', s.workspace_id, NULL, s.user_id, d, 0,
           (extract(epoch FROM least(s.until, d + interval '24 h') - greatest(s.started_at, d)) * 1000000)::bigint
    FROM (SELECT workspace_id, user_id, started_at, least(ended_at, started_at + interval '24 h') AS until FROM collab.sessions
          WHERE workspace_id IS NOT NULL AND ended_at > started_at) AS s
    CROSS JOIN LATERAL (SELECT starts_at FROM (VALUES (0), (1)) AS v (n),
                        LATERAL (SELECT date_trunc('day', s.started_at, 'UTC') + v.n * interval '24 h') AS b (starts_at)) AS day (d)
    WHERE d < s.until
) AS parts
GROUP BY metric, workspace_id, channel_id, user_id, bucket
HAVING sum(rollup) <> sum(recount);

-- ── access ───────────────────────────────────────────────────────────────────────────────────────────────────────

-- Texts (messages_text) are granted to people by name. Of the read models only what says nothing about a person.
GRANT USAGE ON SCHEMA analytics, collab TO tailrace_analyst;
GRANT SELECT ON analytics.daily_active_users, analytics.message_analytics, analytics.user_activity, analytics.events,
    analytics.workspaces, analytics.channels, analytics.messages, analytics.calendar,
    analytics.workspace_days, analytics.freshness_partitions, analytics.freshness, analytics.dead_letters,
    analytics.daily_activity, analytics.hourly_activity, analytics.hourly_channel_activity, analytics.user_daily,
    analytics.active_users, analytics.retention_weekly, analytics.channel_members_current, analytics.channel_members_history,
    analytics.channel_growth, analytics.top_reactions, analytics.thread_stats, analytics.response_times,
    analytics.daily_activity_local, analytics.hourly_activity_local, analytics.rollup_differences
    TO tailrace_analyst;
GRANT SELECT (workspace_id, name, slug, plan_type, max_members, subscription_status, sso_enabled, require_2fa, member_count,
              created_at, updated_at, deleted_at) ON collab.workspaces TO tailrace_analyst;
GRANT SELECT (channel_id, workspace_id, channel_type, is_archived, is_general, allow_threads, allow_file_upload,
              allow_external_sharing, member_count, last_message_at, created_at, updated_at, archived_at, deleted_at)
    ON collab.channels TO tailrace_analyst;
GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO tailrace_worker;
GRANT SELECT ON runtime.time_zones TO tailrace_worker;
