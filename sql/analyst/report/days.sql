-- title: Messages per day
-- description: Days of the workspace's time zone; replies are part of the messages.
-- param: workspace workspace
-- param: first date -- first day of the month, in the workspace's zone
-- param: next date -- first day of the next month
-- plot: bar x=day_local y=messages,replies
SELECT d.day_utc AS day_local, coalesce(a.messages, 0) AS messages, coalesce(a.replies, 0) AS replies,
       coalesce(a.posters, 0) AS posters, coalesce(a.reactions, 0) AS reactions, coalesce(a.files, 0) AS files, a.hours
FROM analytics.calendar d
LEFT JOIN analytics.daily_activity_local a
    ON a.workspace_id = :workspace AND a.day_local = d.day_utc AND a.day_local >= :first AND a.day_local < :next
WHERE d.day_utc >= :first AND d.day_utc < :next AND d.day_utc <= (now() AT TIME ZONE 'UTC')::date
ORDER BY 1
