-- title: Active users
-- description: Distinct people of one, seven and thirty UTC days: who posted, reacted, uploaded, read or recorded an activity.
-- param: workspace workspace
-- param: first date -- first day of the month, in the workspace's zone
-- param: next date -- first day of the next month
-- plot: line x=day_utc y=one_day,seven_days,thirty_days unit=users
SELECT day_utc, dau AS one_day, wau AS seven_days, mau AS thirty_days
FROM analytics.active_users
WHERE workspace_id = :workspace AND day_utc >= :first AND day_utc < :next
ORDER BY day_utc
