-- title: Daily, weekly and monthly active users
-- description: True distincts of 1, 7 and 30 days. Stickiness is the share of the month's users who were there that day.
-- param: workspace workspace -- id, slug or name
-- param: since date = today-30 -- first day
-- plot: line x=day_utc y=dau,wau,mau unit=users
SELECT day_utc, dau, wau, mau, round(dau::numeric / nullif(mau, 0), 3) AS stickiness
FROM analytics.active_users
WHERE workspace_id = :workspace AND day_utc >= :since AND day_utc < (now() AT TIME ZONE 'UTC')::date
ORDER BY day_utc
