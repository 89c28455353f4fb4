-- What jobs of the search indices need where a user has a million messages and a workspace tens of thousands of channels.

-- They go through messages by user, and through a workspace channel by channel: each step is to find the next one along
-- an index, however many there are.
CREATE INDEX messages_archive_user ON collab.messages_archive (user_id, workspace_id, created_at DESC);
DROP INDEX collab.channels_in_workspace;
CREATE INDEX channels_in_workspace ON collab.channels (workspace_id, channel_id);

-- The event that last changed the name of a user or channel, as messages show it: another topic, a new title or privacy
-- changes no message, and must not have a million of them written again. No row: unknown.
CREATE TABLE runtime.name_changes (
    kind text NOT NULL CHECK (kind IN ('user', 'channel')),
    subject uuid NOT NULL,
    event_id text NOT NULL,
    PRIMARY KEY (kind, subject)
);

CREATE FUNCTION runtime.note_name_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO runtime.name_changes AS n (kind, subject, event_id)
    VALUES (TG_ARGV[0], (to_jsonb(NEW) ->> TG_ARGV[1])::uuid, NEW.registers -> 'profile' ->> 1)
    ON CONFLICT (kind, subject) DO UPDATE SET event_id = excluded.event_id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION runtime.note_name_change() IS 'Keeps name_changes; its arguments are the kind and the column of the id.';
REVOKE ALL ON FUNCTION runtime.note_name_change() FROM PUBLIC;

CREATE TRIGGER note_first_name AFTER INSERT ON collab.users
    FOR EACH ROW WHEN (NEW.registers -> 'profile' IS NOT NULL)
    EXECUTE FUNCTION runtime.note_name_change('user', 'user_id');
CREATE TRIGGER note_name_change AFTER UPDATE OF username, display_name ON collab.users
    FOR EACH ROW WHEN (NEW.registers -> 'profile' IS NOT NULL
        AND (OLD.username IS DISTINCT FROM NEW.username OR OLD.display_name IS DISTINCT FROM NEW.display_name))
    EXECUTE FUNCTION runtime.note_name_change('user', 'user_id');
CREATE TRIGGER note_first_name AFTER INSERT ON collab.channels
    FOR EACH ROW WHEN (NEW.registers -> 'profile' IS NOT NULL)
    EXECUTE FUNCTION runtime.note_name_change('channel', 'channel_id');
CREATE TRIGGER note_name_change AFTER UPDATE OF name ON collab.channels
    FOR EACH ROW WHEN (NEW.registers -> 'profile' IS NOT NULL AND OLD.name IS DISTINCT FROM NEW.name)
    EXECUTE FUNCTION runtime.note_name_change('channel', 'channel_id');

GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.name_changes TO tailrace_worker;
