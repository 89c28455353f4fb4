-- What a dead letter needs to be judged, repaired and, where the fault was ours, waited for.

-- `subject` is set where the fault was ours: later events of it wait behind this letter while it is open. Records of the
-- same event from "offset" on do not count before `void_until` (null: none of them does): the redriven one that was
-- applied, or the position at which it was discarded. `history` says who did what, when and why.
ALTER TABLE runtime.dead_letters
    ADD COLUMN append_time timestamptz,
    ADD COLUMN subject text,
    ADD COLUMN void_until bigint,
    ADD COLUMN resolved_by text,
    ADD COLUMN resolved_reason text,
    ADD COLUMN history jsonb NOT NULL DEFAULT '[]';
CREATE INDEX dead_letters_blocking ON runtime.dead_letters (projection, topic, partition)
    WHERE resolved_at IS NULL AND subject IS NOT NULL;
CREATE INDEX dead_letters_event ON runtime.dead_letters (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX dead_letters_newest ON runtime.dead_letters (last_failed_at DESC);

-- `behind`: waits for the dead letter of event `waits_for` to be applied or discarded, not for a message or file.
ALTER TABLE runtime.parked_events
    ADD COLUMN behind boolean NOT NULL DEFAULT false,
    ADD COLUMN headers jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN workspace_id text;
CREATE INDEX parked_events_behind ON runtime.parked_events (projection, waits_for) WHERE behind;

-- What people did to positions, and what they were before.
CREATE TABLE runtime.progress_changes (
    changed_at timestamptz NOT NULL DEFAULT now(),
    projection text NOT NULL, version integer NOT NULL, topic text NOT NULL, partition integer NOT NULL,
    action text NOT NULL CHECK (action IN ('lift', 'reset')),
    next_offset_before bigint, next_offset_after bigint, halted_code text, halted_reason text,
    changed_by text NOT NULL, reason text NOT NULL
);
CREATE INDEX progress_changes_newest ON runtime.progress_changes (changed_at DESC);

GRANT SELECT, INSERT ON runtime.progress_changes TO tailrace_worker;
