-- What `tailrace db` runs around the migrations themselves.

-- name: lock
-- For one transaction only: a session's lock would be lost behind PgBouncer in transaction mode.
SELECT pg_advisory_xact_lock(hashtextextended('tailrace.migrations.' || $1::text, 0))

-- name: missing_roles
SELECT name FROM unnest($1::text[]) AS name WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) ORDER BY name

-- name: missing_schemas
SELECT name FROM unnest($1::text[]) AS name WHERE to_regnamespace(quote_ident(name)) IS NULL ORDER BY name

-- name: ledger_exists
SELECT to_regclass('runtime.schema_migrations') IS NOT NULL

-- name: create_ledger
CREATE TABLE IF NOT EXISTS runtime.schema_migrations (
    number integer PRIMARY KEY CHECK (number > 0),
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_by text NOT NULL DEFAULT session_user,
    took_ms bigint NOT NULL CHECK (took_ms >= 0)
)

-- name: ledger
SELECT number, name, checksum, applied_at, applied_by, took_ms FROM runtime.schema_migrations ORDER BY number

-- name: record
INSERT INTO runtime.schema_migrations (number, name, checksum, took_ms) VALUES ($1, $2, $3, $4)
RETURNING number, name, checksum, applied_at, applied_by, took_ms

-- name: forget
DELETE FROM runtime.schema_migrations WHERE number = $1
