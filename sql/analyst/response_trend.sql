-- title: How fast people answer, week by week
-- description: Time until another person answers, by the week (UTC) in which the thread began.
-- param: workspace workspace -- id, slug or name
-- param: since date = today-90 -- first day
-- plot: line x=week y=p50_minutes,p90_minutes unit=minutes
SELECT date_trunc('week', started_at AT TIME ZONE 'UTC')::date AS week, count(*) AS answered_threads,
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY first_response_seconds))::numeric / 60, 1) AS p50_minutes,
       round((percentile_cont(0.9) WITHIN GROUP (ORDER BY first_response_seconds))::numeric / 60, 1) AS p90_minutes
FROM analytics.thread_stats
WHERE workspace_id = :workspace AND started_at >= :since::date::timestamp AT TIME ZONE 'UTC' AND first_response_seconds IS NOT NULL
GROUP BY 1 ORDER BY 1
