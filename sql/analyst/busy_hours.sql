-- title: When people write
-- description: Mean messages per hour of the clock and day of the week, in the workspace's time zone.
-- param: workspace workspace -- id, slug or name
-- param: since date = today-28 -- first day; whole weeks compare best
-- plot: heatmap x=hour_local y=weekday value=messages_per_hour unit=messages
WITH days AS (
    SELECT day_utc AS day_local FROM analytics.calendar
    WHERE day_utc >= :since AND day_utc < (now() AT TIME ZONE 'UTC')::date
), weeks AS (
    SELECT extract(isodow FROM day_local)::int AS dow, count(*) AS n FROM days GROUP BY 1
), counted AS (
    SELECT extract(isodow FROM day_local)::int AS dow, hour_local, sum(messages) AS messages
    FROM analytics.hourly_activity_local
    WHERE workspace_id = :workspace AND day_local >= :since AND day_local < (now() AT TIME ZONE 'UTC')::date
    GROUP BY 1, 2
)
SELECT (ARRAY['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'])[w.dow] AS weekday, h AS hour_local,
       round(coalesce(c.messages, 0)::numeric / w.n, 1) AS messages_per_hour
FROM weeks w CROSS JOIN generate_series(0, 23) AS h
LEFT JOIN counted c ON c.dow = w.dow AND c.hour_local = h
ORDER BY w.dow, h
