DROP FUNCTION runtime.living_value(text, jsonb, uuid, uuid, timestamptz, timestamptz);
