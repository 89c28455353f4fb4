-- title: Days that late events corrected
-- description: UTC days whose numbers changed more than a day after they were over, newest correction first.
-- param: workspace workspace -- id, slug or name
-- param: revised_since date = today-7 -- correction not before this day
SELECT day_utc, revised_at, messages, reactions, active_users
FROM analytics.daily_activity
WHERE workspace_id = :workspace AND revised_at >= :revised_since::date::timestamp AT TIME ZONE 'UTC'
  AND revised_at > (day_utc + 2)::timestamp AT TIME ZONE 'UTC'
ORDER BY revised_at DESC, day_utc DESC
