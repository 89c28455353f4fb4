-- Every stay in a channel, not the newest alone; and the names of emoji beside the emoji.

-- What the newest register of a membership forgets. Rows are facts of single events: in any order, any number of times.
CREATE TABLE collab.channel_member_moves (
    event_id uuid PRIMARY KEY,
    channel_id uuid NOT NULL, user_id uuid NOT NULL, workspace_id uuid NOT NULL,
    sequence bigint NOT NULL, moved_at timestamptz NOT NULL, is_join boolean NOT NULL, role text
);
CREATE INDEX channel_member_moves_member ON collab.channel_member_moves (channel_id, user_id);
CREATE TABLE collab.workspace_removals (
    event_id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL, user_id uuid NOT NULL, removed_at timestamptz NOT NULL
);
CREATE INDEX workspace_removals_member ON collab.workspace_removals (workspace_id, user_id, removed_at);

-- The joining of the highest sequence began the stay that collab.channel_members knows. An earlier one was a stay of
-- its own if it ended before the next joining: by a leave, or by a removal from the workspace in between.
CREATE OR REPLACE VIEW analytics.channel_members_history AS
SELECT workspace_id, channel_id, user_id, role, joined_at, left_at, is_active
FROM collab.channel_members WHERE joined_at IS NOT NULL
UNION ALL
SELECT m.workspace_id, m.channel_id, m.user_id, m.role, m.moved_at, greatest(m.moved_at, e.ended_at), false
FROM (
    SELECT workspace_id, channel_id, user_id, role, moved_at, is_join,
           lead(moved_at) OVER moves AS next_at, lead(is_join) OVER moves AS next_is_join,
           count(*) FILTER (WHERE is_join) OVER (moves ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS later_joins
    FROM collab.channel_member_moves
    WINDOW moves AS (PARTITION BY channel_id, user_id ORDER BY sequence, event_id)
) AS m
CROSS JOIN LATERAL (
    SELECT least(CASE WHEN NOT m.next_is_join THEN m.next_at END, (
        SELECT min(r.removed_at) FROM collab.workspace_removals r
        WHERE r.workspace_id = m.workspace_id AND r.user_id = m.user_id
          AND r.removed_at >= m.moved_at AND r.removed_at < m.next_at
    )) AS ended_at
) AS e
WHERE m.is_join AND m.later_joins > 0 AND e.ended_at IS NOT NULL;

CREATE OR REPLACE VIEW analytics.channel_growth AS
SELECT workspace_id, channel_id, day_utc, joins, leaves,
       (sum(joins - leaves) OVER (PARTITION BY workspace_id, channel_id ORDER BY day_utc))::int AS members_end
FROM (
    SELECT workspace_id, channel_id, day_utc, sum(joined)::int AS joins, sum(1 - joined)::int AS leaves
    FROM (
        SELECT workspace_id, channel_id, (joined_at AT TIME ZONE 'UTC')::date AS day_utc, 1 AS joined
        FROM analytics.channel_members_history WHERE is_active OR left_at IS NOT NULL
        UNION ALL
        -- Clocks of producers differ: who left before having joined, left when they joined.
        SELECT workspace_id, channel_id, (greatest(left_at, joined_at) AT TIME ZONE 'UTC')::date, 0
        FROM analytics.channel_members_history WHERE left_at IS NOT NULL AND NOT is_active
    ) AS changes GROUP BY workspace_id, channel_id, day_utc
) AS days;

COMMENT ON TABLE collab.channel_member_moves IS 'Every joining and leaving of a channel, one row for each event, from which the view of that history makes stays. Events applied before this table existed are not in it until a rebuild.';
COMMENT ON COLUMN collab.channel_member_moves.event_id IS 'Event.';
COMMENT ON COLUMN collab.channel_member_moves.channel_id IS 'Channel.';
COMMENT ON COLUMN collab.channel_member_moves.user_id IS 'Who joined or left.';
COMMENT ON COLUMN collab.channel_member_moves.workspace_id IS 'Workspace of the event.';
COMMENT ON COLUMN collab.channel_member_moves.sequence IS 'Sequence of the event: the order of moves of one member.';
COMMENT ON COLUMN collab.channel_member_moves.moved_at IS 'Time of the event, UTC.';
COMMENT ON COLUMN collab.channel_member_moves.is_join IS 'Whether it was a joining.';
COMMENT ON COLUMN collab.channel_member_moves.role IS 'Role joined with; null for a leave.';
COMMENT ON TABLE collab.workspace_removals IS 'Every removal from a workspace, one row for each event: it ends the stays in its channels.';
COMMENT ON COLUMN collab.workspace_removals.event_id IS 'Event.';
COMMENT ON COLUMN collab.workspace_removals.workspace_id IS 'Workspace.';
COMMENT ON COLUMN collab.workspace_removals.user_id IS 'Who was removed or left.';
COMMENT ON COLUMN collab.workspace_removals.removed_at IS 'Time of the event, UTC.';
COMMENT ON VIEW analytics.channel_members_history IS 'Every stay in a channel: who left and came back has one row for each time.';
COMMENT ON COLUMN analytics.channel_members_history.role IS 'Role: newest known of the newest stay, the one joined with of earlier stays.';
COMMENT ON VIEW analytics.channel_growth IS 'Joins and leaves of each channel by UTC day; days without a change have no row.
deletes: who left counts until then
bots: counted
late: correct their day';

GRANT SELECT, INSERT, UPDATE, DELETE ON collab.channel_member_moves, collab.workspace_removals TO tailrace_worker;
