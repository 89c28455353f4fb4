-- title: Which channels answer slowly?
-- description: Median and 90th percentile of the time until another person answers, over threads that a person began.
-- param: workspace workspace -- id, slug or name
-- param: since date = today-30 -- first day
-- param: threads int = 5 -- channels with fewer answered threads are left out
-- plot: hbar x=p50_minutes y=channel unit=minutes
SELECT coalesce(c.label, t.channel_id::text) AS channel, count(*) AS answered_threads,
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY t.first_response_seconds))::numeric / 60, 1) AS p50_minutes,
       round((percentile_cont(0.9) WITHIN GROUP (ORDER BY t.first_response_seconds))::numeric / 60, 1) AS p90_minutes
FROM analytics.thread_stats t LEFT JOIN analytics.channels c ON c.channel_id = t.channel_id
WHERE t.workspace_id = :workspace AND t.started_at >= :since::date::timestamp AT TIME ZONE 'UTC'
  AND t.first_response_seconds IS NOT NULL
GROUP BY t.channel_id, c.label HAVING count(*) >= :threads
ORDER BY p50_minutes DESC, channel LIMIT 20
