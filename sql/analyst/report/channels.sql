-- title: Busiest channels
-- description: By messages of the month; private channels and conversations go without names.
-- param: workspace workspace
-- param: first date -- first day of the month, in the workspace's zone
-- param: next date -- first day of the next month
-- plot: hbar x=messages y=channel
WITH bounds AS (
    SELECT coalesce(w.zone, 'UTC') AS zone, :first::timestamp AT TIME ZONE coalesce(w.zone, 'UTC') AS starts_at,
           :next::timestamp AT TIME ZONE coalesce(w.zone, 'UTC') AS ends_at
    FROM (SELECT 1) AS one LEFT JOIN analytics.workspaces w ON w.workspace_id = :workspace
)
SELECT coalesce(c.label, m.channel_id::text) AS channel, count(*) AS messages, count(DISTINCT m.user_id) AS people,
       max(c.member_count) AS members
FROM bounds b
JOIN analytics.messages m ON m.posted_at >= b.starts_at AND m.posted_at < b.ends_at
LEFT JOIN analytics.channels c ON c.channel_id = m.channel_id
WHERE m.workspace_id = :workspace AND m.message_type IN ('text', 'file', 'bot')
GROUP BY m.channel_id, c.label
ORDER BY messages DESC, channel LIMIT 12
