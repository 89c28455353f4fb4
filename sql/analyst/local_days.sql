-- title: Messages per day of the workspace's time zone
-- description: Days as people there lived them, with 23 or 25 hours when the clocks change.
-- param: workspace workspace -- id, slug or name
-- param: since date = today-30 -- first day
-- plot: bar x=day_local y=messages,replies
SELECT day_local, zone, hours, messages, posters, replies, reactions, files
FROM analytics.daily_activity_local
WHERE workspace_id = :workspace AND day_local >= :since
ORDER BY day_local
