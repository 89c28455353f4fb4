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
