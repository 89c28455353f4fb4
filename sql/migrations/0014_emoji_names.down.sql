DROP VIEW analytics.top_reactions;
CREATE VIEW analytics.top_reactions AS
SELECT x.workspace_id, d.day_utc, x.emoji, x.reactions AS count, x.distinct_users
FROM analytics.calendar d
CROSS JOIN LATERAL (
    SELECT f.workspace_id, f.emoji, count(*)::int AS reactions, count(DISTINCT f.user_id)::int AS distinct_users
    FROM (
        SELECT coalesce(c.workspace_id, (SELECT m.workspace_id FROM analytics.messages m
                                         WHERE m.message_id = r.message_id AND m.created_at = r.message_created_at))
                   AS workspace_id,
               r.emoji, r.user_id
        FROM collab.message_reactions r LEFT JOIN collab.channels c ON c.channel_id = r.channel_id
        WHERE r.first_added_at >= d.starts_at AND r.first_added_at < d.ends_at
    ) AS f
    GROUP BY f.workspace_id, f.emoji
) AS x;
COMMENT ON VIEW analytics.top_reactions IS 'Reactions by workspace, UTC day and emoji.
deletes: removed ones stay counted
bots: counted
late: an earlier add moves it to its day';
COMMENT ON COLUMN analytics.top_reactions.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.top_reactions.day_utc IS 'Day of the earliest add.';
COMMENT ON COLUMN analytics.top_reactions.emoji IS 'Canonical emoji, or :name: of a custom one; skin tones are separate.';
COMMENT ON COLUMN analytics.top_reactions.count IS 'Distinct (message, user).';
COMMENT ON COLUMN analytics.top_reactions.distinct_users IS 'Distinct users who gave it.';
GRANT SELECT ON analytics.top_reactions TO tailrace_analyst, tailrace_worker;
DROP TABLE analytics.emoji_names;
