-- title: Longest threads
-- description: Threads by visible replies since a day.
-- param: workspace workspace -- id, slug or name
-- param: since date = today-30 -- first day
-- param: top int = 20 -- how many
SELECT t.started_at, coalesce(c.label, t.channel_id::text) AS channel, t.thread_id, t.replies, t.participants,
       t.first_response_seconds, t.last_reply_at
FROM analytics.thread_stats t LEFT JOIN analytics.channels c ON c.channel_id = t.channel_id
WHERE t.workspace_id = :workspace AND t.started_at >= :since::date::timestamp AT TIME ZONE 'UTC'
ORDER BY t.replies DESC, t.started_at LIMIT :top
