-- What the search indices are and where they stand, and versions of what has none of its own.

-- `layout_epoch` rises whenever writers must look again: an index appears or goes, a workspace moves, a name is about
-- to be spread. A writer compares it, in the transaction that moves its progress, with what it read before it read the
-- documents; if it rose meanwhile, the documents are read and written again.
-- `history_epoch` is the upper part of every document's version. It is raised after the database was restored to an
-- earlier state, where versions begin again below those that the indices already hold.
CREATE TABLE runtime.search_state (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    layout_epoch bigint NOT NULL DEFAULT 0,
    history_epoch integer NOT NULL DEFAULT 0 CHECK (history_epoch BETWEEN 0 AND 8191),
    -- when the indices were first made: one that is missing afterwards was lost, and is filled again
    made_at timestamptz
);
INSERT INTO runtime.search_state DEFAULT VALUES;

-- Generations of the indices behind an alias. Writes go to all of them, the alias shows the live one; a kept one is
-- there to go back to.
CREATE TABLE runtime.search_generations (
    alias text NOT NULL CHECK (alias IN ('messages', 'files', 'users')),
    generation integer NOT NULL CHECK (generation >= 1),
    state text NOT NULL CHECK (state IN ('building', 'live', 'kept')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (alias, generation)
);
CREATE UNIQUE INDEX search_generations_live ON runtime.search_generations (alias) WHERE state = 'live';
CREATE UNIQUE INDEX search_generations_building ON runtime.search_generations (alias) WHERE state = 'building';
INSERT INTO runtime.search_generations (alias, generation, state)
VALUES ('messages', 1, 'live'), ('files', 1, 'live'), ('users', 1, 'live');

-- Where a workspace's messages are; no row: in its shared index. While it moves, writes go to both places and the
-- alias shows `route`.
CREATE TABLE runtime.search_routes (
    workspace_id uuid PRIMARY KEY,
    route text NOT NULL DEFAULT 'shared' CHECK (route IN ('shared', 'own', 'monthly')),
    moving_to text CHECK (moving_to IN ('shared', 'own', 'monthly')),
    is_high_volume boolean NOT NULL DEFAULT false,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- Work too long for a batch: spreading a name or an end over many documents, filling a new generation, moving a
-- workspace. `position` is the key behind which it goes on. A request that comes while one runs makes it begin again.
CREATE TABLE runtime.search_jobs (
    kind text NOT NULL CHECK (kind IN ('user', 'channel', 'workspace', 'refill', 'rebuild', 'move')),
    subject text NOT NULL,
    requests integer NOT NULL DEFAULT 1,
    serves integer NOT NULL DEFAULT 1,
    position jsonb NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    documents bigint NOT NULL DEFAULT 0,
    documents_estimate bigint,
    refused bigint NOT NULL DEFAULT 0,
    reason text,
    owner text, leased_until timestamptz,
    requested_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, subject)
);
CREATE INDEX search_jobs_open ON runtime.search_jobs (requested_at) WHERE state IN ('waiting', 'running');

-- Rises with every change of where a file is shared, of the visibility of these messages and of its uploader: these
-- parts of the file's document have no version that only rises, because unsharing takes the row away and another
-- uploader brings another version.
CREATE TABLE runtime.file_versions (
    file_id uuid PRIMARY KEY,
    version bigint NOT NULL
) WITH (fillfactor = 70);

CREATE FUNCTION runtime.raise_file_versions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_ARGV[0] = 'share' THEN
        INSERT INTO runtime.file_versions AS v (file_id, version) VALUES (coalesce(NEW.file_id, OLD.file_id), 1)
        ON CONFLICT (file_id) DO UPDATE SET version = v.version + 1;
    ELSIF TG_ARGV[0] = 'message' THEN
        INSERT INTO runtime.file_versions AS v (file_id, version)
        SELECT s.file_id, 1 FROM collab.message_files s WHERE s.message_id = NEW.message_id ORDER BY s.file_id
        ON CONFLICT (file_id) DO UPDATE SET version = v.version + 1;
    ELSE
        -- The sum loses the former uploader's version; what is put in its place is more.
        INSERT INTO runtime.file_versions AS v (file_id, version)
        SELECT NEW.file_id, 1 + coalesce((SELECT u.doc_version FROM collab.users u WHERE u.user_id = OLD.uploader_id), 0)
        ON CONFLICT (file_id) DO UPDATE SET version = v.version + excluded.version;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION runtime.raise_file_versions() IS 'Keeps the versions of files; its argument says what changed.';
REVOKE ALL ON FUNCTION runtime.raise_file_versions() FROM PUBLIC;

CREATE TRIGGER raise_file_versions AFTER INSERT OR UPDATE OR DELETE ON collab.message_files
    FOR EACH ROW EXECUTE FUNCTION runtime.raise_file_versions('share');
CREATE TRIGGER raise_file_versions AFTER UPDATE OF is_deleted ON collab.messages
    FOR EACH ROW WHEN (OLD.is_deleted IS DISTINCT FROM NEW.is_deleted)
    EXECUTE FUNCTION runtime.raise_file_versions('message');
CREATE TRIGGER raise_file_versions AFTER UPDATE OF uploader_id ON collab.files
    FOR EACH ROW WHEN (OLD.uploader_id IS DISTINCT FROM NEW.uploader_id)
    EXECUTE FUNCTION runtime.raise_file_versions('uploader');

INSERT INTO runtime.file_versions (file_id, version) SELECT file_id, count(*) FROM collab.message_files GROUP BY file_id;

GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.search_state, runtime.search_generations, runtime.search_routes,
    runtime.search_jobs, runtime.file_versions TO tailrace_worker;
