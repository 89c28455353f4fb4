-- title: When people write
-- description: Mean messages per hour of the clock on each day of the week.
-- param: workspace workspace
-- param: first date -- first day of the month, in the workspace's zone
-- param: next date -- first day of the next month
-- plot: heatmap x=hour_local y=weekday value=messages unit=messages
WITH weeks AS (
    SELECT extract(isodow FROM day_utc)::int AS dow, count(*) AS n
    FROM analytics.calendar WHERE day_utc >= :first AND day_utc < :next AND day_utc <= (now() AT TIME ZONE 'UTC')::date GROUP BY 1
), counted AS (
    SELECT extract(isodow FROM day_local)::int AS dow, hour_local, sum(messages) AS messages
    FROM analytics.hourly_activity_local
    WHERE workspace_id = :workspace AND day_local >= :first AND day_local < :next
    GROUP BY 1, 2
)
SELECT (ARRAY['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'])[w.dow] AS weekday, h AS hour_local,
       round(coalesce(c.messages, 0)::numeric / w.n, 1) AS messages
FROM weeks w CROSS JOIN generate_series(0, 23) AS h
LEFT JOIN counted c ON c.dow = w.dow AND c.hour_local = h
ORDER BY w.dow, h
