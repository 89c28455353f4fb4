-- title: Workspaces
-- description: Every workspace with its size and what happened in the last 30 days.
SELECT w.name, w.slug, w.workspace_id, w.member_count AS members, w.zone,
       coalesce(sum(a.message_count), 0)::bigint AS messages_30d, coalesce(sum(a.reaction_count), 0)::bigint AS reactions_30d,
       max(a.date) AS last_active_day
FROM analytics.workspaces w
LEFT JOIN analytics.daily_active_users a ON a.workspace_id = w.workspace_id AND a.date >= (now() AT TIME ZONE 'UTC')::date - 30
WHERE w.deleted_at IS NULL
GROUP BY w.name, w.slug, w.workspace_id, w.member_count, w.zone
ORDER BY messages_30d DESC, w.name
