CREATE OR REPLACE VIEW analytics.channel_members_history AS
SELECT workspace_id, channel_id, user_id, role, joined_at, left_at, is_active
FROM collab.channel_members WHERE joined_at IS NOT NULL;
CREATE OR REPLACE VIEW analytics.channel_growth AS
SELECT workspace_id, channel_id, day_utc, joins, leaves,
       (sum(joins - leaves) OVER (PARTITION BY workspace_id, channel_id ORDER BY day_utc))::int AS members_end
FROM (
    SELECT workspace_id, channel_id, day_utc, sum(joined)::int AS joins, sum(1 - joined)::int AS leaves
    FROM (
        SELECT workspace_id, channel_id, (joined_at AT TIME ZONE 'UTC')::date AS day_utc, 1 AS joined
        FROM collab.channel_members WHERE joined_at IS NOT NULL AND (is_active OR left_at IS NOT NULL)
        UNION ALL
        SELECT workspace_id, channel_id, (greatest(left_at, joined_at) AT TIME ZONE 'UTC')::date, 0
        FROM collab.channel_members WHERE joined_at IS NOT NULL AND left_at IS NOT NULL AND NOT is_active
    ) AS changes GROUP BY workspace_id, channel_id, day_utc
) AS days;
COMMENT ON VIEW analytics.channel_members_history IS 'The newest stay of everybody who ever joined a channel. Who left and came back has one row, the newest stay.';
COMMENT ON COLUMN analytics.channel_members_history.role IS 'Role, newest known.';
COMMENT ON VIEW analytics.channel_growth IS 'Joins and leaves of each channel by UTC day; days without a change have no row.
deletes: who left counts until then
bots: counted
late: correct their day; who joins again is counted with the newest stay only';
DROP TABLE collab.channel_member_moves, collab.workspace_removals;
