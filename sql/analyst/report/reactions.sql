-- title: Favourite reactions
-- description: Each user, message and emoji once, on the UTC day of the earliest add; removed ones too.
-- param: workspace workspace
-- param: first date -- first day of the month, in the workspace's zone
-- param: next date -- first day of the next month
-- plot: hbar x=reactions y=emoji
SELECT emoji, sum(count)::bigint AS reactions, round(100 * sum(count) / sum(sum(count)) OVER (), 1) AS percent
FROM analytics.top_reactions
WHERE workspace_id = :workspace AND day_utc >= :first AND day_utc < :next
GROUP BY emoji ORDER BY reactions DESC, emoji LIMIT 12
