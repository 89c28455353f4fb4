-- title: Daily active users
-- description: Distinct users per UTC day and the mean of 28 days, which takes the weekly pattern out.
-- param: workspace workspace -- id, slug or name
-- param: since date = today-90 -- first day
-- plot: line x=day_utc y=dau,dau_28 unit=users
SELECT day_utc, dau, dau_28
FROM (
    SELECT day_utc, dau, round(avg(dau) OVER (ORDER BY day_utc ROWS 27 PRECEDING), 1) AS dau_28
    FROM analytics.active_users
    WHERE workspace_id = :workspace AND day_utc >= :since::date - 27 AND day_utc < (now() AT TIME ZONE 'UTC')::date
) AS days
WHERE day_utc >= :since
ORDER BY day_utc
