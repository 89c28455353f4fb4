-- What the caches in Redis need beside the read models: the facts of living keys (they outlive a FLUSHALL and are what
-- keys are read from, like everything else), whose unread counts are kept, and the generations of rebuilds.

-- One row for each session, connection and (user, workspace) presence of the last day, by Rule R. `version` rises with
-- every change and is part of the key's stamp, so a row must outlive the key's guard (see RETENTION in
-- consumers/redis/upkeep.py).
CREATE TABLE runtime.living_keys (
    kind text NOT NULL CHECK (kind IN ('session', 'connection', 'presence')),
    key text NOT NULL,
    user_id uuid NOT NULL, workspace_id uuid,
    sequence bigint NOT NULL, event_id uuid NOT NULL,
    -- null while only its end is known
    began_at timestamptz, last_at timestamptz,
    value jsonb,
    is_ended boolean NOT NULL DEFAULT false,
    expires_at timestamptz NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (kind, key)
) WITH (fillfactor = 70);
CREATE INDEX living_keys_user ON runtime.living_keys (user_id);
CREATE INDEX living_keys_workspace ON runtime.living_keys (workspace_id);
CREATE INDEX living_keys_expires ON runtime.living_keys (expires_at);

-- Users whose unread counts are kept in step. A row is committed before the counts are read and written for the first
-- time, so whoever changes a count later sees it. `birth` tells a row from one that was there before.
CREATE TABLE runtime.warm_users (
    user_id uuid NOT NULL, workspace_id uuid NOT NULL,
    birth bigint GENERATED ALWAYS AS IDENTITY,
    warmed_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, workspace_id)
) WITH (fillfactor = 70);
CREATE INDEX warm_users_workspace ON runtime.warm_users (workspace_id);

-- The greatest generation is the first part of every stamp: what an older one computed can never overwrite a key that
-- the newer one has written.
CREATE TABLE runtime.cache_rebuilds (
    generation bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope text NOT NULL CHECK (scope IN ('everything', 'workspace', 'channel', 'user')),
    scope_id uuid, reason text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz,
    owner text, heartbeat_at timestamptz,
    stage integer NOT NULL DEFAULT 0, after_key text NOT NULL DEFAULT '',
    done bigint NOT NULL DEFAULT 0, total bigint
);
CREATE UNIQUE INDEX cache_rebuilds_open ON runtime.cache_rebuilds (scope) WHERE finished_at IS NULL AND scope = 'everything';

GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.living_keys, runtime.warm_users, runtime.cache_rebuilds TO tailrace_worker;
