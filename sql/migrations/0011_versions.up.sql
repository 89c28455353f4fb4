-- Versions of the read models, and the moments at which another one became the live one.
--
-- A version is a set of schemas. The live one has the settings' names, any other the same names with its number behind
-- (`collab_v2`). What is in these two tables belongs to no version, as all that operators and followers write down.

CREATE TABLE runtime.versions (
    version integer PRIMARY KEY CHECK (version >= 1),
    state text NOT NULL CHECK (state IN ('filling', 'ready', 'live', 'kept', 'dropped')),
    reason text NOT NULL, created_by text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
    ready_at timestamptz, live_at timestamptz, kept_until timestamptz, dropped_at timestamptz,
    comparison jsonb
);
CREATE UNIQUE INDEX versions_live ON runtime.versions (state) WHERE state = 'live';
CREATE UNIQUE INDEX versions_building ON runtime.versions ((true)) WHERE state IN ('filling', 'ready');
INSERT INTO runtime.versions (version, state, reason, created_by, live_at) VALUES (1, 'live', 'the first', session_user, now());
COMMENT ON TABLE runtime.versions IS 'Versions of the read models: sets of schemas filled from the log.';
COMMENT ON COLUMN runtime.versions.version IS 'Number, and the end of the names of its schemas while it is not live.';
COMMENT ON COLUMN runtime.versions.state IS
    'filling, ready (filled and indexed), live, kept (was live; to go back to) or dropped.';
COMMENT ON COLUMN runtime.versions.reason IS 'Why it was made, in the words of who asked.';
COMMENT ON COLUMN runtime.versions.created_by IS 'Who asked.';
COMMENT ON COLUMN runtime.versions.created_at IS 'When it was asked.';
COMMENT ON COLUMN runtime.versions.ready_at IS 'When it had been filled and indexed for the first time.';
COMMENT ON COLUMN runtime.versions.live_at IS 'When it became the live one last.';
COMMENT ON COLUMN runtime.versions.kept_until IS 'From when on a kept version may be dropped.';
COMMENT ON COLUMN runtime.versions.dropped_at IS 'When its schemas were dropped.';
COMMENT ON COLUMN runtime.versions.comparison IS 'What its last comparison with the live one found, at one position of the log.';

CREATE TABLE runtime.cutovers (
    cutover_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_version integer NOT NULL, to_version integer NOT NULL,
    is_rollback boolean NOT NULL,
    actor text NOT NULL, reason text NOT NULL,
    positions jsonb NOT NULL,
    search jsonb NOT NULL DEFAULT '{}',
    cache_generation bigint,
    held_ms integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);
CREATE INDEX cutovers_unfinished ON runtime.cutovers (cutover_id) WHERE finished_at IS NULL;
COMMENT ON TABLE runtime.cutovers IS 'Each switch of PostgreSQL, Redis and Elasticsearch from one version to another.';
COMMENT ON COLUMN runtime.cutovers.cutover_id IS 'Number of the switch.';
COMMENT ON COLUMN runtime.cutovers.from_version IS 'Version that was live before.';
COMMENT ON COLUMN runtime.cutovers.to_version IS 'Version that is live since.';
COMMENT ON COLUMN runtime.cutovers.is_rollback IS 'Whether it went back to a kept version.';
COMMENT ON COLUMN runtime.cutovers.actor IS 'Who asked.';
COMMENT ON COLUMN runtime.cutovers.reason IS 'Why, in the words of who asked.';
COMMENT ON COLUMN runtime.cutovers.positions IS 'Next offset by topic and partition at which both versions stood.';
COMMENT ON COLUMN runtime.cutovers.search IS 'By alias, the generation of indices shown before and since, where another one is.';
COMMENT ON COLUMN runtime.cutovers.cache_generation IS 'Generation of the caches since; they are written anew under it.';
COMMENT ON COLUMN runtime.cutovers.held_ms IS 'How long workers were held.';
COMMENT ON COLUMN runtime.cutovers.at IS 'When it was.';
COMMENT ON COLUMN runtime.cutovers.finished_at IS
    'When aliases, caches and documents had followed; null: a worker or the next command finishes it.';

GRANT SELECT ON runtime.versions TO tailrace_worker;
GRANT SELECT, UPDATE ON runtime.cutovers TO tailrace_worker;
