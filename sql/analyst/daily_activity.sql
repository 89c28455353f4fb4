-- title: Messages and reactions per day
-- description: What happened on each UTC day, quiet days too; the running day is left out.
-- param: workspace workspace -- id, slug or name
-- param: since date = today-30 -- first day
-- plot: bar x=day_utc y=messages,reactions
SELECT day_utc, active_users, posters, messages, replies, reactions, files, joins, leaves, revised_at
FROM analytics.daily_activity
WHERE workspace_id = :workspace AND day_utc >= :since AND day_utc < (now() AT TIME ZONE 'UTC')::date
ORDER BY day_utc
