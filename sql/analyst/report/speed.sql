-- title: Where answers take longest
-- description: Median hours until another person answers; channels with at least three answered threads.
-- param: workspace workspace
-- param: first date -- first day of the month, in the workspace's zone
-- param: next date -- first day of the next month
-- plot: hbar x=median_hours y=channel unit=hours
WITH bounds AS (
    SELECT coalesce(w.zone, 'UTC') AS zone, :first::timestamp AT TIME ZONE coalesce(w.zone, 'UTC') AS starts_at,
           :next::timestamp AT TIME ZONE coalesce(w.zone, 'UTC') AS ends_at
    FROM (SELECT 1) AS one LEFT JOIN analytics.workspaces w ON w.workspace_id = :workspace
)
SELECT coalesce(c.label, t.channel_id::text) AS channel, count(*) AS answered_threads,
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY t.first_response_seconds))::numeric / 3600, 1) AS median_hours,
       round((percentile_cont(0.9) WITHIN GROUP (ORDER BY t.first_response_seconds))::numeric / 3600, 1) AS p90_hours
FROM bounds b
JOIN analytics.thread_stats t ON t.started_at >= b.starts_at AND t.started_at < b.ends_at
LEFT JOIN analytics.channels c ON c.channel_id = t.channel_id
WHERE t.workspace_id = :workspace AND t.first_response_seconds IS NOT NULL
GROUP BY t.channel_id, c.label HAVING count(*) >= 3
ORDER BY median_hours DESC, channel LIMIT 10
