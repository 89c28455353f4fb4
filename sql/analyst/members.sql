-- title: People who came and went
-- description: Newest memberships of the workspace that began or ended, by week (UTC).
-- param: workspace workspace -- id, slug or name
-- param: since date = today-180 -- first day
-- plot: bar x=week y=joins,leaves unit=people
SELECT date_trunc('week', day_utc::timestamp)::date AS week, sum(joins)::int AS joins, sum(leaves)::int AS leaves
FROM analytics.daily_activity
WHERE workspace_id = :workspace AND day_utc >= :since
GROUP BY 1 ORDER BY 1
