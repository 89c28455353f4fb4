-- Read models of the directory, channels, messages, files and sessions, and the worker's own tables.
--
-- `registers` holds what Rule R needs: for each register of the row [sequence, event id, time, …] of the event that
-- wrote it. `doc_version` rises by one with every change of the row: caches and search documents are stamped with sums
-- of such versions, read together with the state. Columns after the comment "derived from" are not in any event; consumers/postgres recomputes them.
-- No UNIQUE on names and no foreign keys: two entities may swap names in any order, and topics are not ordered
-- against each other.

-- ── directory ────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE collab.users (
    user_id uuid PRIMARY KEY,
    email text, username text, display_name text, avatar_url text, timezone text,
    status text NOT NULL DEFAULT 'active',
    title text, phone text, bio text, pronouns text,
    notification_settings jsonb, theme_preferences jsonb, language text,
    created_at timestamptz, updated_at timestamptz, last_login_at timestamptz,
    erased_at timestamptz,
    doc_version bigint NOT NULL DEFAULT 1,
    registers jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX users_email_lower ON collab.users (lower(email));
CREATE INDEX users_username_lower ON collab.users (lower(username));
CREATE INDEX users_erased ON collab.users (user_id) WHERE erased_at IS NOT NULL;

CREATE TABLE collab.workspaces (
    workspace_id uuid PRIMARY KEY,
    name text, slug text, domain text, description text, avatar_url text, owner_id uuid, settings jsonb,
    plan_type text, max_members integer, billing_email text, subscription_status text,
    sso_enabled boolean, require_2fa boolean,
    member_count integer NOT NULL DEFAULT 0,
    created_at timestamptz, updated_at timestamptz, deleted_at timestamptz,
    doc_version bigint NOT NULL DEFAULT 1,
    registers jsonb NOT NULL DEFAULT '{}'
);

CREATE TABLE collab.workspace_members (
    workspace_id uuid NOT NULL, user_id uuid NOT NULL,
    role text, title text, department text,
    status text NOT NULL DEFAULT 'deactivated',
    invited_by uuid, permissions jsonb, timezone text,
    last_seen_at timestamptz, joined_at timestamptz, left_at timestamptz, updated_at timestamptz,
    -- what the membership's own events say, before erasure and deletion of the workspace end it
    own_active boolean, own_left_at timestamptz, last_removed_at timestamptz,
    doc_version bigint NOT NULL DEFAULT 1,
    registers jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (workspace_id, user_id)
);
CREATE INDEX workspace_members_active ON collab.workspace_members (workspace_id, user_id) WHERE status = 'active';
CREATE INDEX workspace_members_user ON collab.workspace_members (user_id);

CREATE TABLE collab.workspace_invitations (
    invitation_id uuid PRIMARY KEY,
    workspace_id uuid, email text, role text, expires_at timestamptz, created_by uuid,
    created_at timestamptz, used_at timestamptz, revoked_at timestamptz,
    doc_version bigint NOT NULL DEFAULT 1,
    registers jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX workspace_invitations_workspace ON collab.workspace_invitations (workspace_id);

CREATE TABLE collab.integrations (
    integration_id uuid PRIMARY KEY,
    workspace_id uuid, app_name text, app_id text, integration_type text, config jsonb, scopes text[],
    channel_id uuid, status text, last_error text, installed_by uuid,
    created_at timestamptz, updated_at timestamptz,
    doc_version bigint NOT NULL DEFAULT 1,
    registers jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX integrations_workspace ON collab.integrations (workspace_id);

-- ── channels ─────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE collab.channels (
    channel_id uuid PRIMARY KEY,
    workspace_id uuid, name text, display_name text, description text, channel_type text,
    is_archived boolean NOT NULL DEFAULT false,
    is_general boolean NOT NULL DEFAULT false,
    topic text, purpose text, retention_policy jsonb,
    allow_threads boolean, allow_file_upload boolean, allow_external_sharing boolean, created_by uuid,
    member_count integer NOT NULL DEFAULT 0,
    last_message_at timestamptz,
    created_at timestamptz, updated_at timestamptz, archived_at timestamptz, deleted_at timestamptz,
    -- is_general is the result among the workspace's channels, this is the channel's own register
    claims_general boolean NOT NULL DEFAULT false,
    doc_version bigint NOT NULL DEFAULT 1,
    registers jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 80);
CREATE INDEX channels_workspace ON collab.channels (workspace_id) INCLUDE (name, channel_type);
CREATE INDEX channels_active ON collab.channels (workspace_id, channel_id) WHERE NOT is_archived AND deleted_at IS NULL;
CREATE INDEX channels_general ON collab.channels (workspace_id) WHERE claims_general;

CREATE TABLE collab.channel_members (
    channel_id uuid NOT NULL, user_id uuid NOT NULL,
    workspace_id uuid, role text, notification_level text, muted boolean, muted_until timestamptz,
    is_active boolean NOT NULL DEFAULT false,
    joined_at timestamptz, left_at timestamptz, invited_by uuid,
    last_read_message_id uuid, last_read_at timestamptz,
    own_active boolean, own_left_at timestamptz,
    doc_version bigint NOT NULL DEFAULT 1,
    registers jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (channel_id, user_id)
) WITH (fillfactor = 80);
CREATE INDEX channel_members_active ON collab.channel_members (channel_id) WHERE is_active;
CREATE INDEX channel_members_unmuted ON collab.channel_members (user_id, channel_id) WHERE is_active AND muted IS NOT TRUE;
CREATE INDEX channel_members_user ON collab.channel_members (user_id, workspace_id);

CREATE TABLE collab.channel_pins (
    channel_id uuid NOT NULL, message_id uuid NOT NULL,
    pinned_by uuid, pinned_at timestamptz,
    PRIMARY KEY (channel_id, message_id)
);

-- ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE collab.messages (
    message_id uuid NOT NULL, created_at timestamptz NOT NULL,
    workspace_id uuid NOT NULL, channel_id uuid NOT NULL, user_id uuid NOT NULL,
    content text NOT NULL, message_type text NOT NULL, formatted_content jsonb,
    thread_id uuid,
    reply_count integer NOT NULL DEFAULT 0, last_reply_at timestamptz,
    is_pinned boolean NOT NULL DEFAULT false,
    is_deleted boolean NOT NULL DEFAULT false, deleted_at timestamptz,
    reactions jsonb NOT NULL DEFAULT '{}',
    mentions uuid[] NOT NULL DEFAULT '{}',
    has_files boolean NOT NULL DEFAULT false,
    edited_at timestamptz, edit_count integer NOT NULL DEFAULT 0, edit_history jsonb NOT NULL DEFAULT '[]',
    client_msg_id text,
    updated_at timestamptz NOT NULL,
    -- the posting as it was: rollups count by its time and length whatever comes later (ruling 65b)
    posted_at timestamptz NOT NULL, posted_length integer NOT NULL,
    posted_sequence bigint NOT NULL, posted_event uuid NOT NULL,
    doc_version bigint NOT NULL DEFAULT 1,
    registers jsonb,
    PRIMARY KEY (message_id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX messages_channel ON collab.messages (channel_id, created_at DESC);
CREATE INDEX messages_thread ON collab.messages (channel_id, thread_id, created_at DESC);
CREATE INDEX messages_user ON collab.messages (user_id, workspace_id, created_at DESC);
CREATE INDEX messages_content ON collab.messages USING gin (to_tsvector('english', content));

CREATE TABLE collab.messages_archive (LIKE collab.messages INCLUDING DEFAULTS) PARTITION BY RANGE (created_at);
ALTER TABLE collab.messages_archive ADD PRIMARY KEY (message_id, created_at);
CREATE INDEX messages_archive_channel ON collab.messages_archive (channel_id, created_at DESC);

CREATE TABLE collab.message_reactions (
    message_id uuid NOT NULL, user_id uuid NOT NULL, emoji text NOT NULL,
    channel_id uuid NOT NULL, message_created_at timestamptz NOT NULL,
    added_at timestamptz NOT NULL,
    is_active boolean NOT NULL,
    -- earliest add by event time, stale ones included (rule A counts the triple there)
    first_added_at timestamptz,
    sequence bigint NOT NULL, event_id uuid NOT NULL,
    PRIMARY KEY (message_id, user_id, emoji)
) WITH (fillfactor = 85);
CREATE INDEX message_reactions_user ON collab.message_reactions (user_id);

-- ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE collab.files (
    workspace_id uuid NOT NULL, file_id uuid NOT NULL,
    uploader_id uuid, filename text, original_filename text, file_size bigint, mime_type text, file_hash text,
    storage_provider text, storage_bucket text, storage_key text, storage_region text,
    storage_tier text NOT NULL DEFAULT 'standard',
    processing_status text, thumbnails jsonb, extracted_text text,
    is_public boolean, virus_scan_status text, virus_scan_result text, tags text[],
    download_count integer NOT NULL DEFAULT 0, last_accessed_at timestamptz,
    created_at timestamptz, updated_at timestamptz, expires_at timestamptz, deleted_at timestamptz,
    doc_version bigint NOT NULL DEFAULT 1,
    registers jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (workspace_id, file_id)
) PARTITION BY HASH (workspace_id);
CREATE INDEX files_uploader ON collab.files (uploader_id);
CREATE INDEX files_text ON collab.files
    USING gin (to_tsvector('english', coalesce(filename, '') || ' ' || coalesce(extracted_text, '')));
DO $$
BEGIN
    FOR shard IN 0..15 LOOP
        EXECUTE format('CREATE TABLE collab.files_shard_%s PARTITION OF collab.files'
                       ' FOR VALUES WITH (MODULUS 16, REMAINDER %s)', shard, shard);
    END LOOP;
END $$;

CREATE TABLE collab.message_files (
    message_id uuid NOT NULL, file_id uuid NOT NULL,
    channel_id uuid, file_comment text, attached_at timestamptz,
    workspace_id uuid NOT NULL,
    doc_version bigint NOT NULL DEFAULT 1,
    registers jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (message_id, file_id)
);
CREATE INDEX message_files_file ON collab.message_files (file_id);

-- ── notifications, sessions, activity ────────────────────────────────────────────────────────────────────────────

CREATE TABLE collab.notifications (
    notification_id uuid PRIMARY KEY,
    user_id uuid, workspace_id uuid, kind text, channel_id uuid, message_id uuid, actor_id uuid,
    created_at timestamptz, read_at timestamptz, withdrawn_at timestamptz,
    doc_version bigint NOT NULL DEFAULT 1,
    registers jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX notifications_user ON collab.notifications (user_id, created_at DESC);

CREATE TABLE collab.sessions (
    session_id uuid PRIMARY KEY,
    user_id uuid, workspace_id uuid, started_at timestamptz, ended_at timestamptz,
    doc_version bigint NOT NULL DEFAULT 1,
    registers jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX sessions_user ON collab.sessions (user_id);

CREATE TABLE analytics.events (
    event_id uuid NOT NULL, created_at timestamptz NOT NULL,
    workspace_id uuid, user_id uuid, event_type text NOT NULL, metadata jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (event_id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX events_created ON analytics.events USING brin (created_at);
CREATE INDEX events_workspace ON analytics.events (workspace_id, created_at);

-- ── the worker's own ─────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE runtime.progress (
    projection text NOT NULL, version integer NOT NULL, topic text NOT NULL, partition integer NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    epoch bigint NOT NULL DEFAULT 0,
    owner text, updated_at timestamptz NOT NULL DEFAULT now(),
    fingerprint text,
    event_time timestamptz, append_time timestamptz,
    halted_code text, halted_reason text, halted_at timestamptz,
    PRIMARY KEY (projection, version, topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE runtime.dead_letters (
    projection text NOT NULL, topic text NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL,
    key bytea, code text NOT NULL, reason text NOT NULL, raw bytea, headers jsonb NOT NULL DEFAULT '[]',
    event_type text, event_id text, workspace_id text,
    attempts integer NOT NULL DEFAULT 1,
    first_failed_at timestamptz NOT NULL DEFAULT now(), last_failed_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz, resolution text, relayed_at timestamptz,
    PRIMARY KEY (projection, topic, partition, "offset")
);
CREATE INDEX dead_letters_unrelayed ON runtime.dead_letters (projection, topic, partition, "offset") WHERE relayed_at IS NULL;
CREATE INDEX dead_letters_open ON runtime.dead_letters (projection, code) WHERE resolved_at IS NULL;

CREATE TABLE runtime.parked_events (
    event_id uuid NOT NULL, projection text NOT NULL,
    subject text NOT NULL, type text NOT NULL, sequence bigint NOT NULL,
    -- the message or file it waits for
    waits_for uuid NOT NULL,
    topic text NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL,
    key bytea, raw bytea NOT NULL, append_time timestamptz,
    parked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, projection)
);
CREATE INDEX parked_events_waits_for ON runtime.parked_events (waits_for);
CREATE INDEX parked_events_parked_at ON runtime.parked_events (parked_at);

-- Every message id ever posted: finds a row without its created_at, decides "seen before" across partitions, and
-- holds the aliases that a retried client_msg_id made (canonical_id).
CREATE TABLE runtime.message_ids (
    message_id uuid PRIMARY KEY,
    canonical_id uuid,
    channel_id uuid NOT NULL, created_at timestamptz NOT NULL, posted_at timestamptz NOT NULL,
    log_offset bigint NOT NULL,
    -- thread as the event gave it; thread_id of the message is the normalised one
    parent_id uuid,
    client_key uuid
) WITH (fillfactor = 90);
CREATE INDEX message_ids_client_key ON runtime.message_ids (client_key) WHERE client_key IS NOT NULL;

-- Replies whose parent was not a known root in their channel when they came; only these can be normalised later.
CREATE TABLE runtime.thread_edges (
    parent_id uuid NOT NULL, child_id uuid NOT NULL,
    PRIMARY KEY (parent_id, child_id)
);

-- Registers of rows that are absent at present: an unshared file, a removed integration.
CREATE TABLE runtime.tombstones (
    kind text NOT NULL, key text NOT NULL, registers jsonb NOT NULL,
    PRIMARY KEY (kind, key)
);

CREATE TABLE runtime.file_accesses (
    file_id uuid NOT NULL, event_id uuid NOT NULL,
    PRIMARY KEY (file_id, event_id)
);

-- Rises with every visible change of a channel's messages, and of its members: the stamps of its caches. A row of its
-- own, because messages may come before their channel.
CREATE TABLE runtime.channel_versions (
    channel_id uuid PRIMARY KEY,
    list_version bigint NOT NULL DEFAULT 0,
    members_version bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE runtime.last_seen (
    workspace_id uuid NOT NULL, user_id uuid NOT NULL, last_seen_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, user_id)
) WITH (fillfactor = 70);

-- ── views ────────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE VIEW collab.reactions AS
SELECT r.message_id, r.user_id, r.emoji, r.channel_id, r.message_created_at, r.added_at
FROM collab.message_reactions r
JOIN collab.messages m ON m.message_id = r.message_id AND m.created_at = r.message_created_at
WHERE r.is_active AND NOT m.is_deleted
  AND NOT EXISTS (SELECT FROM collab.users u WHERE u.user_id = r.user_id AND u.erased_at IS NOT NULL);
COMMENT ON VIEW collab.reactions IS 'Reactions that show: added, on a visible message, by a user who is not erased.';

CREATE VIEW collab.name_conflicts AS
SELECT kind, workspace_id, name, array_agg(id ORDER BY id) AS ids
FROM (
    SELECT 'username' AS kind, NULL::uuid AS workspace_id, lower(username) AS name, user_id AS id
    FROM collab.users WHERE username IS NOT NULL AND erased_at IS NULL AND status <> 'deleted'
    UNION ALL
    SELECT 'email', NULL, lower(email), user_id
    FROM collab.users WHERE email IS NOT NULL AND erased_at IS NULL AND status <> 'deleted'
    UNION ALL
    SELECT 'slug', NULL, lower(slug), workspace_id
    FROM collab.workspaces WHERE slug IS NOT NULL AND deleted_at IS NULL
    UNION ALL
    SELECT 'domain', NULL, lower(domain), workspace_id
    FROM collab.workspaces WHERE domain IS NOT NULL AND deleted_at IS NULL
    UNION ALL
    SELECT 'channel_name', workspace_id, lower(name), channel_id
    FROM collab.channels WHERE name IS NOT NULL AND deleted_at IS NULL
) AS named
GROUP BY kind, workspace_id, name
HAVING count(*) > 1;
COMMENT ON VIEW collab.name_conflicts IS 'Names that several entities hold at once; compared without case.';

GRANT USAGE ON SCHEMA collab, analytics, runtime TO tailrace_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA collab, analytics, runtime TO tailrace_worker;
REVOKE INSERT, UPDATE, DELETE ON runtime.schema_migrations FROM tailrace_worker;
