-- title: The month in numbers
-- param: workspace workspace
-- param: first date -- first day of the month, in the workspace's zone
-- param: next date -- first day of the next month
WITH bounds AS (
    SELECT coalesce(w.zone, 'UTC') AS zone, :first::timestamp AT TIME ZONE coalesce(w.zone, 'UTC') AS starts_at,
           :next::timestamp AT TIME ZONE coalesce(w.zone, 'UTC') AS ends_at
    FROM (SELECT 1) AS one LEFT JOIN analytics.workspaces w ON w.workspace_id = :workspace
), posts AS (
    SELECT count(*) AS messages, count(DISTINCT m.user_id) AS posters, count(m.thread_id) AS replies
    FROM bounds b JOIN analytics.messages m ON m.posted_at >= b.starts_at AND m.posted_at < b.ends_at
    WHERE m.workspace_id = :workspace AND m.message_type IN ('text', 'file', 'bot')
), answers AS (
    SELECT count(t.first_response_seconds) AS answered,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY t.first_response_seconds) AS median_s
    FROM bounds b JOIN analytics.thread_stats t ON t.started_at >= b.starts_at AND t.started_at < b.ends_at
    WHERE t.workspace_id = :workspace
), days AS (
    SELECT coalesce(sum(reaction_count), 0)::bigint AS reactions, coalesce(sum(file_upload_count), 0)::bigint AS files
    FROM analytics.daily_active_users WHERE workspace_id = :workspace AND date >= :first AND date < :next
), people AS (
    SELECT max(mau) FILTER (WHERE newest) AS mau
    FROM (SELECT mau, day_utc = max(day_utc) OVER () AS newest FROM analytics.active_users
          WHERE workspace_id = :workspace AND day_utc >= :first AND day_utc < :next) AS days
)
SELECT messages, posters, replies, coalesce(mau, 0) AS mau, reactions, files, answered, round(median_s::numeric / 60, 1) AS median_minutes
FROM posts, answers, days, people
