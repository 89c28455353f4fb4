-- title: Busiest channels
-- description: Channels by messages since a day, with the distinct people who wrote in their busiest hour and their members.
-- param: workspace workspace -- id, slug or name
-- param: since date = today-30 -- first day
-- param: top int = 15 -- how many
-- plot: hbar x=messages y=channel
SELECT coalesce(c.label, a.channel_id::text) AS channel, c.channel_type, sum(a.message_count)::bigint AS messages,
       max(a.unique_users) AS busiest_hour_users,
       round(sum(a.total_message_length)::numeric / nullif(sum(a.message_count), 0), 0) AS avg_chars, max(c.member_count) AS members
FROM analytics.message_analytics a LEFT JOIN analytics.channels c ON c.channel_id = a.channel_id
WHERE a.workspace_id = :workspace AND a.hour >= :since::date::timestamp AT TIME ZONE 'UTC'
GROUP BY a.channel_id, c.label, c.channel_type
ORDER BY messages DESC, channel LIMIT :top
