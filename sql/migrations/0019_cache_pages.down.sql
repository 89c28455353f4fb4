CREATE INDEX channel_members_active ON collab.channel_members (channel_id) WHERE is_active;
DROP INDEX collab.channel_members_active_users;
DROP FUNCTION runtime.living_value(text, jsonb, uuid, uuid, timestamptz, timestamptz);
CREATE FUNCTION runtime.living_value(
    kind text, value jsonb, user_id uuid, workspace_id uuid, began_at timestamptz, last_at timestamptz
) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT value || CASE kind
        WHEN 'session' THEN jsonb_build_object(
            'user_id', user_id, 'workspace_id', workspace_id,
            'created_at', to_char(began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'last_activity', to_char(last_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
        WHEN 'connection' THEN jsonb_build_object(
            'user_id', user_id, 'workspace_id', workspace_id,
            'connected_at', to_char(began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
        ELSE jsonb_build_object('last_seen', to_char(began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
    END
$$;
