-- title: Time spent per active user
-- description: Mean and median minutes in sessions, per UTC day, over users with a session on that day.
-- param: workspace workspace -- id, slug or name
-- param: since date = today-30 -- first day
-- plot: line x=day_utc y=mean_minutes,median_minutes unit=minutes
SELECT date AS day_utc, count(*) AS users, round(avg(time_spent_us)::numeric / 60000000, 1) AS mean_minutes,
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY time_spent_us))::numeric / 60000000, 1) AS median_minutes
FROM analytics.user_activity
WHERE workspace_id = :workspace AND date >= :since AND date < (now() AT TIME ZONE 'UTC')::date AND time_spent_us > 0
GROUP BY date ORDER BY date
