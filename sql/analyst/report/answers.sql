-- title: How long people wait for an answer
-- description: Threads begun in the month by a person, by the time until another person answered.
-- param: workspace workspace
-- param: first date -- first day of the month, in the workspace's zone
-- param: next date -- first day of the next month
-- plot: bar x=answered_after y=threads
WITH bounds AS (
    SELECT coalesce(w.zone, 'UTC') AS zone, :first::timestamp AT TIME ZONE coalesce(w.zone, 'UTC') AS starts_at,
           :next::timestamp AT TIME ZONE coalesce(w.zone, 'UTC') AS ends_at
    FROM (SELECT 1) AS one LEFT JOIN analytics.workspaces w ON w.workspace_id = :workspace
), answers AS (
    SELECT t.first_response_seconds AS s
    FROM bounds b JOIN analytics.thread_stats t ON t.started_at >= b.starts_at AND t.started_at < b.ends_at
    WHERE t.workspace_id = :workspace AND t.first_response_seconds IS NOT NULL
), classes (place, answered_after, from_s, to_s) AS (
    VALUES (1, 'under 5 min', 0, 300), (2, '5–15 min', 300, 900), (3, '15–60 min', 900, 3600), (4, '1–4 h', 3600, 14400),
           (5, '4–24 h', 14400, 86400), (6, 'over a day', 86400, NULL)
)
SELECT c.answered_after, count(a.s) AS threads, round(100.0 * count(a.s) / nullif(sum(count(a.s)) OVER (), 0), 1) AS percent
FROM classes c LEFT JOIN answers a ON a.s >= c.from_s AND (a.s < c.to_s OR c.to_s IS NULL)
GROUP BY c.place, c.answered_after ORDER BY c.place
