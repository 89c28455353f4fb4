-- title: Public channels that fell silent
-- description: Not archived, and nobody wrote for so many days; candidates for archiving, largest first.
-- param: workspace workspace -- id, slug or name
-- param: days int = 60 -- silence, in days
SELECT label AS channel, member_count AS members, last_message_at,
       (now() AT TIME ZONE 'UTC')::date - (last_message_at AT TIME ZONE 'UTC')::date AS silent_days, created_at
FROM analytics.channels
WHERE workspace_id = :workspace AND channel_type = 'public' AND NOT is_archived AND deleted_at IS NULL
  AND coalesce(last_message_at, created_at) < now() - make_interval(days => :days)
ORDER BY members DESC, channel
