-- title: Members of a channel
-- description: Joins, leaves and members at the end of each day with a change.
-- param: workspace workspace -- id, slug or name
-- param: channel channel -- id, or name of a public channel
-- param: since date = today-365 -- first day
-- plot: step x=day_utc y=members_end unit=members
SELECT day_utc, joins, leaves, members_end
FROM analytics.channel_growth
WHERE workspace_id = :workspace AND channel_id = :channel AND day_utc >= :since
ORDER BY day_utc
