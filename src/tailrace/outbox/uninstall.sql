-- Takes the outbox away, with whatever is still in it.

DROP FUNCTION IF EXISTS {schema}.outbox_publish(
    text, text, json, text, uuid, timestamptz, bigint, integer, uuid, text, text
);
DROP TABLE IF EXISTS {schema}.tailrace_outbox_relay;
DROP TABLE IF EXISTS {schema}.tailrace_outbox;
DROP SEQUENCE IF EXISTS {schema}.tailrace_outbox_position;
