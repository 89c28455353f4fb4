-- title: Favourite reactions
-- description: Reactions given since a day, removed ones too; each user, message and emoji once.
-- param: workspace workspace -- id, slug or name
-- param: since date = today-30 -- first day
-- param: top int = 15 -- how many
-- plot: hbar x=reactions y=emoji
SELECT emoji, sum(count)::bigint AS reactions, round(100 * sum(count) / sum(sum(count)) OVER (), 1) AS percent
FROM analytics.top_reactions
WHERE workspace_id = :workspace AND day_utc >= :since
GROUP BY emoji ORDER BY reactions DESC, emoji LIMIT :top
