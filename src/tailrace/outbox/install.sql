-- The outbox of a producer. {schema} is the schema's name. Running this again changes nothing that is in it.

CREATE TABLE IF NOT EXISTS {schema}.tailrace_outbox (
    position       bigint PRIMARY KEY,
    id             uuid NOT NULL,
    event          json NOT NULL,
    bytes          integer NOT NULL,
    enqueued_at    timestamptz NOT NULL,
    refused_code   text,
    refused_reason text
) WITH (
    -- A queue: what vacuum leaves behind, every look for the oldest row walks over.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0
);

COMMENT ON TABLE {schema}.tailrace_outbox IS 'Events that are committed and not yet in the log; the relay deletes them once they are.';
COMMENT ON COLUMN {schema}.tailrace_outbox.position IS 'Order of publishing; has gaps where transactions were rolled back.';
COMMENT ON COLUMN {schema}.tailrace_outbox.id IS 'The event''s id, fixed here: whatever is sent twice is sent under one id.';
COMMENT ON COLUMN {schema}.tailrace_outbox.event IS 'The whole CloudEvent in JSON structured mode.';
COMMENT ON COLUMN {schema}.tailrace_outbox.bytes IS 'Size of the event''s text in UTF-8.';
COMMENT ON COLUMN {schema}.tailrace_outbox.enqueued_at IS 'When outbox_publish was called.';
COMMENT ON COLUMN {schema}.tailrace_outbox.refused_code IS 'The contract''s code where the event does not fit it; the relay passes such rows over.';
COMMENT ON COLUMN {schema}.tailrace_outbox.refused_reason IS 'The field at fault and what was expected.';

CREATE INDEX IF NOT EXISTS tailrace_outbox_refused ON {schema}.tailrace_outbox (position) WHERE refused_code IS NOT NULL;

CREATE SEQUENCE IF NOT EXISTS {schema}.tailrace_outbox_position CACHE 1;

CREATE TABLE IF NOT EXISTS {schema}.tailrace_outbox_relay (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    owner             uuid,
    expires_at        timestamptz NOT NULL DEFAULT '-infinity',
    published         bigint NOT NULL DEFAULT 0,
    last_published_at timestamptz
);

COMMENT ON TABLE {schema}.tailrace_outbox_relay IS 'The lease of the one relay that publishes, and what relays have published.';
COMMENT ON COLUMN {schema}.tailrace_outbox_relay.only_row IS 'There is one row.';
COMMENT ON COLUMN {schema}.tailrace_outbox_relay.owner IS 'The relay that publishes; a relay makes itself a new name when it starts.';
COMMENT ON COLUMN {schema}.tailrace_outbox_relay.expires_at IS 'Until then no other relay takes over.';
COMMENT ON COLUMN {schema}.tailrace_outbox_relay.published IS 'Events published since the outbox was installed.';
COMMENT ON COLUMN {schema}.tailrace_outbox_relay.last_published_at IS 'When the last of them was acknowledged.';

INSERT INTO {schema}.tailrace_outbox_relay DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Enqueues an event in the caller's transaction and returns its id. Checks the shape only: whether data fits its type,
-- the Python helper checks before, the relay again after.
-- "sequence" null: the server's clock, in the scale of the SDK's, so that two changes of a subject that follow each other
-- have rising ones.
CREATE OR REPLACE FUNCTION {schema}.outbox_publish(
    type text,
    subject text,
    data json,
    source text DEFAULT '/outbox',
    id uuid DEFAULT NULL,
    "time" timestamptz DEFAULT NULL,
    sequence bigint DEFAULT NULL,
    schemaversion integer DEFAULT 1,
    workspaceid uuid DEFAULT NULL,
    correlationid text DEFAULT NULL,
    causationid text DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_variable
DECLARE
    now timestamptz := clock_timestamp();
    place bigint;
    attributes jsonb;
    event text;
BEGIN
    IF type IS NULL OR type !~ '^collab\.[a-z_]+\.[a-z_]+$' THEN
        RAISE check_violation USING MESSAGE = 'outbox_publish: type is not of the form collab.noun.verb';
    ELSIF coalesce(subject, '') = '' OR coalesce(source, '') = '' THEN
        RAISE check_violation USING MESSAGE = 'outbox_publish: subject and source must not be empty';
    ELSIF data IS NULL OR json_typeof(data) <> 'object' THEN
        RAISE check_violation USING MESSAGE = 'outbox_publish: data is no JSON object';
    ELSIF sequence < 0 OR coalesce(schemaversion, 0) < 1 THEN
        RAISE check_violation USING MESSAGE = 'outbox_publish: sequence is at least 0, schemaversion at least 1';
    END IF;
    id := coalesce(id, gen_random_uuid());
    -- Before the position is drawn: the relay takes a position for final once every transaction with an id that was
    -- given out before has ended, so the id must be there first.
    PERFORM pg_current_xact_id();
    place := nextval('{schema}.tailrace_outbox_position');
    attributes := jsonb_strip_nulls(jsonb_build_object(
        'specversion', '1.0', 'id', id, 'type', type, 'source', source, 'subject', subject,
        'schemaversion', schemaversion, 'workspaceid', coalesce(workspaceid::text, data ->> 'workspace_id'),
        'correlationid', correlationid, 'causationid', causationid,
        'time', to_char(coalesce("time", now) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'sequence', coalesce(sequence, (extract(epoch FROM now) * 1000000)::bigint << 11 | (place & 2047))::text
    ));
    -- As text: jsonb would change numbers and refuse characters that the contract takes.
    event := left(attributes::text, -1) || ', "data": ' || data::text || '}';
    IF octet_length(convert_to(event, 'UTF8')) > 1048576 THEN
        RAISE check_violation USING MESSAGE = 'outbox_publish: the event is larger than 1 MiB';
    END IF;
    INSERT INTO {schema}.tailrace_outbox (position, id, event, bytes, enqueued_at)
    VALUES (place, id, event::json, octet_length(convert_to(event, 'UTF8')), now);
    RETURN id;
END
$function$;

-- Whoever may call this may publish; the table itself needs no grants.
REVOKE ALL ON FUNCTION {schema}.outbox_publish(
    text, text, json, text, uuid, timestamptz, bigint, integer, uuid, text, text
) FROM PUBLIC;
